/* What a helper process gives up before it reads its first message. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Leaves this process with standard error, the descriptor `channel`, memory that is never code, and
 * the `count` system calls of `calls` (their numbers); with no other descriptor, no capability, no
 * core dump, no file that could be written, and no way for others of its user to look into it. Any
 * other system call kills it. The filter is left out in a build with AddressSanitizer, whose
 * run-time reads /proc and more. 0 or -errno. */
int sandbox_enter(int channel, const int *calls, size_t count);

/* The same in two steps, for a helper that opens something of its own in between and keeps a right.
 * sandbox_leave_files() closes every descriptor from `first` on, and lets nobody look in or dump
 * core. sandbox_keep_rights() keeps of the capabilities those in `kept` (CAP_TO_MASK()) that there
 * are, and the system calls. 0 or -errno. */
int sandbox_leave_files(unsigned first);
int sandbox_keep_rights(uint32_t kept, const int *calls, size_t count);

/* Limits this process's private memory, its heap with it; what goes beyond can't be had. Left out
 * with the filter. 0 or -errno. */
int sandbox_limit_memory(size_t octets);

/* As sandbox_keep_rights() with none kept, for a process that calls libraries which try one thing
 * and then another: any other system call, and memory that is code, fails with EPERM. 0 or -errno.
 */
int sandbox_refuse_others(const int *calls, size_t count);

/* The capabilities alone, where something in between is to be done without them. 0 or -errno. */
int sandbox_leave_capabilities(void);

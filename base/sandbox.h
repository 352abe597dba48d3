/* What a helper process gives up before it reads its first message. */
#pragma once

#include <stddef.h>

/* Leaves this process with standard error, the descriptor `channel`, memory that is never code, and
 * the `count` system calls of `calls` (their numbers); with no other descriptor, no capability, no
 * core dump, no file that could be written, and no way for others of its user to look into it. Any
 * other system call kills it. The filter is left out in a build with AddressSanitizer, whose
 * run-time reads /proc and more. 0 or -errno. */
int sandbox_enter(int channel, const int *calls, size_t count);

/* Limits this process's private memory, its heap with it; what goes beyond can't be had. Left out
 * with the filter. 0 or -errno. */
int sandbox_limit_memory(size_t octets);

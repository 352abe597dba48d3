/* What tred-net and tred-esp give up before they take the first order. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Closes every descriptor from `first` on, leaves the working folder, and forbids core dumps and
 * being looked into by other processes of this user. Returns 0 or -errno. */
int lockdown_files(unsigned first);

/* Keeps of the capabilities those in `kept` (a mask, CAP_TO_MASK()) that it has, gives them to no
 * program, and from then on may make the system calls `calls` and no others: any other ends the
 * process. Memory can be had always, but none to run code from. Returns 0 or -errno. */
int lockdown_rights(uint32_t kept, const int *calls, size_t n_calls);

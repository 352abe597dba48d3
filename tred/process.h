/* What this process denies itself and others before it holds any secret. */
#pragma once

#include <stddef.h>

/* No core dumps, no ptrace or /proc/PID/mem for the own user, no new privileges, files for nobody
 * else, memory locked where that is permitted (a warning says what to do where it is not), no
 * capability for programs that it starts. Returns 0 or -errno of what can't be done without. */
int process_harden(void);

/* Raises the limit on open descriptors to `wanted`, or as far as it may be; a warning says so where
 * that is less. */
void process_raise_descriptors(size_t wanted);

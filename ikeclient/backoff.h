/* How long to wait before the next attempt to connect: exponential back-off with full jitter. A
 * SeGW that comes back has all its HeNBs come back to it, which must not be in one second. */
#pragma once

#include <stdint.h>

enum { BACKOFF_LEAST_MS = 100, BACKOFF_FIRST_MS = 1000, BACKOFF_FAILURES_MAX = 64 };

/* The longest wait after the first failure is BACKOFF_FIRST_MS, and twice as long after each of
 * `failures` before it, up to `most_ms`. */
uint64_t backoff_ceiling_ms(unsigned failures, uint64_t most_ms);

/* A wait between BACKOFF_LEAST_MS and that, which `random` chooses. */
uint64_t backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random);

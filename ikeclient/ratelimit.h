/* Keeps what strangers can make us write within bounds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RATELIMIT_LINES = 10, RATELIMIT_PERIOD_USEC = 10 * 1000 * 1000 };

typedef struct RateLimit {
    uint64_t period_start; /* of CLOCK_MONOTONIC, µs */
    unsigned lines;
    unsigned suppressed;
} RateLimit;

/* True if a line may be written at `now` (µs): RATELIMIT_LINES of them in each period.
 * *ret_suppressed is how many were swallowed since the last one that was written. */
bool ratelimit_allows(RateLimit *limit, uint64_t now, unsigned *ret_suppressed);

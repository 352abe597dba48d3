/* The clock by which a program waits and reckons: no one sets it. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
static inline uint64_t monotonic_ms(void)
{
    enum { MSEC_PER_SEC = 1000, NSEC_PER_MSEC = 1000000 };
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MSEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_MSEC;
}

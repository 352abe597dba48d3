/* What time it is at least, from what is known for certain and nothing else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A time that was reached for certain, and the TPM's own time since it was last reset
 * (TPM2_ReadClock, TPMS_TIME_INFO.time) at that moment or later. Unlike TPMS_CLOCK_INFO.clock,
 * nobody can set that. */
typedef struct TimeBase {
    time_t at;
    bool counting; /* the next two are known */
    uint64_t milliseconds;
    uint32_t resets; /* of the TPM: its time begins again with each */
} TimeBase;

/* Something says that `at` was reached, now or before: an earlier one than is known changes
 * nothing. What passes is counted from the next time_base_pass() on. */
void time_base_reach(TimeBase *base, time_t at);

/* The TPM's time is `milliseconds` now, after so many resets: what has passed since the last call
 * counts, where the TPM was not reset in between. Returns what is reached then, never less than
 * before. */
time_t time_base_pass(TimeBase *base, uint64_t milliseconds, uint32_t resets);

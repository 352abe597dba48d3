/* The last-known time: a day that was reached for certain, kept by the TPM so that it never steps
 * back. Certificates are judged by it where the system clock is behind, so that a clock set back
 * brings no expired certificate to life.
 *
 * An NV counter goes up by one for each day. As a counter begins where the TPM wants it to (TPM 2.0
 * Part 3, 31.8), a second index, written once and locked at the factory, holds the difference
 * between the days since 1970 and the counter.
 */
#pragma once

#include "base/reason.h"
#include "tpm/nv.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define LAST_KNOWN_COUNTER_INDEX ((TPM2_HANDLE)0x01801102)
#define LAST_KNOWN_BASE_INDEX ((TPM2_HANDLE)0x01801103)

enum {
    LAST_KNOWN_DAY = 24 * 3600, /* seconds */
    LAST_KNOWN_JUMP_DAYS_MAX =
        10 * 365 /* more at once is a clock gone wrong, and can't be undone */
};

/* Reads it (the beginning of the day, UTC); the TPM's answer is authenticated. 0; -ENOENT (this TPM
 * keeps none); -EBADMSG (what stands there is not what was defined); or -EIO. */
int last_known_time_read(Tpm *tpm, time_t *ret, Reason *reason);

/* Moves it towards `now`, by at most `days_max` days, as each costs a write to the TPM's NV memory.
 * *ret is what it is then. 0, also if `now` is not ahead of it; -ERANGE if `now` is more than
 * LAST_KNOWN_JUMP_DAYS_MAX ahead; else as above. */
int last_known_time_advance(Tpm *tpm, time_t now, unsigned days_max, time_t *ret, Reason *reason);

/* ---- for who makes the indices, or takes them away (provisioning/devicetpm.h) ---- */

/* Both indices as they are defined. */
extern const TPMS_NV_PUBLIC last_known_counter;
extern const TPMS_NV_PUBLIC last_known_base;

/* Opens the index if it is the one of that public area, written and locked or not. 0, -ENOENT,
 * -EBADMSG (another index is there) or -EIO. */
int last_known_open(Tpm *tpm, const TPMS_NV_PUBLIC *public, NvIndex *ret, Reason *reason);

/* The number in an index. 0 or -EIO (reason filled). */
int last_known_number(Tpm *tpm, const NvIndex *index, uint64_t *ret, Reason *reason);

/* ---- what time it is at least, from what is known for certain and nothing else ---- */

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

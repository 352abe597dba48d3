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

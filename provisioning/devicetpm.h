/* The device's TPM in the factory. */
#pragma once

#include "base/reason.h"
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"
#include "tpm/open.h"
#include "tpm/tpm.h"
#include "tpm/transport.h"

#include <stdbool.h>
#include <stdint.h>

/* Sets up the memory for secrets, unless that was done before. 0, or -errno (reason filled). */
int secrets_prepare(Reason *reason);

/* secrets_prepare(), and then as tpm_open_metered(); `meter` may be NULL. From now on SIGINT,
 * SIGTERM and SIGHUP are held (base/program.h) until main() ends, so that nothing is left in the
 * TPM's slots. */
int provision_tpm_open(const char *tcti, TpmMeter *meter, Tpm **ret, Reason *reason);

typedef struct TpmFacts {
    char manufacturer[5]; /* as in the TCG's vendor registry: "IFX", "STM", "IBM" */
    uint32_t firmware_major, firmware_minor;
    uint32_t persistent_free; /* objects that there is still room for, by the TPM's estimate */
    bool counters_known;      /* not every TPM tells the next */
    uint32_t counters_free;   /* NV counters that there is still room for, by its estimate */
    bool owner_auth_set;      /* the owner hierarchy has an authorization value, as anybody on the
                                 bus may say; anchor_guard_is_locked() tells it for sure */
} TpmFacts;

/* Two commands, TPM2_GetCapability. 0, or -EIO (reason filled). */
int tpm_facts_read(Tpm *tpm, TpmFacts *ret, Reason *reason);

/* On a TPM of our own, without resource manager, flushes all transient objects and loaded sessions:
 * a process that was killed has left them there. Behind a resource manager there are none. To be
 * called before anything is loaded. 0, or -EIO (reason filled). */
int tpm_leftovers_flush(Tpm *tpm, Reason *reason);

/* Makes the index, unwritten, for this operator. Nothing is done if it is there already and obeys
 * the same operator. 0, -EEXIST (an index of another kind or operator is there), -EACCES, -ENOSPC
 * or -EIO. */
int anchor_guard_define(Tpm *tpm, const PolicyKey *operator_key, Reason *reason);

/* How many of the three indices, this one and those of the last-known time, there are not; or -EIO.
 */
int guard_indices_missing(Tpm *tpm, const PolicyKey *operator_key, Reason *reason);

/* Tries whether the TPM has room for those that there are not: makes their like beside them
 * (GUARD_TRIAL_OFFSET), and takes these away again. 0, -EEXIST (something else is there), -EACCES,
 * -ENOSPC or -EIO. */
int guard_indices_try(Tpm *tpm, const PolicyKey *operator_key, Reason *reason);

enum { GUARD_TRIAL_OFFSET = 0xf0 };

/* Makes both indices, and has the last-known time begin with `now`. Each part that is there already
 * is left as it is, so that this can be taken up again after a power cut. 0; -EINVAL (`now` is
 * before 2024: set the clock); -EEXIST (an index of another kind is there), -EACCES, -ENOSPC or
 * -EIO. */
int last_known_time_define(Tpm *tpm, time_t now, Reason *reason);

/* The storage root key is as tpm_srk_open() would have made it: exempt from the dictionary-attack
 * protection, as each power cut while a key under another one is loaded counts as a failed try (TPM
 * 2.0 Part 1, 19.8.6), and after a few the TPM locks itself; and without a password, which nobody
 * would enter. The password is not tried where a wrong one counts. 0; -ENOENT (there is none);
 * -EEXIST (it is another; the reason says what to do) or -EIO. */
int srk_fits(Tpm *tpm, Reason *reason);

/* Making the NV indices that guard the anchors and keep the last-known time. */
#pragma once

#include "base/reason.h"
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"

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

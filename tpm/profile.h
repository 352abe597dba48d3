/* What a TPM must be able to do to hold a device key; a TPM 2.0 may lack almost any algorithm. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

/* Asks the TPM for all that the storage root key and a device key of `algorithm` need. Returns 0,
 * -EOPNOTSUPP with `reason` naming the first thing that it lacks and what to
 * do, or -EIO (reason filled). */
int tpm_profile_check(Tpm *tpm, TpmKeyAlgorithm algorithm, Reason *reason);

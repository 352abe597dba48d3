/* The device key in the TPM, as a SigningKey. */
#pragma once

#include "base/reason.h"
#include "crypto/signingkey.h"
#include "policy/devicekey.h"

/* Takes over the loaded key and its policy (may be NULL), and holds a reference on the key's TPM.
 * In a TPM with a loop it works in tasks there; without one, each call is done when it returns. 0,
 * -ENOMEM, or -EIO with `reason` filled; then nothing is taken over. */
int tpm_signing_key_new(DeviceKey *device, KeyPolicy *policy, SigningKey **ret, Reason *reason);

/* May an authority certify the key with this public area as a device key? No TPM is needed. */
#pragma once

#include "policy/policydigest.h"

/* What is wrong with it: the rest of a sentence that starts with the device key, "can be copied out
 * of its TPM (…)". NULL if nothing is. `policy` is the authPolicy that it must have, or NULL if
 * none is asked for. The area says true only once the TPM has shown that it holds the key of this
 * Name: see provisioning/credential.h. */
const char *device_public_flaw(const TPM2B_PUBLIC *public, const PolicyDigest *policy);

/* Names of what is said between tred and whoever has the TPM. */
#include "device/frames.h"

static const char *const state_names[IDENTITY_STATES] = {
    [IDENTITY_LOADING] = "loading",
    [IDENTITY_READY] = "ready",
    [IDENTITY_DEVELOPMENT] = "development",
    [IDENTITY_UNPROVISIONED] = "unprovisioned",
    [IDENTITY_INTEGRITY_FAILED] = "integrity-failed",
    [IDENTITY_TPM_UNAVAILABLE] = "tpm-unavailable",
};

const char *identity_state_name(IdentityState state)
{
    return state_names[state];
}

bool identity_state_serves(IdentityState state)
{
    return state == IDENTITY_READY || state == IDENTITY_DEVELOPMENT;
}

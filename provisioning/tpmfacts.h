/* What a TPM says about itself: who made it, and what room it has left. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct TpmFacts {
    char manufacturer[5]; /* as in the TCG's vendor registry: "IFX", "STM", "IBM" */
    uint32_t firmware_major, firmware_minor;
    uint32_t persistent_free; /* objects that there is still room for, by the TPM's estimate */
    bool counters_known;      /* not every TPM tells the next */
    uint32_t counters_free;   /* NV counters that there is still room for, by its estimate */
    bool owner_auth_set;      /* the owner hierarchy has an authorization value */
} TpmFacts;

/* Two commands, TPM2_GetCapability. 0, or -EIO (reason filled). */
int tpm_facts_read(Tpm *tpm, TpmFacts *ret, Reason *reason);

/* On a TPM of our own, without resource manager, flushes all transient objects and loaded sessions:
 * a process that was killed has left them there. Behind a resource manager there are none. To be
 * called before anything is loaded. 0, or -EIO (reason filled). */
int tpm_leftovers_flush(Tpm *tpm, Reason *reason);

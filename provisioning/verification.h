/* One run of tre-provision verify: what it looks at, and what it has found so far. */
#pragma once

#include "provisioning/command.h"
#include "provisioning/devicefiles.h"
#include "provisioning/devicetpm.h"
#include "provisioning/inventory.h"

#include <stdbool.h>

typedef struct Verification {
    const ProvisionOptions *options;
    DeviceFiles files;
    Tpm *tpm; /* NULL: it can't be reached */
    TpmFacts facts;
    bool srk_good;
    Inventory inventory;
    bool flawed;
} Verification;

/* Notes that `name` fits, and how far. */
void verification_fits(Verification *verification, const char *name, const char *what);

/* Notes that `name` does not fit: what was found, and what to do about it (NULL where the sentence
 * of `format` says it). */
void verification_misfits(Verification *verification, const char *name, const char *remedy,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The anchors, and the TPM's guard of them. */
void verification_anchors(Verification *verification);

/* The last-known time. */
void verification_time(Verification *verification);

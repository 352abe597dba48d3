/* The TPM through the Enhanced System API: connecting, and TPM errors in words. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <tss2/tss2_esys.h>

enum { TPM_ERROR_SIZE = 512, TPM_HELD_MAX = 8 };

typedef struct Tpm {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    bool exclusive; /* no resource manager between: what is in its slots and not ours is nobody's */
    ESYS_TR salt_key;    /* the storage root key; ESYS_TR_NONE until it is needed, or is there */
    TPM2B_NAME srk_name; /* the only storage root key that is trusted with a salt; empty: any */
    ESYS_TR held[TPM_HELD_MAX]; /* objects and sessions in use, which tpm_reclaim() leaves alone;
                                   ESYS_TR_NONE where there is none */
} Tpm;

typedef enum TpmKeyAlgorithm {
    TPM_KEY_ECDSA_P256,
    TPM_KEY_ECDSA_P384,
    TPM_KEY_RSA_2048,
    TPM_KEY_ALGORITHMS
} TpmKeyAlgorithm;

/* "ecdsa-p256", "ecdsa-p384", "rsa-2048": the names in configuration and on the bus. */
const char *tpm_key_algorithm_name(TpmKeyAlgorithm algorithm);

/* The algorithm of that name; -EINVAL for another. */
int tpm_key_algorithm_from_name(const char *name, TpmKeyAlgorithm *ret);

/* Connects by a TCTI string ("device:/dev/tpmrm0", "swtpm:host=127.0.0.1,port=2321") and asks the
 * TPM one thing, so that one that does not work shows here. The TPM must have been started
 * (firmware does that). Returns 0, or -ENODEV, -EACCES, -EBUSY, -ENOMEM, -EIO with `error`
 * (TPM_ERROR_SIZE octets) saying what stands between. Silences the TSS's own log on standard error
 * unless TSS2_LOG is set. */
int tpm_open(const char *tcti, Tpm **ret, char *error);

/* The same, with `meter` (NULL: none) between; it must outlive the Tpm. */
struct TpmMeter;
int tpm_open_metered(const char *tcti, struct TpmMeter *meter, Tpm **ret, char *error);
void tpm_close(Tpm *tpm);
DEFINE_POINTER_CLEANUP(Tpm, tpm_close);

/* Notes that an object or session is in use, and that it no longer is. */
void tpm_hold(Tpm *tpm, ESYS_TR object);
void tpm_unhold(Tpm *tpm, ESYS_TR object);

/* An error code without the number of the handle, session or parameter that it is about, and
 * without the layer that a resource manager puts before the TPM's own (TPM 2.0 Part 2, 6.6.2). */
TSS2_RC tpm_rc_base(TSS2_RC rc);

/* "TPM2_Sign: tpm:handle(1):…": the command and tss2-rc's words, with a remedy where one is known.
 * `error` has TPM_ERROR_SIZE octets. */
void tpm_error(char *error, const char *command, TSS2_RC rc);

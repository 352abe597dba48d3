/* The TPM through the Enhanced System API: connecting, and TPM errors in words. */
#pragma once

#include "base/cleanup.h"

#include <stddef.h>
#include <tss2/tss2_esys.h>

enum { TPM_ERROR_SIZE = 512 };

typedef struct Tpm {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
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
void tpm_close(Tpm *tpm);
DEFINE_POINTER_CLEANUP(Tpm, tpm_close);

/* "TPM2_Sign: tpm:handle(1):…": the command and tss2-rc's words, with a remedy where one is known.
 * `error` has TPM_ERROR_SIZE octets. */
void tpm_error(char *error, const char *command, TSS2_RC rc);

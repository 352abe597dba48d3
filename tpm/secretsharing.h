/* Secret sharing (TPM 2.0 Part 1, B.10 for RSA and C.6 for ECC): a secret that only the holder of a
 * key of some TPM can know, as a session's salt or a credential's seed. */
#pragma once

#include "tpm/crypto.h"

#include <tss2/tss2_tpm2_types.h>

/* A new secret of TPM_HASH_SIZE octets in *ret (for secret_free()), and in *ret_encrypted what the
 * TPM makes it from: for an RSA key in RSAES-OAEP, for a P-256 key by one-pass ECDH. `label` is
 * "SECRET" or "IDENTITY". 0, -EOPNOTSUPP for another key, -ENOMEM or -EIO. */
int tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *key, const char *label, Secret **ret,
                     TPM2B_ENCRYPTED_SECRET *ret_encrypted);

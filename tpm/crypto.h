/* The cryptography of sessions with the TPM. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "crypto/secret.h"

#include <openssl/evp.h>
#include <tss2/tss2_tpm2_types.h>

enum {
    TPM_HASH_SIZE = 32,
    TPM_CIPHER_KEY_SIZE = 16, /* AES-128 */
    TPM_CIPHER_BLOCK_SIZE = 16,
    TPM_PIECES_MAX = 8,
};

typedef struct TpmCrypto TpmCrypto;

/* 0, -ENOMEM or -EIO (OpenSSL lacks an algorithm). *ret is for tpm_crypto_free(). */
int tpm_crypto_new(TpmCrypto **ret);
void tpm_crypto_free(TpmCrypto *crypto);
DEFINE_POINTER_CLEANUP(TpmCrypto, tpm_crypto_free);

/* SHA-256 over the pieces, one after the other. `ret` has TPM_HASH_SIZE octets. 0 or -EIO. */
int tpm_hash(TpmCrypto *crypto, const Bytes *pieces, size_t count, uint8_t *ret);

/* HMAC-SHA-256 under `key`, which may be empty, over the pieces. 0, -ENOMEM or -EIO. */
int tpm_hmac(TpmCrypto *crypto, Bytes key, const Bytes *pieces, size_t count, uint8_t *ret);

/* KDFa (11.4.10.2), the counter mode of NIST SP 800-108 with HMAC: `size` octets for `label` from
 * `key` (not empty), contextU and contextV. *ret is for secret_free(). 0, -EINVAL, -ENOMEM, -EIO.
 */
int tpm_kdfa(TpmCrypto *crypto, Bytes key, const char *label, Bytes context_u, Bytes context_v,
             size_t size, Secret **ret);

/* KDFe (11.4.10.3), the one-step derivation of NIST SP 800-56C: TPM_HASH_SIZE octets from the
 * shared x coordinate `z`; the label's zero octet is part of it. Errors as above. */
int tpm_kdfe(TpmCrypto *crypto, const Secret *z, const char *label, Bytes party_u, Bytes party_v,
             Secret **ret);

/* AES-128-CFB (21.3) over `data` in place; no parameter of a TPM's is longer than UINT16_MAX. 0 or
 * -EIO. */
int tpm_cfb(TpmCrypto *crypto, bool encrypt, const uint8_t key[TPM_CIPHER_KEY_SIZE],
            const uint8_t iv[TPM_CIPHER_BLOCK_SIZE], uint8_t *data, size_t size);

/* A new secret of TPM_HASH_SIZE octets in *ret (for secret_free()), and in *ret_encrypted what the
 * TPM makes it from: for an RSA key in RSAES-OAEP, for a P-256 key by one-pass ECDH. `label` is
 * "SECRET" or "IDENTITY". 0, -EOPNOTSUPP for another key, -ENOMEM or -EIO. */
int tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *key, const char *label, Secret **ret,
                     TPM2B_ENCRYPTED_SECRET *ret_encrypted);

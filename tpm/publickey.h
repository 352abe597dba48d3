/* What the TPM makes public: its public areas as OpenSSL's keys, the Names that follow from them
 * (TPM 2.0 Part 1, 16), and its signatures. */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

/* The Name of an object or NV index: its name algorithm (SHA-256 only) and the hash of its
 * marshalled public area. 0, or -EINVAL for another name algorithm or one that does not marshal. */
int tpm_object_name(const TPM2B_PUBLIC *public, TPM2B_NAME *ret);
int tpm_nv_name(const TPMS_NV_PUBLIC *public, TPM2B_NAME *ret);

/* The Name of a PCR, session or permanent handle is the handle itself. */
void tpm_handle_name(TPM2_HANDLE handle, TPM2B_NAME *ret);

/* A TPM public area as an OpenSSL key; the caller's to EVP_PKEY_free(). 0, -EOPNOTSUPP or -EIO. */
int tpm_public_to_pkey(const TPM2B_PUBLIC *public, EVP_PKEY **ret);

/* An unsigned integer of the TPM's in exactly `size` octets: TPMs differ in whether they keep
 * leading zeros. Returns 0, or -ERANGE if it needs more. */
int tpm_integer_pad(Bytes integer, uint8_t *ret, size_t size);

/* ---- raw signatures, as device_key_sign() yields them, checked by OpenSSL ---- */

/* True if `signature` is good for `digest`, made with `digest_name` ("SHA256", "SHA384"). ECDSA
 * signatures come as r | s of equal size. For RSA, `pss_salt` is RSASSA-PSS's salt length in
 * octets, or -1 for PKCS#1 v1.5. */
bool signature_is_good(EVP_PKEY *pkey, const char *digest_name, Bytes digest, Bytes signature,
                       int pss_salt);

/* A raw ECDSA signature (r | s) as the DER that certificates and CSRs hold. *ret is for
 * OPENSSL_free(). Returns its size; or -ENOMEM, and *ret is NULL. */
int signature_ecdsa_to_der(Bytes raw, unsigned char **ret);

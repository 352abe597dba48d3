/* Public areas: as OpenSSL's keys, and the Names that follow from them (TPM 2.0 Part 1, 16). */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>
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

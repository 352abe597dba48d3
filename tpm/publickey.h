/* Public keys and integers from the TPM's structures, in the form that OpenSSL takes. */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>
#include <tss2/tss2_tpm2_types.h>

/* A TPM public area as an OpenSSL key; the caller's to EVP_PKEY_free(). 0, -EOPNOTSUPP or -EIO. */
int tpm_public_to_pkey(const TPM2B_PUBLIC *public, EVP_PKEY **ret);

/* An unsigned integer of the TPM's in exactly `size` octets: TPMs differ in whether they keep
 * leading zeros. Returns 0, or -ERANGE if it needs more. */
int tpm_integer_pad(Bytes integer, uint8_t *ret, size_t size);

/* Raw signatures, as device_key_sign() yields them, checked by OpenSSL. */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>
#include <stdbool.h>

/* True if `signature` is good for `digest`, made with `digest_name` ("SHA256", "SHA384"). ECDSA
 * signatures come as r | s of equal size. For RSA, `pss_salt` is RSASSA-PSS's salt length in
 * octets, or -1 for PKCS#1 v1.5. */
bool signature_is_good(EVP_PKEY *pkey, const char *digest_name, Bytes digest, Bytes signature,
                       int pss_salt);

/* A raw ECDSA signature (r | s) as the DER that certificates and CSRs hold. *ret is for
 * OPENSSL_free(). Returns its size, or -ENOMEM. */
int signature_ecdsa_to_der(Bytes raw, unsigned char **ret);

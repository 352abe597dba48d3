/* HMAC with a key, for the prf and for INTEG. */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>

/* A context that holds `key` and takes data; EVP_MAC_init() without a key makes it ready for the
 * next message. `digest` is OpenSSL's name. The caller's to EVP_MAC_CTX_free(). Returns 0, -ENOMEM
 * or -EIO. */
int hmac_new(const char *digest, Bytes key, EVP_MAC_CTX **ret);

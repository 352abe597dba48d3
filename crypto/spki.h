/* Public keys of the kinds that the profile has (TS 33.310 6.1: ECDSA on P-256 and P-384, RSA):
 * from their numbers, and as SubjectPublicKeyInfo in DER (RFC 5280 4.1.2.7).
 *
 * OpenSSL's own d2i_PUBKEY() and i2d_PUBKEY() look through all forms of all keys that its providers
 * know first, which takes a thousand times as long as the reading. */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>

/* The profile's curves, as OpenSSL has them. */
typedef struct SpkiCurve {
    int nid;
    const char *group;
} SpkiCurve;

enum { SPKI_CURVES = 2 };
extern const SpkiCurve spki_curves[SPKI_CURVES];

/* A point of the curve that OpenSSL calls `group`, as SEC 1 2.3.3 has it. *ret is the caller's to
 * EVP_PKEY_free(). 0, or -EBADMSG for one that is not on the curve. */
int ec_key_new(const char *group, Bytes point, EVP_PKEY **ret);

/* Modulus and exponent, most significant octet first. *ret as above. 0, or -EBADMSG. */
int rsa_key_new(Bytes modulus, Bytes exponent, EVP_PKEY **ret);

/* Reads one SubjectPublicKeyInfo, with nothing after it. *ret as above. 0, -EOPNOTSUPP for another
 * kind of key, or -EBADMSG. */
int spki_decode(Bytes der, EVP_PKEY **ret);

/* Writes one; *ret is the caller's to OPENSSL_free(). Its size, -EOPNOTSUPP, or -ENOMEM. */
int spki_encode(const EVP_PKEY *key, unsigned char **ret);

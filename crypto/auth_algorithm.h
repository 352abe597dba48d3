/* The AlgorithmIdentifier in front of an RFC 7427 signature: DER to what it means, and back. Only
 * what the profile has (TS 33.310 6.2) can be read or written. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AuthAlgorithm {
    bool ecdsa;         /* else RSA, */
    bool pss;           /* as RSASSA-PSS or as PKCS#1 v1.5 */
    const char *digest; /* OpenSSL's name, static; MGF1's as well */
    int salt;           /* PSS: its length, octets */
} AuthAlgorithm;

/* Positive: for the caller to handle. */
enum {
    AUTH_ALGORITHM_E_ENCODING = 1, /* not one AlgorithmIdentifier in DER */
    AUTH_ALGORITHM_E_NOT_ALLOWED,  /* SHA-1, PSS with default parameters, another algorithm, … */
};

/* Reads `der`, which must hold the AlgorithmIdentifier and nothing else. 0 or AUTH_ALGORITHM_E_….
 */
int auth_algorithm_decode(Bytes der, AuthAlgorithm *ret);

/* Writes it to `ret` (`capacity` octets). 0, -EINVAL for a digest outside the profile, -ENOBUFS or
 * -ENOMEM. */
int auth_algorithm_encode(const AuthAlgorithm *algorithm, uint8_t *ret, size_t capacity,
                          size_t *ret_size);

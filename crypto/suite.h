/* Algorithms: what each transform means to OpenSSL, and which of them the profile allows
 * (TS 33.210 5.4, TS 33.310 6.2; ../docs cite the clauses). The tables here are all there is: what
 * is not in them can't be negotiated. */
#pragma once

#include "ikewire/payload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Cipher {
    uint16_t id;       /* IKE_ENCR_… */
    uint16_t key_bits; /* the Key Length attribute; 0 if the transform has none */
    const char *name;  /* "AES_GCM_16_128", as logged */
    const char *openssl;
    bool aead;
    size_t key_size;   /* octets, without the salt */
    size_t salt_size;  /* 4 for AEAD (RFC 5282 7.1), else 0 */
    size_t iv_size;    /* octets on the wire */
    size_t icv_size;   /* of the AEAD tag; 0 where INTEG makes the ICV */
    size_t block_size; /* padding goes to a multiple of it (1: none needed) */
} Cipher;

typedef struct Prf {
    uint16_t id;
    const char *name;
    const char *digest; /* OpenSSL's name */
    size_t size;        /* output and preferred key size, octets */
} Prf;

typedef struct Integ {
    uint16_t id;
    const char *name;
    const char *digest;
    size_t key_size;
    size_t icv_size;
} Integ;

typedef struct Group {
    uint16_t id;          /* IKE_GROUP_… */
    const char *name;     /* "ECP_256", as logged */
    const char *key_type; /* OpenSSL's names of the key type and of the group in it, */
    const char *openssl;  /* NULL where the key type is the group */
    size_t public_size;   /* of the KE data, octets */
    size_t secret_size;   /* of g^ir */
} Group;

/* NULL if the profile does not have it. */
const Cipher *cipher_find(uint16_t id, uint16_t key_bits);
const Prf *prf_find(uint16_t id);
const Integ *integ_find(uint16_t id);
const Group *group_find(uint16_t id);

typedef struct IkeSuite {
    const Cipher *cipher;
    const Integ *integ; /* NULL with AEAD */
    const Prf *prf;
    uint16_t group;
} IkeSuite;

typedef struct EspSuite {
    const Cipher *cipher;
    const Integ *integ; /* NULL with AEAD */
    uint16_t group;     /* IKE_GROUP_NONE without a new KE */
    bool esn;
} EspSuite;

/* What suite selection can find wrong; positive, for the caller to handle. */
enum {
    SUITE_E_NOT_OFFERED = 1, /* the answer is not one of the offers (RFC 7296 2.7) */
    SUITE_E_NOT_ALLOWED,     /* the profile does not have it */
    SUITE_E_AMBIGUOUS, /* not exactly one transform of each type, or not exactly one proposal */
};

/* Reads the one proposal in `chosen`, checks that `offered` has it and that the profile allows it.
 * Returns 0 or SUITE_E_…. */
int ike_suite_select(const IkeSaPayload *offered, const IkeSaPayload *chosen, IkeSuite *ret);

/* An ESP suite from transform numbers; integ and group 0 for none. 0 or SUITE_E_NOT_ALLOWED. */
int esp_suite_from_ids(uint16_t encr, uint16_t key_bits, uint16_t integ, uint16_t group, bool esn,
                       EspSuite *ret);

enum { SUITE_NAME_SIZE = 128 };

/* "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256" into `text` (SUITE_NAME_SIZE octets); of an ESP suite
 * "AES_CBC_128/HMAC_SHA2_256_128/NO_ESN", with the group before the last if it has one. */
void ike_suite_name(const IkeSuite *suite, char *text);
void esp_suite_name(const EspSuite *suite, char *text);

/* Octets of keying material that a suite takes from prf+: all SK_* of an IKE SA (RFC 7296 2.14),
 * both directions of a Child SA (2.17). */
size_t ike_suite_keymat_size(const IkeSuite *suite);
size_t esp_suite_keymat_size(const EspSuite *suite);

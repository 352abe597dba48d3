/* The one table of algorithms: number, name, word in configuration files, sizes, role, and whether
 * the profile (TS 33.210 5.4.2, TS 33.310 6.2) has it. Everything else that knows an algorithm is
 * generated from these rows: the numbers' enumerators, the largest sizes, what can be configured,
 * what tred takes, and the names in logs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { /* RFC 7296 3.3.2: Transform Type */
       IKE_TRANSFORM_ENCR = 1,
       IKE_TRANSFORM_PRF = 2,
       IKE_TRANSFORM_INTEG = 3,
       IKE_TRANSFORM_KE = 4,
       IKE_TRANSFORM_ESN = 5,
};

enum { /* Transform Type 1; a number stands for all key lengths */
       IKE_ENCR_AES_CBC = 12,
       IKE_ENCR_AES_GCM_16 = 20,
       IKE_ENCR_CHACHA20_POLY1305 = 28, /* RFC 7634 2: no Key Length attribute */
};

enum { IKE_INTEG_NONE = 0, IKE_GROUP_NONE = 0 };
enum { IKE_ESN_NO = 0, IKE_ESN_YES = 1 }; /* Transform Type 5 */

/* Where an algorithm can be negotiated. */
enum { IKE_ROLE_IKE = 1, IKE_ROLE_ESP = 2, IKE_ROLE_BOTH = IKE_ROLE_IKE | IKE_ROLE_ESP };

/* clang-format off */

/* In all sizes: octets. "Profile" false: has a number and a name, and is refused wherever it is
 * configured, offered or chosen.
 *
 * Ciphers. The key is without the salt; an AEAD's salt has 4 octets (RFC 5282 7.1) and its ICV is
 * its own, where INTEG makes it otherwise; padding goes to a multiple of the block.
 *  name, number, key bits, word, OpenSSL, AEAD, key, salt, IV, ICV, block, role, profile */
#define IKE_CIPHERS(ROW) \
    ROW(AES_GCM_16_128, IKE_ENCR_AES_GCM_16, 128, "aes128gcm16", "AES-128-GCM", true, 16, 4, 8, 16, 1, IKE_ROLE_BOTH, true) \
    ROW(AES_GCM_16_256, IKE_ENCR_AES_GCM_16, 256, "aes256gcm16", "AES-256-GCM", true, 32, 4, 8, 16, 1, IKE_ROLE_BOTH, true) \
    ROW(AES_CBC_128, IKE_ENCR_AES_CBC, 128, "aes128", "AES-128-CBC", false, 16, 0, 16, 0, 16, IKE_ROLE_BOTH, true) \
    ROW(AES_CBC_256, IKE_ENCR_AES_CBC, 256, "aes256", "AES-256-CBC", false, 32, 0, 16, 0, 16, IKE_ROLE_BOTH, true) \
    /* RFC 7634: for devices whose processor has no AES instructions */ \
    ROW(CHACHA20_POLY1305, IKE_ENCR_CHACHA20_POLY1305, 0, "chacha20poly1305", "ChaCha20-Poly1305", true, 32, 4, 8, 16, 1, IKE_ROLE_BOTH, true)

/* Pseudorandom functions: the size is that of the output and of the preferred key (RFC 4868 2.1.2).
 *  name, number, word, digest as OpenSSL calls it, size, role, profile */
#define IKE_PRFS(ROW) \
    ROW(PRF_HMAC_SHA2_256, 5, "prfsha256", "SHA256", 32, IKE_ROLE_IKE, true) \
    ROW(PRF_HMAC_SHA2_384, 6, "prfsha384", "SHA384", 48, IKE_ROLE_IKE, true) \
    ROW(PRF_HMAC_SHA2_512, 7, "prfsha512", "SHA512", 64, IKE_ROLE_IKE, true)

/* Integrity (RFC 4868 2.1.1): the ICV is the first half of the HMAC. The PRF is the one that a
 * proposal without one implies.
 *  name, number, word, digest as OpenSSL calls it, key, ICV, PRF, role, profile */
#define IKE_INTEGS(ROW) \
    ROW(HMAC_SHA2_256_128, 12, "sha256", "SHA256", 32, 16, IKE_PRF_HMAC_SHA2_256, IKE_ROLE_BOTH, true) \
    ROW(HMAC_SHA2_384_192, 13, "sha384", "SHA384", 48, 24, IKE_PRF_HMAC_SHA2_384, IKE_ROLE_BOTH, false) \
    ROW(HMAC_SHA2_512_256, 14, "sha512", "SHA512", 64, 32, IKE_PRF_HMAC_SHA2_512, IKE_ROLE_BOTH, false)

/* Groups (RFC 3526, RFC 5903, RFC 8031): OpenSSL's key type, and the group in it (NULL where the
 * type is the group); the KE data, and g^ir.
 *  name, number, word, key type, group, public, secret, role, profile */
#define IKE_GROUPS(ROW) \
    ROW(MODP_2048, 14, "modp2048", "DH", "modp_2048", 256, 256, IKE_ROLE_IKE, true) \
    ROW(ECP_256, 19, "ecp256", "EC", "P-256", 64, 32, IKE_ROLE_IKE, true) \
    ROW(ECP_384, 20, "ecp384", "EC", "P-384", 96, 48, IKE_ROLE_IKE, true) \
    ROW(CURVE25519, 31, "curve25519", "X25519", NULL, 32, 32, IKE_ROLE_IKE, true)

/* Extended sequence numbers (RFC 4303 2.2.1): name, number, word, role, profile */
#define IKE_ESNS(ROW) \
    ROW(NO_ESN, IKE_ESN_NO, "noesn", IKE_ROLE_ESP, true) \
    ROW(ESN, IKE_ESN_YES, "esn", IKE_ROLE_ESP, true)

#define IKE_NUMBER_PRF(name, number, ...) IKE_##name = (number),
enum { IKE_PRFS(IKE_NUMBER_PRF) }; /* Transform Type 2 */
#define IKE_NUMBER_INTEG(name, number, ...) IKE_INTEG_##name = (number),
enum { IKE_INTEGS(IKE_NUMBER_INTEG) }; /* Transform Type 3 */
#define IKE_NUMBER_GROUP(name, number, ...) IKE_GROUP_##name = (number),
enum { IKE_GROUPS(IKE_NUMBER_GROUP) }; /* Transform Type 4 */

/* The largest of each, for buffers: a union is as large as its largest member. */
#define IKE_CIPHER_KEY(name, number, bits, word, openssl, aead, key, salt, ...) uint8_t name[(key) + (salt)];
#define IKE_CIPHER_SALT(name, number, bits, word, openssl, aead, key, salt, ...) uint8_t name[1 + (salt)];
#define IKE_CIPHER_IV(name, number, bits, word, openssl, aead, key, salt, iv, ...) uint8_t name[iv];
#define IKE_CIPHER_ICV(name, number, bits, word, openssl, aead, key, salt, iv, icv, ...) uint8_t name[1 + (icv)];
#define IKE_CIPHER_BLOCK(name, number, bits, word, openssl, aead, key, salt, iv, icv, block, ...) uint8_t name[block];
#define IKE_PRF_OUTPUT(name, number, word, digest, size, ...) uint8_t name[size];
#define IKE_INTEG_KEY(name, number, word, digest, key, ...) uint8_t name[key];
#define IKE_INTEG_ICV(name, number, word, digest, key, icv, ...) uint8_t name[1 + (icv)];
#define IKE_GROUP_PUBLIC(name, number, word, type, group, public, ...) uint8_t name[public];
/* clang-format on */

enum {
    IKE_CIPHER_SALT_MAX = sizeof(union {IKE_CIPHERS(IKE_CIPHER_SALT)}) - 1,
    IKE_CIPHER_IV_MAX = sizeof(union {IKE_CIPHERS(IKE_CIPHER_IV)}),
    IKE_CIPHER_BLOCK_MAX = sizeof(union {IKE_CIPHERS(IKE_CIPHER_BLOCK)}),
    IKE_PRF_SIZE_MAX = sizeof(union {IKE_PRFS(IKE_PRF_OUTPUT)}),
    /* any one key of an SA */
    IKE_KEY_MAX = sizeof(union {IKE_CIPHERS(IKE_CIPHER_KEY) IKE_INTEGS(IKE_INTEG_KEY)}),
    IKE_ICV_MAX = sizeof(union {IKE_CIPHERS(IKE_CIPHER_ICV) IKE_INTEGS(IKE_INTEG_ICV)}) - 1,
    IKE_KE_SIZE_MAX = sizeof(union {IKE_GROUPS(IKE_GROUP_PUBLIC)}),
};

/* What all rows have. The strings are static. */
typedef struct Algorithm {
    uint8_t type; /* IKE_TRANSFORM_… */
    uint16_t id;
    uint16_t key_bits;    /* the Key Length attribute; 0 if the transform has none */
    const char *name;     /* "AES_GCM_16_128", as logged and on the bus */
    const char *word;     /* "aes128gcm16", in configuration files */
    uint8_t roles;        /* IKE_ROLE_… */
    bool in_profile;      /* what can be negotiated */
    bool aead;            /* of a cipher */
    uint16_t implied_prf; /* of INTEG: the PRF where a proposal names none; else 0 */
} Algorithm;

typedef struct Cipher {
    uint16_t id;
    uint16_t key_bits;
    const char *name;
    const char *openssl;
    bool aead;
    size_t key_size, salt_size, iv_size, icv_size, block_size;
} Cipher;

typedef struct Prf {
    uint16_t id;
    const char *name;
    const char *digest;
    size_t size;
} Prf;

typedef struct Integ {
    uint16_t id;
    const char *name;
    const char *digest;
    size_t key_size;
    size_t icv_size;
} Integ;

typedef struct Group {
    uint16_t id;
    const char *name;
    const char *key_type;
    const char *openssl;
    size_t public_size;
    size_t secret_size;
} Group;

/* NULL if the profile does not have it. */
const Cipher *cipher_find(uint16_t id, uint16_t key_bits);
const Prf *prf_find(uint16_t id);
const Integ *integ_find(uint16_t id);
const Group *group_find(uint16_t id);

/* Row `index` of all that have a number here, in the profile or not; NULL beyond the last. */
const Algorithm *algorithm_at(size_t index);

/* By number; NULL if there is no such row. */
const Algorithm *algorithm_find(uint8_t type, uint16_t id, uint16_t key_bits);

/* "ECP_256", "AES_CBC_128"; "unknown" for what has no row. */
const char *algorithm_name(uint8_t type, uint16_t id, uint16_t key_bits);

/* The groups for a person: "14 (MODP_2048), 19 (ECP_256), …". A static string. */
const char *group_list(void);

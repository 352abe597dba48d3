/* AUTH payloads (RFC 7296 2.15, RFC 4754, RFC 7427): what is signed, with which method, in which
 * form. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "tred/keyschedule.h"
#include "verify/frames.h"

#include <openssl/evp.h>

enum { AUTH_DATA_MAX = 1024 };

/* How an AUTH is made with a given key. */
typedef struct AuthScheme {
    uint8_t method;     /* IKE_AUTH_… */
    const char *digest; /* OpenSSL's name of the hash over the signed octets */
    bool pss;           /* RSASSA-PSS rather than PKCS#1 v1.5 */
} AuthScheme;

/* The octets that an AUTH covers: message | nonce | prf(sk_p, id_body). *ret is the caller's to
 * free(). `message` is the whole IKE_SA_INIT message of the signer, without non-ESP marker; `nonce`
 * the other side's; `id_body` the ID payload without its generic header. 0, -ENOMEM or -EIO. */
int auth_signed_octets(const Prf *prf, const Secret *sk_p, Bytes message, Bytes nonce,
                       Bytes id_body, uint8_t **ret, size_t *ret_size);

/* Picks the scheme for our key: method 14 if the peer listed a hash that fits (`peer_hashes`, a
 * list of IKE_HASH_…, count 0 if it sent no SIGNATURE_HASH_ALGORITHMS), else 9, 10 or 1. Returns 0,
 * or -EOPNOTSUPP for a key that no method of the profile fits. */
int auth_scheme_choose(const EVP_PKEY *public_key, const uint16_t *peer_hashes, size_t count,
                       AuthScheme *ret);

/* A raw ECDSA signature (r | s, each of `half` octets) as DER with minimal INTEGERs. */
int auth_ecdsa_der(Bytes r, Bytes s, uint8_t *ret, size_t capacity, size_t *ret_size);

/* The AUTH data of a signature: for method 14 the length, AlgorithmIdentifier and signature (ECDSA
 * in DER, RSA as it is), for 9 and 10 r | s, for 1 the signature. Raw ECDSA signatures come as r |
 * s; `pss_salt` is the salt's length. Writes to `ret` (AUTH_DATA_MAX octets). 0, -EINVAL, -ENOBUFS
 * for an RSA key whose signature has no room there, -ENOMEM or -EIO. */
int auth_data_encode(const AuthScheme *scheme, const EVP_PKEY *public_key, Bytes signature,
                     int pss_salt, uint8_t *ret, size_t *ret_size);

/* Positive: for the caller. */
enum {
    AUTH_E_METHOD = 1, /* method or AlgorithmIdentifier outside the profile, or not the key's */
    AUTH_E_ENCODING,   /* AUTH data that does not parse, or not canonical DER */
    AUTH_E_SIGNATURE,  /* the signature is wrong */
    AUTH_E_SHA1,       /* it is right, with SHA-1, which the profile does not have */
};

/* Checks a peer's AUTH over `octets` with its certificate's key. 0, AUTH_E_…, or -EIO. */
int auth_verify(EVP_PKEY *peer_key, uint8_t method, Bytes auth_data, Bytes octets);

/* True unless such an AUTH's hash is missing among `hashes`, the `count` IKE_HASH_… that were
 * announced to its sender (RFC 7427 4). Other methods than 14 have no choice of a hash, and what
 * does not parse is left to auth_verify(). */
bool auth_hash_is_announced(uint8_t method, Bytes auth_data, const uint16_t *hashes, size_t count);

/* True if such an AUTH would be RSA with PKCS#1 v1.5 padding, which a profile may refuse. */
bool auth_is_rsa_pkcs1(const EVP_PKEY *peer_key, uint8_t method, Bytes auth_data);

/* The SeGW's public key, as OpenSSL reads it from a verdict: the one that was read last, with what
 * it was read from: reading one takes OpenSSL longer than verifying a signature with it, and a SeGW
 * has the same key for months. */
typedef struct PeerKey {
    EVP_PKEY *key; /* NULL: none was read */
    uint8_t octets[PEER_KEY_SIZE_MAX];
    size_t size;
} PeerKey;

/* Reads one SubjectPublicKeyInfo, with nothing after it. *ret is the caller's to EVP_PKEY_free().
 * 0, -EOPNOTSUPP for a kind of key outside the profile, or -EBADMSG. */
int peer_key_read(PeerKey *last, Bytes public_key, EVP_PKEY **ret);

void peer_key_deinit(PeerKey *last);

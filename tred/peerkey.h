/* The SeGW's public key, as OpenSSL reads it from a verdict. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "verify/frames.h"

#include <openssl/evp.h>

/* The key that was read last, with what it was read from: reading one takes OpenSSL longer than
 * verifying a signature with it, and a SeGW has the same key for months. */
typedef struct PeerKey {
    EVP_PKEY *key; /* NULL: none was read */
    uint8_t octets[PEER_KEY_SIZE_MAX];
    size_t size;
} PeerKey;

/* Reads one SubjectPublicKeyInfo, with nothing after it. *ret is the caller's to EVP_PKEY_free().
 * 0, -EOPNOTSUPP for a kind of key outside the profile, or -EBADMSG. */
int peer_key_read(PeerKey *last, Bytes public_key, EVP_PKEY **ret);

void peer_key_deinit(PeerKey *last);

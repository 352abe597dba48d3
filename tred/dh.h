/* Ephemeral Diffie-Hellman in the profile's groups (RFC 7296 3.4, RFC 3526, RFC 5903, RFC 8031). */
#pragma once

#include "base/cleanup.h"
#include "crypto/secret.h"
#include "ikewire/algorithm.h"

#include <openssl/evp.h>
#include <stdint.h>

enum { DH_PUBLIC_MAX = IKE_KE_SIZE_MAX };

typedef struct Dh Dh;

/* Makes a key pair. Returns 0, -EOPNOTSUPP for a group that the profile lacks, -ENOMEM, or -EIO if
 * the library failed. */
int dh_new(uint16_t group, Dh **ret);

/* The same with a key pair that is there already, so that known answers can be tested. Takes a
 * reference of its own to `key`. */
int dh_new_from_key(uint16_t group, EVP_PKEY *key, Dh **ret);

/* Wipes the private key. To be called as soon as the secret is derived. */
void dh_free(Dh *dh);
DEFINE_POINTER_CLEANUP(Dh, dh_free);

uint16_t dh_group(const Dh *dh);

/* The KE data as it goes on the wire (ECP: x | y; MODP: padded to the prime's size). Borrowed. */
Bytes dh_public(const Dh *dh);

/* g^ir with the peer's KE data (ECP: x; MODP: left-padded). Returns 0, -EBADMSG if the peer's value
 * has a wrong size, is not on the curve, or yields a degenerate secret (RFC 6989), or -ENOMEM. */
int dh_derive(const Dh *dh, Bytes peer_public, Secret **ret);

/* Ephemeral Diffie-Hellman in the profile's groups (RFC 7296 3.4, RFC 3526, RFC 5903, RFC 8031). */
#pragma once

#include "base/cleanup.h"
#include "crypto/secret.h"
#include "ikewire/algorithm.h"

#include <openssl/evp.h>
#include <stdbool.h>
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

/* The key pair that one IKE_SA_INIT request offers. Each response to it that may be the peer's has
 * an exchange of its own (RFC 7296 2.4), and all of these share the key pair. */
enum {
    KEY_OFFER_RESPONSES_MAX = 4, /* that keys are derived with */
    KEY_OFFER_REFUSALS_MAX = 16, /* of keys that were derived before: each costs a derivation */
};

typedef struct KeyOffer KeyOffer;

/* Takes *dh over, which is NULL then. Returns 0 or -ENOMEM. */
int key_offer_new(Dh **dh, KeyOffer **ret);

KeyOffer *key_offer_ref(KeyOffer *offer);

/* Wipes the private key with the last reference; NULL is fine. */
void key_offer_unref(KeyOffer *offer);
DEFINE_POINTER_CLEANUP(KeyOffer, key_offer_unref);

const Dh *key_offer_dh(const KeyOffer *offer);

/* True if more than one exchange has it, or keys were derived with it. */
bool key_offer_is_in_use(const KeyOffer *offer);

/* True if there are so many of either: no more are to be derived. */
bool key_offer_is_spent(const KeyOffer *offer);

/* Notes that keys were derived with it, of which `sk_d` is one. Two exchanges with the same keys
 * would use AES-GCM IVs twice (RFC 5282 3.1), also where the one has been closed before the other
 * began; and a response that was altered can lead to the same keys (a point of the curve and its
 * negative have one x). So keys are told apart by themselves. Returns 0, -EEXIST for keys that were
 * derived before, -ENOSPC after KEY_OFFER_RESPONSES_MAX of them, or -EIO. */
int key_offer_note_keys(KeyOffer *offer, const Secret *sk_d);

/* The DH key pair that one IKE_SA_INIT request offers. Each response to it that may be the peer's
 * has an exchange of its own (RFC 7296 2.4), and all of these share the key pair. */
#pragma once

#include "base/cleanup.h"
#include "tred/dh.h"

#include <stdbool.h>

enum { KEY_OFFER_RESPONSES_MAX = 4 }; /* that keys are derived with */

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

/* Notes that keys were derived with it, of which `sk_d` is one. Two exchanges with the same keys
 * would use AES-GCM IVs twice (RFC 5282 3.1), also where the one has been closed before the other
 * began; and a response that was altered can lead to the same keys (a point of the curve and its
 * negative have one x). So keys are told apart by themselves. Returns 0, -EEXIST for keys that were
 * derived before, -ENOSPC after KEY_OFFER_RESPONSES_MAX of them, or -EIO. */
int key_offer_note_keys(KeyOffer *offer, const Secret *sk_d);

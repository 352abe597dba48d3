/* Who shares a DH key pair, and which keys have come of it. */
#include "tred/keyoffer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { FINGERPRINT_SIZE = 32 }; /* SHA-256 */

struct KeyOffer {
    unsigned n_refs;
    Dh *dh;
    size_t n_keys;
    uint8_t fingerprints[KEY_OFFER_RESPONSES_MAX][FINGERPRINT_SIZE];
};

int key_offer_new(Dh **dh, KeyOffer **ret)
{
    KeyOffer *offer = calloc(1, sizeof(*offer));

    if (!offer)
        return -ENOMEM;
    *offer = (KeyOffer){.n_refs = 1, .dh = steal_pointer(*dh)};
    *ret = offer;
    return 0;
}

KeyOffer *key_offer_ref(KeyOffer *offer)
{
    offer->n_refs++;
    return offer;
}

void key_offer_unref(KeyOffer *offer)
{
    if (!offer || --offer->n_refs > 0)
        return;
    dh_free(offer->dh);
    free(offer);
}

const Dh *key_offer_dh(const KeyOffer *offer)
{
    return offer->dh;
}

bool key_offer_is_in_use(const KeyOffer *offer)
{
    return offer->n_refs > 1 || offer->n_keys > 0;
}

int key_offer_note_keys(KeyOffer *offer, const Secret *sk_d)
{
    uint8_t fingerprint[FINGERPRINT_SIZE];
    Bytes octets = secret_bytes(sk_d);
    size_t size = sizeof(fingerprint);

    if (EVP_Q_digest(NULL, "SHA256", NULL, octets.data, octets.size, fingerprint, &size) != 1)
        return -EIO;
    for (size_t i = 0; i < offer->n_keys; i++) {
        if (memcmp(offer->fingerprints[i], fingerprint, sizeof(fingerprint)) == 0)
            return -EEXIST;
    }
    if (offer->n_keys == KEY_OFFER_RESPONSES_MAX)
        return -ENOSPC;
    memcpy(offer->fingerprints[offer->n_keys++], fingerprint, sizeof(fingerprint));
    return 0;
}

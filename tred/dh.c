/* Key pairs for KE payloads, the secret that is shared with the peer after IKE_SA_INIT, and which
 * keys have come of one that several exchanges offer. */
#include "tred/dh.h"

#include "crypto/memory.h"
#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct Dh {
    const Group *group;
    EVP_PKEY *key;
    uint8_t public[DH_PUBLIC_MAX];
};

/* SEC 1 2.3.3 puts this octet before x | y; RFC 5903 7 leaves it out. */
enum { POINT_UNCOMPRESSED = 4 };

static bool group_is_ecp(const Group *group)
{
    return strcmp(group->key_type, "EC") == 0;
}

static bool group_is_modp(const Group *group)
{
    return strcmp(group->key_type, "DH") == 0;
}

static int key_generate(const Group *group, EVP_PKEY **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context =
        EVP_PKEY_CTX_new_from_name(NULL, group->key_type, NULL);

    if (!context || EVP_PKEY_keygen_init(context) <= 0)
        return -EIO;
    if (group->openssl && EVP_PKEY_CTX_set_group_name(context, group->openssl) <= 0)
        return -EIO;
    return EVP_PKEY_generate(context, ret) > 0 ? 0 : -EIO;
}

int dh_new_from_key(uint16_t group_id, EVP_PKEY *key, Dh **ret)
{
    _cleanup_(dh_freep) Dh *dh = NULL;
    unsigned char *encoded = NULL;
    const Group *group = group_find(group_id);
    size_t prefix, size;

    if (!group)
        return -EOPNOTSUPP;
    dh = calloc(1, sizeof(*dh));
    if (!dh)
        return -ENOMEM;
    prefix = group_is_ecp(group) ? 1 : 0;
    size = EVP_PKEY_get1_encoded_public_key(key, &encoded);
    if (size != prefix + group->public_size) {
        OPENSSL_free(encoded);
        return -EIO;
    }
    memcpy(dh->public, encoded + prefix, group->public_size);
    OPENSSL_free(encoded);
    if (!EVP_PKEY_up_ref(key))
        return -EIO;
    dh->key = key;
    dh->group = group;
    *ret = steal_pointer(dh);
    return 0;
}

int dh_new(uint16_t group_id, Dh **ret)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    const Group *group = group_find(group_id);
    int r;

    if (!group)
        return -EOPNOTSUPP;
    r = key_generate(group, &key);
    if (r < 0)
        return r;
    return dh_new_from_key(group_id, key, ret);
}

void dh_free(Dh *dh)
{
    if (!dh)
        return;
    EVP_PKEY_free(dh->key);
    free(dh);
}

uint16_t dh_group(const Dh *dh)
{
    return dh->group->id;
}

Bytes dh_public(const Dh *dh)
{
    return (Bytes){dh->public, dh->group->public_size};
}

/* The peer's KE data as a key, checked as RFC 6989 2.1 and 2.3 ask: MODP 1 < y < p - 1, which is
 * enough for a prime p = 2q + 1; ECP both coordinates below p, and the point on the curve and not
 * at infinity. */
static int peer_key(const Dh *dh, Bytes peer_public, EVP_PKEY **ret)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *peer = EVP_PKEY_new();
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = NULL;
    uint8_t encoded[1 + DH_PUBLIC_MAX];
    Bytes view;
    Writer writer;

    if (peer_public.size != dh->group->public_size)
        return -EBADMSG;
    if (!peer || EVP_PKEY_copy_parameters(peer, dh->key) <= 0)
        return -ENOMEM;
    writer_init(&writer, encoded, sizeof(encoded));
    if (group_is_ecp(dh->group))
        writer_u8(&writer, POINT_UNCOMPRESSED);
    writer_bytes(&writer, peer_public);
    if (writer_finish(&writer, &view) < 0 ||
        EVP_PKEY_set1_encoded_public_key(peer, view.data, view.size) <= 0)
        return -EBADMSG;
    context = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
    if (!context)
        return -ENOMEM;
    if (EVP_PKEY_public_check_quick(context) <= 0)
        return -EBADMSG;
    *ret = steal_pointer(peer);
    return 0;
}

static int derive(const Dh *dh, Bytes peer_public, Secret **ret)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *peer = NULL;
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = NULL;
    _cleanup_(secret_freep) Secret *secret = NULL;
    size_t size = dh->group->secret_size;
    int r;

    r = peer_key(dh, peer_public, &peer);
    if (r < 0)
        return r;
    r = secret_new(size, &secret);
    if (r < 0)
        return r;
    context = EVP_PKEY_CTX_new_from_pkey(NULL, dh->key, NULL);
    if (!context)
        return -ENOMEM;
    if (EVP_PKEY_derive_init(context) <= 0)
        return -EIO;
    /* RFC 7296 2.14: g^ir is padded with zeros to the length of the prime. */
    if (group_is_modp(dh->group) && EVP_PKEY_CTX_set_dh_pad(context, 1) <= 0)
        return -EIO;
    if (EVP_PKEY_derive_set_peer_ex(context, peer, 0) <= 0)
        return -EBADMSG;
    /* RFC 8031 2.2: an all-zero X25519 result is refused; the library does that here. */
    if (EVP_PKEY_derive(context, secret->data, &size) <= 0 || size != secret->size)
        return -EBADMSG;
    *ret = steal_pointer(secret);
    return 0;
}

int dh_derive(const Dh *dh, Bytes peer_public, Secret **ret)
{
    int r;

    memory_watch_begin();
    r = derive(dh, peer_public, ret);
    /* OpenSSL refuses a good value, too, where memory runs out. */
    return r == -EBADMSG && memory_ran_out() ? -ENOMEM : r;
}

/* ---- one that is offered ---- */

enum { FINGERPRINT_SIZE = 32 }; /* SHA-256 */

struct KeyOffer {
    unsigned n_refs;
    Dh *dh;
    size_t n_keys, n_refusals;
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

bool key_offer_is_spent(const KeyOffer *offer)
{
    return offer->n_keys == KEY_OFFER_RESPONSES_MAX || offer->n_refusals == KEY_OFFER_REFUSALS_MAX;
}

int key_offer_note_keys(KeyOffer *offer, const Secret *sk_d)
{
    uint8_t fingerprint[FINGERPRINT_SIZE];
    Bytes octets = secret_bytes(sk_d);
    size_t size = sizeof(fingerprint);

    if (EVP_Q_digest(NULL, "SHA256", NULL, octets.data, octets.size, fingerprint, &size) != 1)
        return -EIO;
    for (size_t i = 0; i < offer->n_keys; i++) {
        if (CRYPTO_memcmp(offer->fingerprints[i], fingerprint, sizeof(fingerprint)) == 0) {
            offer->n_refusals++;
            return -EEXIST;
        }
    }
    if (offer->n_keys == KEY_OFFER_RESPONSES_MAX)
        return -ENOSPC;
    memcpy(offer->fingerprints[offer->n_keys++], fingerprint, sizeof(fingerprint));
    return 0;
}

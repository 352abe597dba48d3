/* Reads the SeGW's public key, or takes the one that the same octets gave before. */
#include "tred/peerkey.h"

#include "crypto/spki.h"

#include <string.h>

static void key_keep(PeerKey *last, Bytes public_key, EVP_PKEY *key)
{
    if (public_key.size > sizeof(last->octets) || EVP_PKEY_up_ref(key) != 1)
        return;
    EVP_PKEY_free(last->key);
    last->key = key;
    memcpy(last->octets, public_key.data, public_key.size);
    last->size = public_key.size;
}

int peer_key_read(PeerKey *last, Bytes public_key, EVP_PKEY **ret)
{
    int r;

    if (last->key && bytes_equal(public_key, (Bytes){last->octets, last->size}) &&
        EVP_PKEY_up_ref(last->key) == 1) {
        *ret = last->key;
        return 0;
    }
    r = spki_decode(public_key, ret);
    if (r == 0)
        key_keep(last, public_key, *ret);
    return r;
}

void peer_key_deinit(PeerKey *last)
{
    EVP_PKEY_free(last->key);
    *last = (PeerKey){0};
}

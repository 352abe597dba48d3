/* Keeps the certificates that were read last, each with the octets that it was read from. */
#include "verify/peer_seen.h"

#include <stdlib.h>
#include <string.h>

static const SeenCertificate *find(const PeerSeen *seen, Bytes der)
{
    for (size_t i = 0; i < PEER_SEEN_MAX; i++) {
        const SeenCertificate *place = &seen->places[i];

        if (place->certificate && bytes_equal((Bytes){place->der, place->size}, der))
            return place;
    }
    return NULL;
}

X509 *peer_seen_find(const PeerSeen *seen, Bytes der)
{
    const SeenCertificate *place = find(seen, der);

    return place && X509_up_ref(place->certificate) == 1 ? place->certificate : NULL;
}

static void place_free(SeenCertificate *place)
{
    X509_free(place->certificate);
    free(place->der);
    *place = (SeenCertificate){0};
}

void peer_seen_keep(PeerSeen *seen, Bytes der, X509 *certificate)
{
    SeenCertificate *place = &seen->places[seen->next];
    uint8_t *copy;

    if (der.size == 0 || find(seen, der))
        return;
    copy = malloc(der.size);
    if (!copy || X509_up_ref(certificate) != 1) {
        free(copy);
        return;
    }
    memcpy(copy, der.data, der.size);
    place_free(place);
    *place = (SeenCertificate){certificate, copy, der.size};
    seen->next = (seen->next + 1) % PEER_SEEN_MAX;
}

void peer_seen_deinit(PeerSeen *seen)
{
    for (size_t i = 0; i < PEER_SEEN_MAX; i++)
        place_free(&seen->places[i]);
    seen->next = 0;
}

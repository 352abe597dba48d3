/* Certificates of peers that were taken, as OpenSSL reads them. */
#pragma once

#include "base/bytes.h"

#include <openssl/x509.h>

enum { PEER_SEEN_MAX = 4 }; /* a SeGW's own and its intermediates */

typedef struct SeenCertificate {
    X509 *certificate; /* NULL: a free place */
    uint8_t *der;
    size_t size;
} SeenCertificate;

/* Reading a certificate takes OpenSSL longer than verifying its signature, and a SeGW shows the
 * same ones for months. What is kept is what was read from the same octets, and no judgement. */
typedef struct PeerSeen {
    SeenCertificate places[PEER_SEEN_MAX];
    size_t next; /* the place that is given to another */
} PeerSeen;

/* The certificate with these octets, a reference of the caller's; NULL if it is not kept. */
X509 *peer_seen_find(const PeerSeen *seen, Bytes der);

/* Keeps a certificate that was read from `der`, where it is not kept and there is memory. */
void peer_seen_keep(PeerSeen *seen, Bytes der, X509 *certificate);

void peer_seen_deinit(PeerSeen *seen);

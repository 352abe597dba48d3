/* How the SeGW sees this host: a NAT between may give it another address or port at any time, which
 * with MOBIKE the SeGW follows at our word alone (RFC 4555 3.8). */
#pragma once

#include "ikeclient/sa.h"

/* The way of a message, and whose. */
typedef struct MobikePath {
    const Endpoint *peer;
    const Endpoint *local;
    uint64_t spi_i, spi_r;
    bool feign_nat; /* as in IKE_SA_INIT: the peer is to find one */
} MobikePath;

/* Between the IKE SA's own end and the peer's at `peer`, both borrowed. */
MobikePath nat_mapping_path(const IkeSa *sa, const Endpoint *peer);

/* Adds NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP for a message of ours that goes it.
 */
void nat_mapping_add(const MobikePath *path, IkeChain *chain);

/* True if it can change without our knowledge, so that a liveness check asks for it, too; false for
 * good once the SeGW's answers were no two the same, three in a row. */
bool nat_mapping_is_asked(const IkeSa *sa);

/* Takes what the answer to a request that asked for it says. True if the SeGW sees us elsewhere
 * than by its answer before. */
bool nat_mapping_take(IkeSa *sa, const IkePayloads *payloads);

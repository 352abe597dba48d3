/* How the SeGW sees this host: asked for by its hash, compared with the one before. */
#include "ikeclient/nat_mapping.h"

#include <string.h>

MobikePath nat_mapping_path(const IkeSa *sa, const Endpoint *peer)
{
    return (MobikePath){.peer = peer,
                        .local = transport_local(sa->transport),
                        .spi_i = sa->spi_i,
                        .spi_r = sa->spi_r,
                        .feign_nat = sa->identity.needs_udp};
}

void nat_mapping_add(const MobikePath *path, IkeChain *chain)
{
    uint8_t from[NAT_HASH_SIZE], to[NAT_HASH_SIZE];
    Endpoint source = *path->local;

    if (path->feign_nat)
        endpoint_set_port(&source, 0);
    nat_hash(path->spi_i, path->spi_r, &source, from);
    nat_hash(path->spi_i, path->spi_r, path->peer, to);
    ike_chain_add_notify(chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(from));
    ike_chain_add_notify(chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(to));
}

/* A SeGW that feigns a NAT to have ESP in UDP may name others' addresses or anything, and each time
 * something else: what it says is worth nothing then. */
enum { CHANGES_MAX = 3 };

/* Where encapsulation was feigned there may be a NAT that we do not know of. */
bool nat_mapping_is_asked(const IkeSa *sa)
{
    return sa->mobike && sa->mapping.changes < CHANGES_MAX &&
           (sa->nat.here || sa->identity.needs_udp);
}

bool nat_mapping_take(IkeSa *sa, const IkePayloads *payloads)
{
    NatMapping *mapping = &sa->mapping;
    IkeNotify notify;

    if (mapping->changes == CHANGES_MAX ||
        !ike_payloads_notify(payloads, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, &notify) ||
        notify.data.size != NAT_HASH_SIZE)
        return false;
    const bool changed =
        mapping->known && memcmp(mapping->hash, notify.data.data, NAT_HASH_SIZE) != 0;
    memcpy(mapping->hash, notify.data.data, NAT_HASH_SIZE);
    mapping->known = true;
    mapping->changes = changed ? mapping->changes + 1 : 0;
    return changed;
}

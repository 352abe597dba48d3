/* Is there a NAT between us and the SeGW, and at whose end? */
#include "ikeclient/nat.h"

#include <sha1.h>

_Static_assert(NAT_HASH_SIZE == SHA1_DIGEST_LENGTH, "NAT detection hashes are SHA-1");

void nat_hash(uint64_t spi_i, uint64_t spi_r, const Endpoint *endpoint, uint8_t *hash)
{
    uint8_t octets[8 + 8 + 16 + 2];
    Writer writer;
    SHA1_CTX context;

    writer_init(&writer, octets, sizeof(octets));
    writer_u64(&writer, spi_i);
    writer_u64(&writer, spi_r);
    writer_bytes(&writer, endpoint_address(endpoint));
    writer_u16(&writer, endpoint_port(endpoint));

    SHA1Init(&context);
    SHA1Update(&context, octets, writer.size);
    SHA1Final(hash, &context);
}

/* Looks for notifies of `type`; true if there are any, with *ret_fits saying if one is the hash of
 * `endpoint`. */
static bool find_hash(const IkeMessage *response, uint16_t type, const Endpoint *endpoint,
                      bool *ret_fits)
{
    uint8_t hash[NAT_HASH_SIZE];
    size_t position = 0;
    bool found = false;
    const IkePayload *payload;

    *ret_fits = false;
    nat_hash(response->header.spi_i, response->header.spi_r, endpoint, hash);
    while ((payload = ike_payloads_next(&response->payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        IkeNotify notify;
        if (ike_notify_decode(payload->body, &notify) != 0 || notify.type != type)
            continue;
        found = true;
        if (bytes_equal(notify.data, BYTES_OF(hash)))
            *ret_fits = true;
    }
    return found;
}

NatFinding nat_find(const IkeMessage *response, const Endpoint *local, const Endpoint *remote)
{
    bool source_fits = false, destination_fits = false;
    bool source = find_hash(response, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, remote, &source_fits);
    bool destination =
        find_hash(response, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, local, &destination_fits);

    if (!source || !destination)
        return (NatFinding){0};
    return (NatFinding){.supported = true, .here = !destination_fits, .there = !source_fits};
}

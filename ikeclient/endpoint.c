/* Addresses with ports, as system calls, persons and NAT detection have them. */
#include "ikeclient/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sha1.h>
#include <stdio.h>

_Static_assert(NAT_HASH_SIZE == SHA1_DIGEST_LENGTH, "NAT detection hashes are SHA-1");

int endpoint_from_literal(const char *literal, uint16_t port, Endpoint *ret)
{
    Endpoint endpoint = {0};

    if (inet_pton(AF_INET, literal, &endpoint.v4.sin_addr) == 1) {
        endpoint.any.sa_family = AF_INET;
    } else {
        endpoint = (Endpoint){0};
        if (inet_pton(AF_INET6, literal, &endpoint.v6.sin6_addr) != 1)
            return -EINVAL;
        endpoint.any.sa_family = AF_INET6;
    }
    endpoint_set_port(&endpoint, port);
    *ret = endpoint;
    return 0;
}

socklen_t endpoint_size(const Endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET6 ? sizeof(endpoint->v6) : sizeof(endpoint->v4);
}

uint16_t endpoint_port(const Endpoint *endpoint)
{
    return ntohs(endpoint->any.sa_family == AF_INET6 ? endpoint->v6.sin6_port
                                                     : endpoint->v4.sin_port);
}

void endpoint_set_port(Endpoint *endpoint, uint16_t port)
{
    if (endpoint->any.sa_family == AF_INET6) {
        endpoint->v6.sin6_port = htons(port);
    } else {
        endpoint->v4.sin_port = htons(port);
    }
}

Bytes endpoint_address(const Endpoint *endpoint)
{
    if (endpoint->any.sa_family == AF_INET6)
        return (Bytes){endpoint->v6.sin6_addr.s6_addr, sizeof(endpoint->v6.sin6_addr)};
    return (Bytes){(const uint8_t *)&endpoint->v4.sin_addr, sizeof(endpoint->v4.sin_addr)};
}

const char *endpoint_text(const Endpoint *endpoint, char *text)
{
    bool v6 = endpoint->any.sa_family == AF_INET6;
    char address[INET6_ADDRSTRLEN] = "?";

    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, endpoint_address(endpoint).data, address,
                    sizeof(address));
    (void)snprintf(text, ENDPOINT_TEXT_SIZE, v6 ? "[%s]:%u" : "%s:%u", address,
                   (unsigned)endpoint_port(endpoint));
    return text;
}

/* ---- NAT detection ---- */

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

/* Looks for notifies of `type`; true if there are any, with *ret_fits saying if one is `hash`. */
static bool find_hash(const IkePayloads *payloads, uint16_t type, const uint8_t *hash,
                      bool *ret_fits)
{
    size_t position = 0;
    bool found = false;
    const IkePayload *payload;

    *ret_fits = false;
    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        IkeNotify notify;
        if (ike_notify_decode(payload->body, &notify) != 0 || notify.type != type)
            continue;
        found = true;
        if (bytes_equal(notify.data, (Bytes){hash, NAT_HASH_SIZE}))
            *ret_fits = true;
    }
    return found;
}

NatFinding nat_find_in(uint64_t spi_i, uint64_t spi_r, const IkePayloads *payloads,
                       const Endpoint *local, const Endpoint *remote)
{
    bool source_fits = false, destination_fits = false;
    uint8_t theirs[NAT_HASH_SIZE], ours[NAT_HASH_SIZE];

    nat_hash(spi_i, spi_r, remote, theirs);
    nat_hash(spi_i, spi_r, local, ours);
    bool source = find_hash(payloads, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, theirs, &source_fits);
    bool destination =
        find_hash(payloads, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, ours, &destination_fits);

    if (!source || !destination)
        return (NatFinding){0};
    return (NatFinding){.supported = true, .here = !destination_fits, .there = !source_fits};
}

NatFinding nat_find(const IkeMessage *response, const Endpoint *local, const Endpoint *remote)
{
    return nat_find_in(response->header.spi_i, response->header.spi_r, &response->payloads, local,
                       remote);
}

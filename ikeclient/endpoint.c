/* Addresses with ports, as system calls, persons and NAT detection have them; and sets of
 * addresses, of this host, and in MOBIKE's notifies. */
#include "ikeclient/endpoint.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sha1.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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

bool endpoint_same_address(const Endpoint *a, const Endpoint *b)
{
    return a->any.sa_family == b->any.sa_family &&
           bytes_equal(endpoint_address(a), endpoint_address(b));
}

bool endpoint_equals(const Endpoint *a, const Endpoint *b)
{
    return endpoint_same_address(a, b) && endpoint_port(a) == endpoint_port(b);
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

/* ---- sets ---- */

bool addresses_have(const Addresses *set, const Endpoint *address)
{
    for (size_t i = 0; i < set->count; i++) {
        if (endpoint_same_address(&set->list[i], address))
            return true;
    }
    return false;
}

void addresses_add(Addresses *set, const Endpoint *address)
{
    if (set->count == ADDRESSES_MAX || addresses_have(set, address))
        return;
    set->list[set->count] = *address;
    endpoint_set_port(&set->list[set->count++], 0);
}

void addresses_fill(Addresses *set, const Endpoint *first, const Addresses *rest)
{
    *set = (Addresses){0};
    addresses_add(set, first);
    for (size_t i = 0; i < rest->count; i++)
        addresses_add(set, &rest->list[i]);
}

bool addresses_equal(const Addresses *a, const Addresses *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!addresses_have(b, &a->list[i]))
            return false;
    }
    return a->count == b->count;
}

/* ---- this host's ---- */

/* TUN and XFRM interfaces have no link layer, and getifaddrs() has no AF_PACKET entry for such. One
 * that can't be asked about counts as a tunnel: no inner address is told to a SeGW. */
static bool is_tunnel(int fd, const char *name)
{
    struct ifreq link = {0};

    (void)snprintf(link.ifr_name, sizeof(link.ifr_name), "%s", name);
    return ioctl(fd, SIOCGIFHWADDR, &link) < 0 || link.ifr_hwaddr.sa_family == ARPHRD_NONE;
}

static bool read_address(const struct sockaddr *address, Endpoint *ret)
{
    *ret = (Endpoint){.v6 = {0}};
    if (address->sa_family == AF_INET) {
        memcpy(&ret->v4, address, sizeof(ret->v4));
        enum { LINK_LOCAL = 0xa9fe }; /* 169.254.0.0/16 */
        return ntohl(ret->v4.sin_addr.s_addr) >> 16 != LINK_LOCAL;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&ret->v6, address, sizeof(ret->v6));
    return !IN6_IS_ADDR_LINKLOCAL(&ret->v6.sin6_addr);
}

/* False for what is no address that somebody could send to from afar. */
static bool read_host(int fd, const struct ifaddrs *one, Endpoint *ret)
{
    if (!one->ifa_addr || !(one->ifa_flags & IFF_UP) || one->ifa_flags & IFF_LOOPBACK)
        return false;
    return read_address(one->ifa_addr, ret) && !is_tunnel(fd, one->ifa_name);
}

int addresses_of_host(Addresses *ret)
{
    _cleanup_(close_fdp) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifaddrs *all = NULL;
    Endpoint address;

    *ret = (Addresses){0};
    if (fd < 0 || getifaddrs(&all) < 0)
        return -errno;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (read_host(fd, one, &address))
            addresses_add(ret, &address);
    }
    freeifaddrs(all);
    return 0;
}

/* ---- notifies ---- */

static bool is_nobodys(const Endpoint *address)
{
    if (address->any.sa_family == AF_INET6) {
        return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr) ||
               IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
    }
    const in_addr_t ipv4 = ntohl(address->v4.sin_addr.s_addr);
    return ipv4 == INADDR_ANY || ipv4 >= INADDR_UNSPEC_GROUP; /* multicast, and all above */
}

static void take(const IkeNotify *notify, Addresses *set)
{
    const bool v6 = notify->type == IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS;
    Endpoint address = {.v6 = {.sin6_family = v6 ? AF_INET6 : AF_INET}};

    if (notify->data.size != (v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr)))
        return;
    if (v6) {
        memcpy(&address.v6.sin6_addr, notify->data.data, notify->data.size);
    } else {
        memcpy(&address.v4.sin_addr, notify->data.data, notify->data.size);
    }
    if (!is_nobodys(&address))
        addresses_add(set, &address);
}

bool addresses_read(const IkePayloads *payloads, Addresses *ret)
{
    const IkePayload *payload;
    size_t position = 0;
    bool said = false;

    *ret = (Addresses){0};
    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        IkeNotify notify;
        if (ike_notify_decode(payload->body, &notify) != 0)
            continue;
        const bool has = notify.type == IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS ||
                         notify.type == IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS;
        said = said || has || notify.type == IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES;
        if (has)
            take(&notify, ret);
    }
    return said;
}

void addresses_write(const Addresses *set, IkeChain *chain)
{
    for (size_t i = 0; i < set->count; i++) {
        ike_chain_add_notify(chain,
                             set->list[i].any.sa_family == AF_INET6
                                 ? IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS
                                 : IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS,
                             endpoint_address(&set->list[i]));
    }
}

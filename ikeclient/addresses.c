/* Sets of addresses: of this host, and in MOBIKE's notifies. */
#include "ikeclient/addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

bool addresses_have(const Addresses *set, const Endpoint *address)
{
    for (size_t i = 0; i < set->count; i++) {
        if (bytes_equal(endpoint_address(&set->list[i]), endpoint_address(address)))
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

static bool is_tunnel(const struct ifaddrs *all, const char *name)
{
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct sockaddr_ll link;
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_PACKET ||
            strcmp(one->ifa_name, name) != 0)
            continue;
        memcpy(&link, one->ifa_addr, sizeof(link));
        return link.sll_hatype == ARPHRD_NONE;
    }
    return false;
}

/* False for what is no address that somebody could send to from afar. */
static bool read_host(const struct ifaddrs *all, const struct ifaddrs *one, Endpoint *ret)
{
    *ret = (Endpoint){.v6 = {0}};
    if (!one->ifa_addr || !(one->ifa_flags & IFF_UP) || one->ifa_flags & IFF_LOOPBACK ||
        is_tunnel(all, one->ifa_name))
        return false;
    if (one->ifa_addr->sa_family == AF_INET) {
        memcpy(&ret->v4, one->ifa_addr, sizeof(ret->v4));
        enum { LINK_LOCAL = 0xa9fe }; /* 169.254.0.0/16 */
        return ntohl(ret->v4.sin_addr.s_addr) >> 16 != LINK_LOCAL;
    }
    if (one->ifa_addr->sa_family != AF_INET6)
        return false;
    memcpy(&ret->v6, one->ifa_addr, sizeof(ret->v6));
    return !IN6_IS_ADDR_LINKLOCAL(&ret->v6.sin6_addr);
}

int addresses_of_host(Addresses *ret)
{
    struct ifaddrs *all = NULL;
    Endpoint address;

    *ret = (Addresses){0};
    if (getifaddrs(&all) < 0)
        return -errno;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (read_host(all, one, &address))
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

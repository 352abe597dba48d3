/* Routes of the tunnel, and the address prefixes that they are to; and the networks that the host
 * is in, as the kernel lists its addresses. */
#include "net/route.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

static bool bit_is_set(const uint8_t *octets, unsigned bit)
{
    return octets[bit / 8] & (0x80U >> bit % 8);
}

static void set_bit(uint8_t *octets, unsigned bit)
{
    octets[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
}

/* The last address of the prefix of `length` bits that begins at `start`. */
static void last_of(const uint8_t *start, size_t size, unsigned length, uint8_t *ret)
{
    memcpy(ret, start, size);
    for (unsigned bit = length; bit < size * 8; bit++)
        set_bit(ret, bit);
}

/* True if a prefix of `length` bits can begin at `start` and does not reach beyond `end`. */
static bool prefix_fits(const uint8_t *start, const uint8_t *end, size_t size, unsigned length)
{
    for (unsigned bit = length; bit < size * 8; bit++) {
        if (bit_is_set(start, bit))
            return false;
    }
    uint8_t last[16];
    last_of(start, size, length, last);
    return memcmp(last, end, size) <= 0;
}

/* Adds one; false if that goes beyond the last address there is. */
static bool increment(uint8_t *octets, size_t size)
{
    for (size_t i = size; i > 0; i--) {
        if (++octets[i - 1] != 0)
            return true;
    }
    return false;
}

size_t prefixes_of_selector(const IkeSelector *selector, Prefix ret[PREFIXES_MAX])
{
    uint8_t size = selector->type == IKE_TS_IPV4_ADDR_RANGE ? 4 : 16, start[16];
    memcpy(start, selector->start, sizeof(start));
    size_t n = 0;
    while (n < PREFIXES_MAX && memcmp(start, selector->end, size) <= 0) {
        unsigned length = 1;
        while (!prefix_fits(start, selector->end, size, length))
            length++;
        ret[n] = (Prefix){.size = size, .length = (uint8_t)length};
        memcpy(ret[n++].octets, start, size);
        last_of(start, size, length, start);
        if (!increment(start, size))
            break;
    }
    return n;
}

enum { CLEARED_MAX = 256 };

#define GUARD_METRIC (UINT32_MAX - 1) /* worse than any that somebody else gives */

static uint8_t family_of(const Prefix *prefix)
{
    return prefix->size == 4 ? AF_INET : AF_INET6;
}

static int change_address(Netlink *netlink, uint16_t type, uint16_t flags, unsigned index,
                          const Prefix *address)
{
    struct ifaddrmsg *message;
    struct nlmsghdr *header = netlink_begin(netlink, type, flags, sizeof(*message), &message);
    message->ifa_family = family_of(address);
    message->ifa_prefixlen = address->length;
    message->ifa_index = index;
    message->ifa_scope = RT_SCOPE_UNIVERSE;
    if (address->size == 16) /* nobody else on this link could have it */
        message->ifa_flags = IFA_F_NODAD;
    mnl_attr_put(header, IFA_LOCAL, address->size, address->octets);
    mnl_attr_put(header, IFA_ADDRESS, address->size, address->octets);
    return netlink_call(netlink);
}

int address_add(Netlink *netlink, unsigned index, const Prefix *address)
{
    return change_address(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address);
}

int address_delete(Netlink *netlink, unsigned index, const Prefix *address)
{
    return change_address(netlink, RTM_DELADDR, 0, index, address);
}

static int say_route(Netlink *netlink, uint16_t type, uint16_t flags, const Route *route,
                     unsigned hop_flags)
{
    struct rtmsg *message;
    struct nlmsghdr *header = netlink_begin(netlink, type, flags, sizeof(*message), &message);
    const Prefix *destination = &route->destination;
    message->rtm_family = family_of(destination);
    message->rtm_dst_len = destination->length;
    message->rtm_table = RT_TABLE_MAIN;
    message->rtm_protocol = ROUTE_PROTOCOL;
    message->rtm_type = RTN_UNICAST;
    message->rtm_flags = hop_flags;
    message->rtm_scope = route->gateway.size || destination->size == 16 || route->guard
                             ? RT_SCOPE_UNIVERSE
                             : RT_SCOPE_LINK;
    mnl_attr_put(header, RTA_DST, destination->size, destination->octets);
    if (route->guard) {
        message->rtm_type = RTN_UNREACHABLE;
        mnl_attr_put_u32(header, RTA_PRIORITY, GUARD_METRIC);
        return netlink_call(netlink);
    }
    mnl_attr_put_u32(header, RTA_OIF, route->index);
    if (route->source.size)
        mnl_attr_put(header, RTA_PREFSRC, route->source.size, route->source.octets);
    if (route->gateway.size)
        mnl_attr_put(header, RTA_GATEWAY, route->gateway.size, route->gateway.octets);
    if (route->mtu) {
        struct nlattr *metrics = mnl_attr_nest_start(header, RTA_METRICS);
        mnl_attr_put_u32(header, RTAX_MTU, route->mtu);
        mnl_attr_nest_end(header, metrics);
    }
    return netlink_call(netlink);
}

/* The host uses that gateway on that link already, be it that no route leads to the gateway: where
 * the kernel takes it for none, it is told to take our word for it. Not at once, as IPv6 refuses
 * that of a gateway to which the best route is another link's. */
static int change_route(Netlink *netlink, uint16_t type, uint16_t flags, const Route *route)
{
    int r = say_route(netlink, type, flags, route, 0);
    if (route->gateway.size && (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EINVAL))
        r = say_route(netlink, type, flags, route, RTNH_F_ONLINK);
    return r;
}

int route_add(Netlink *netlink, const Route *route)
{
    return change_route(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

int route_replace(Netlink *netlink, const Route *route)
{
    return change_route(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

int route_delete(Netlink *netlink, const Route *route)
{
    return change_route(netlink, RTM_DELROUTE, 0, route);
}

static void read_address(const struct nlattr *attribute, Prefix *ret)
{
    uint16_t size = mnl_attr_get_payload_len(attribute);
    if (size != 4 && size != 16)
        return;
    *ret = (Prefix){.size = (uint8_t)size, .length = (uint8_t)(size * 8)};
    memcpy(ret->octets, mnl_attr_get_payload(attribute), size);
}

static int collect_attribute(const struct nlattr *attribute, void *userdata)
{
    Route *route = userdata;
    switch (mnl_attr_get_type(attribute)) {
    case RTA_DST:
        read_address(attribute, &route->destination);
        break;
    case RTA_GATEWAY:
        read_address(attribute, &route->gateway);
        break;
    case RTA_OIF:
        route->index = mnl_attr_get_u32(attribute);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static void read_route(const struct nlmsghdr *header, Route *route)
{
    (void)mnl_attr_parse(header, sizeof(struct rtmsg), collect_attribute, route);
}

typedef struct Way {
    Route route;
    bool via; /* by a gateway of the other family, of which a Route has none */
} Way;

static int look_for_via(const struct nlattr *attribute, void *userdata)
{
    bool *via = userdata;
    *via = *via || mnl_attr_get_type(attribute) == RTA_VIA;
    return MNL_CB_OK;
}

static int collect_way(const struct nlmsghdr *header, void *userdata)
{
    Way *way = userdata;
    read_route(header, &way->route);
    (void)mnl_attr_parse(header, sizeof(struct rtmsg), look_for_via, &way->via);
    return MNL_CB_STOP;
}

int route_find(Netlink *netlink, const Prefix *address, Route *ret)
{
    struct rtmsg *message;
    struct nlmsghdr *header = netlink_begin(netlink, RTM_GETROUTE, 0, sizeof(*message), &message);
    message->rtm_family = family_of(address);
    message->rtm_dst_len = address->length;
    mnl_attr_put(header, RTA_DST, address->size, address->octets);
    Way way = {};
    int r = netlink_dump(netlink, collect_way, &way);
    if (r < 0)
        return r;
    if (way.via)
        return -ENETUNREACH;
    *ret = (Route){
        .destination = *address,
        .index = way.route.index,
        .gateway = way.route.gateway,
    };
    return 0;
}

typedef struct Listing {
    unsigned index;
    RouteFound found;
    void *userdata;
} Listing;

static int collect_local(const struct nlattr *attribute, void *userdata)
{
    Prefix *address = userdata;
    uint16_t type = mnl_attr_get_type(attribute);
    /* IFA_LOCAL, where it is there, is the address itself, and IFA_ADDRESS the other end's. */
    if (type == IFA_LOCAL || (type == IFA_ADDRESS && address->size == 0))
        read_address(attribute, address);
    return MNL_CB_OK;
}

static int collect_address(const struct nlmsghdr *header, void *userdata)
{
    const Listing *listing = userdata;
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    Route route = {};
    if (message->ifa_index != listing->index)
        return MNL_CB_OK;
    (void)mnl_attr_parse(header, sizeof(*message), collect_local, &route.destination);
    route.destination.length = message->ifa_prefixlen;
    listing->found(&route, listing->userdata);
    return MNL_CB_OK;
}

int addresses_list(Netlink *netlink, unsigned index, RouteFound found, void *userdata)
{
    Listing listing = {.index = index, .found = found, .userdata = userdata};
    struct ifaddrmsg *message;
    (void)netlink_begin(netlink, RTM_GETADDR, NLM_F_DUMP, sizeof(*message), &message);
    return netlink_dump(netlink, collect_address, &listing);
}

typedef struct Search {
    unsigned index;
    const Prefix *address;
    bool found;
} Search;

static int compare_address(const struct nlmsghdr *header, void *userdata)
{
    Search *search = userdata;
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    Prefix address = {};
    (void)mnl_attr_parse(header, sizeof(*message), collect_local, &address);
    if (message->ifa_index != search->index && address.size == search->address->size &&
        memcmp(address.octets, search->address->octets, address.size) == 0)
        search->found = true;
    return MNL_CB_OK;
}

int address_is_elsewhere(Netlink *netlink, unsigned index, const Prefix *address, bool *ret)
{
    Search search = {.index = index, .address = address};
    struct ifaddrmsg *message;
    (void)netlink_begin(netlink, RTM_GETADDR, NLM_F_DUMP, sizeof(*message), &message);
    int r = netlink_dump(netlink, compare_address, &search);
    *ret = search.found;
    return r;
}

static int collect_ours(const struct nlmsghdr *header, void *userdata)
{
    const Listing *listing = userdata;
    const struct rtmsg *message = mnl_nlmsg_get_payload(header);
    Route route = {};
    if (message->rtm_protocol != ROUTE_PROTOCOL)
        return MNL_CB_OK;
    read_route(header, &route);
    route.destination.length = message->rtm_dst_len;
    route.guard = message->rtm_type == RTN_UNREACHABLE;
    listing->found(&route, listing->userdata);
    return MNL_CB_OK;
}

static int list_family(Netlink *netlink, uint8_t family, Listing *listing)
{
    struct rtmsg *message;
    (void)netlink_begin(netlink, RTM_GETROUTE, NLM_F_DUMP, sizeof(*message), &message);
    message->rtm_family = family;
    return netlink_dump(netlink, collect_ours, listing);
}

int routes_list(Netlink *netlink, RouteFound found, void *userdata)
{
    Listing listing = {.found = found, .userdata = userdata};
    int r = list_family(netlink, AF_INET, &listing);
    return r < 0 ? r : list_family(netlink, AF_INET6, &listing);
}

typedef struct Cleared {
    size_t n_routes;
    Route routes[CLEARED_MAX];
} Cleared;

static void collect_cleared(const Route *route, void *userdata)
{
    Cleared *cleared = userdata;
    if (cleared->n_routes < CLEARED_MAX)
        cleared->routes[cleared->n_routes++] = *route;
}

/* A dump holds so many; it is repeated until nothing is left. */
int routes_clear(Netlink *netlink)
{
    Cleared cleared;
    int r;
    do {
        cleared.n_routes = 0;
        r = routes_list(netlink, collect_cleared, &cleared);
        for (size_t i = 0; i < cleared.n_routes && r >= 0; i++)
            r = route_delete(netlink, &cleared.routes[i]);
    } while (r >= 0 && cleared.n_routes == CLEARED_MAX);
    return r;
}

/* ---- networks that the host is in ---- */

/* IFA_ADDRESS has the network: it is the other end's on a link between two. */
static int find_address(const struct nlattr *attribute, void *userdata)
{
    const struct nlattr **address = userdata;
    if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
        *address = attribute;
    return MNL_CB_OK;
}

/* Sets the bits behind the first `length` ones in `end`, and clears them in `start`. */
static void spread(IkeSelector *range, size_t size, unsigned length)
{
    for (size_t i = 0; i < size; i++) {
        unsigned bits = length > 8 * i ? length - 8 * (unsigned)i : 0;
        const uint8_t host = (uint8_t)(bits >= 8 ? 0 : 0xffU >> bits);
        range->end[i] = (uint8_t)(range->start[i] | host);
        range->start[i] &= (uint8_t)~host;
    }
}

static int collect(const struct nlmsghdr *header, void *userdata)
{
    IkeTs *networks = userdata;
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    const size_t size = message->ifa_family == AF_INET ? 4 : 16;
    const struct nlattr *address = NULL;
    (void)mnl_attr_parse(header, sizeof(*message), find_address, &address);
    /* One of length 0 is no network, but everything. */
    if (!address || mnl_attr_get_payload_len(address) != size || message->ifa_prefixlen == 0 ||
        message->ifa_prefixlen >= 8 * size || networks->n_selectors == IKE_SELECTORS_MAX)
        return MNL_CB_OK;
    IkeSelector *range = &networks->selectors[networks->n_selectors++];
    range->type = size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    memcpy(range->start, mnl_attr_get_payload(address), size);
    spread(range, size, message->ifa_prefixlen);
    return MNL_CB_OK;
}

int local_networks(Netlink *netlink, IkeTs *ret)
{
    struct ifaddrmsg *message;
    memset(ret, 0, sizeof(*ret));
    (void)netlink_begin(netlink, RTM_GETADDR, NLM_F_DUMP, sizeof(*message), &message);
    return netlink_dump(netlink, collect, ret);
}

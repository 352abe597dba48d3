/* What was added to the host's network configuration, which SA pairs need it, and whether it is
 * there still. */
#include "net/network.h"

#include "net/beneath.h"
#include "net/items.h"
#include "net/link.h"
#include "net/route.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* What one pair of SAs asks for. */
typedef struct Need {
    uint32_t spi_in;
    uint32_t mtu; /* that its path has room for */
    IkeTs ts_remote;
    size_t n_addresses;
    InnerAddress addresses[DATAPLANE_ADDRESSES_MAX];
    Prefix remote;
} Need;

struct Network {
    Netlink *netlink;
    NetlinkWatch *watch;
    uint32_t mtu;  /* of the interface */
    uint32_t room; /* for an inner packet, on the narrowest path of all pairs */
    Items items;   /* and the interface that they are for */
    size_t n_needs;
    Need needs[DATAPLANE_SAS_MAX];
};

/* Asked at the start, as the interface itself is made only when a tunnel is up. */
static bool may_configure(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_NET_ADMIN)) != 0;
}

int network_new(Network **ret)
{
    if (!may_configure())
        return -EPERM;
    _cleanup_(network_freep) Network *network = calloc(1, sizeof(*network));
    if (!network)
        return -ENOMEM;
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
    int r = netlink_new(NETLINK_ROUTE, &network->netlink);
    network->items.netlink = network->netlink;
    if (r >= 0)
        r = netlink_watch_new(NETLINK_ROUTE, groups, ELEMENTS(groups), &network->watch);
    if (r < 0)
        return r;
    *ret = steal_pointer(network);
    return 0;
}

static int check_name(Netlink *netlink, const char *name)
{
    Link link;
    int r = link_find(netlink, name, &link);
    if (r == -ENODEV)
        return 0;
    return r >= 0 && !link.ours ? -EEXIST : r;
}

int network_check_name(const char *name)
{
    _cleanup_(netlink_freep) Netlink *netlink = NULL;
    int r = netlink_new(NETLINK_ROUTE, &netlink);
    return r < 0 ? r : check_name(netlink, name);
}

int network_clear(Network *network, const char *name)
{
    int r = check_name(network->netlink, name);
    if (r >= 0)
        r = links_clear(network->netlink);
    return r < 0 ? r : routes_clear(network->netlink);
}

int network_attach(Network *network, const char *name, uint32_t mtu)
{
    Link link;
    int r = link_find(network->netlink, name, &link);
    if (r < 0)
        return r;
    (void)snprintf(network->items.name, sizeof(network->items.name), "%s", name);
    network->items.index = link.index;
    network->mtu = mtu > IPV6_MTU_MIN ? mtu : (uint32_t)IPV6_MTU_MIN;
    return link_configure(network->netlink, link.index, network->mtu);
}

/* IPv6 goes by its inner address; where there is none at all, by the selectors. */
static bool has_ipv6(const Need *need)
{
    for (size_t i = 0; i < need->n_addresses; i++) {
        if (need->addresses[i].size == 16)
            return true;
    }
    for (size_t i = 0; i < need->ts_remote.n_selectors && need->n_addresses == 0; i++) {
        if (need->ts_remote.selectors[i].type == IKE_TS_IPV6_ADDR_RANGE)
            return true;
    }
    return false;
}

/* The least that a pair's path has room for, and what IPv6 asks of an interface all the same. */
static int update_mtu(Network *network)
{
    bool ipv6 = false;

    network->room = UINT16_MAX;
    for (size_t i = 0; i < network->n_needs; i++) {
        const Need *need = &network->needs[i];
        ipv6 = ipv6 || has_ipv6(need);
        network->room = need->mtu < network->room ? need->mtu : network->room;
    }
    uint32_t mtu = ipv6 && network->room < IPV6_MTU_MIN ? (uint32_t)IPV6_MTU_MIN : network->room;
    if (network->n_needs == 0 || mtu == network->mtu)
        return 0;
    int r = link_set_mtu(network->netlink, network->items.index, mtu);
    if (r < 0) {
        return reason_set(&network->items.reason, r, "an MTU of %u can't be set on %s: %s", mtu,
                          network->items.name, strerror(-r));
    }
    network->mtu = mtu;
    return 0;
}

static Prefix host_prefix(const struct sockaddr_storage *address)
{
    Prefix prefix = {.size = 4, .length = 32};
    if (address->ss_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        memcpy(prefix.octets, &ipv4.sin_addr, 4);
    } else {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        prefix = (Prefix){.size = 16, .length = 128};
        memcpy(prefix.octets, &ipv6.sin6_addr, 16);
    }
    return prefix;
}

static bool ts_covers(const IkeTs *ts, const Prefix *host)
{
    uint8_t type = host->size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    for (size_t i = 0; i < ts->n_selectors; i++) {
        const IkeSelector *selector = &ts->selectors[i];
        if (selector->type == type && memcmp(selector->start, host->octets, host->size) <= 0 &&
            memcmp(selector->end, host->octets, host->size) >= 0)
            return true;
    }
    return false;
}

static Prefix address_prefix(const InnerAddress *address)
{
    Prefix prefix = {.size = address->size, .length = address->prefix_length};
    memcpy(prefix.octets, address->octets, sizeof(prefix.octets));
    return prefix;
}

/* The source address that the host should use towards a destination of `size` octets. */
static Prefix source_for(const Need *need, uint8_t size)
{
    for (size_t i = 0; i < need->n_addresses; i++) {
        if (need->addresses[i].size == size)
            return address_prefix(&need->addresses[i]);
    }
    return (Prefix){};
}

static int want_routes(Network *network, const Need *need, const IkeSelector *selector)
{
    Prefix prefixes[PREFIXES_MAX];
    size_t n = prefixes_of_selector(selector, prefixes);
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        Route route = {
            .destination = prefixes[i],
            .index = network->items.index,
            .source = source_for(need, prefixes[i].size),
            .mtu = network->room < network->mtu ? network->room : 0,
        };
        /* Without an address of this family the tunnel would only swallow its packets. */
        if (need->n_addresses > 0 && route.source.size == 0)
            break;
        if (prefix_equal(&route.destination, &need->remote)) /* which pin_remote() sees to */
            continue;
        r = items_want(&network->items, false, &route);
    }
    return r;
}

/* The kernel's own choice. A tunnel is no way around one: there, a route of ours hides what else
 * there may be. */
static int find_chosen_way(Network *network, const Prefix *remote, Route *ret)
{
    bool ours = false;
    int r = route_find(network->netlink, remote, ret);
    if (r >= 0)
        r = link_is_ours(network->netlink, ret->index, &ours);
    return ours ? -ENETUNREACH : r;
}

/* The way around the tunnel: what is beneath its routes in the main table. Where other tables have
 * it, the kernel's own choice, which can be asked for as long as no route of ours hides it. */
static int find_way(Network *network, const Prefix *remote, bool is_guarded, Route *ret)
{
    int r = route_beneath(network->netlink, remote, network->items.index, ret);
    return r == -ENETUNREACH && !is_guarded ? find_chosen_way(network, remote, ret) : r;
}

static int pin(Network *network, const Route *way)
{
    Item *item = items_find(&network->items, false, way);
    if (!item) {
        int r = items_want(&network->items, false, way);
        return r == -EEXIST ? 0 : r; /* pinned by the administrator */
    }
    if (item->route.index != way->index || !prefix_equal(&item->route.gateway, &way->gateway)) {
        int r = items_replace(&network->items, item, way);
        if (r < 0)
            return r;
    }
    item->wanted = true;
    return 0;
}

/* Keeps packets to the SeGW out of the tunnel: by the way around it, and while there is none by the
 * guard, which stands beneath from the start, so that there is no moment between. A pin that is
 * there stays until there is another way. */
static int pin_remote(Network *network, const Need *need)
{
    if (!ts_covers(&need->ts_remote, &need->remote))
        return 0;
    const Route guard = {.destination = need->remote, .guard = true};
    Route way = {.destination = need->remote};
    const bool is_guarded = items_find(&network->items, false, &guard) != NULL;
    int r = find_way(network, &need->remote, is_guarded, &way);
    const bool nowhere = r == -ENETUNREACH && is_guarded;
    if (r < 0 && !nowhere)
        return r;
    r = items_want(&network->items, false, &guard);
    if (r < 0)
        return r;
    if (!nowhere)
        return pin(network, &way);
    Item *item = items_find(&network->items, false, &way);
    if (item)
        item->wanted = true;
    return 0;
}

static int want_all(Network *network, const Need *need)
{
    int r = pin_remote(network, need);
    for (size_t i = 0; i < need->n_addresses && r >= 0; i++) {
        Route address = {.destination = address_prefix(&need->addresses[i])};
        r = items_want(&network->items, true, &address);
    }
    for (size_t i = 0; i < need->ts_remote.n_selectors && r >= 0; i++)
        r = want_routes(network, need, &need->ts_remote.selectors[i]);
    return r;
}

/* Marks what the pairs need, adds what is missing, and takes away the rest. The MTU comes first, as
 * it decides whether there can be IPv6 addresses. */
static int update(Network *network)
{
    int r = update_mtu(network);
    items_unmark(&network->items);
    for (size_t i = network->n_needs; i > 0 && r >= 0; i--)
        r = want_all(network, &network->needs[i - 1]);
    if (r >= 0)
        items_delete_unmarked(&network->items);
    return r;
}

int network_add_sa(Network *network, const SaOrder *order, Reason *reason)
{
    if (network->n_needs == DATAPLANE_SAS_MAX || order->n_addresses > DATAPLANE_ADDRESSES_MAX)
        return -ENOSPC;
    Need *need = &network->needs[network->n_needs++];
    *need = (Need){
        .spi_in = order->spi_in,
        .mtu = order->mtu,
        .ts_remote = order->ts_remote,
        .n_addresses = order->n_addresses,
        .remote = host_prefix(&order->remote),
    };
    memcpy(need->addresses, order->addresses, sizeof(need->addresses));
    network->items.reason = (Reason){0};
    int r = update(network);
    if (r < 0) {
        *reason = network->items.reason;
        network_remove_sa(network, order->spi_in);
    }
    return r;
}

static Need *need_find(Network *network, uint32_t spi_in)
{
    for (size_t i = 0; i < network->n_needs; i++) {
        if (network->needs[i].spi_in == spi_in)
            return &network->needs[i];
    }
    return NULL;
}

static int update_or_say(Network *network, Reason *reason)
{
    network->items.reason = (Reason){0};
    int r = update(network);
    if (r < 0)
        *reason = network->items.reason;
    return r;
}

int network_move_sa(Network *network, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    Need *need = need_find(network, spi_in);
    if (!need)
        return -ENOENT;
    need->mtu = path->mtu;
    need->remote = host_prefix(&path->remote);
    return update_or_say(network, reason);
}

int network_set_mtu(Network *network, uint32_t spi_in, uint32_t mtu, Reason *reason)
{
    Need *need = need_find(network, spi_in);
    if (!need)
        return -ENOENT;
    need->mtu = mtu;
    return update_or_say(network, reason);
}

void network_remove_sa(Network *network, uint32_t spi_in)
{
    size_t n = 0;
    for (size_t i = 0; i < network->n_needs; i++) {
        if (network->needs[i].spi_in != spi_in)
            network->needs[n++] = network->needs[i];
    }
    network->n_needs = n;
    (void)update(network); /* what is left was there before */
}

bool network_is_idle(const Network *network)
{
    return network->n_needs == 0;
}

void network_detach(Network *network)
{
    network->n_needs = 0;
    (void)update(network);
    if (network->items.index != 0)
        (void)link_delete(network->netlink, network->items.index);
    network->items.index = 0;
}

void network_free(Network *network)
{
    if (!network)
        return;
    if (network->netlink)
        network_detach(network);
    netlink_watch_free(network->watch);
    netlink_free(network->netlink);
    free(network);
}

int network_watched(const Network *network)
{
    return netlink_watch_fd(network->watch);
}

static int note_change(const struct nlmsghdr *header, void *userdata)
{
    (void)header;
    *(bool *)userdata = true;
    return MNL_CB_OK;
}

bool network_has_changed(Network *network)
{
    bool changed = false;
    bool lost = netlink_watch_read(network->watch, note_change, &changed);
    return (changed || lost) && network->items.index != 0;
}

static void mark_address(const Route *address, void *userdata)
{
    Item *item = items_find(userdata, true, address);
    if (item)
        item->found = true;
}

static void mark_route(const Route *route, void *userdata)
{
    Item *item = items_find(userdata, false, route);
    if (item)
        item->found = true;
}

static bool needs_address(const Need *need, const Prefix *address)
{
    for (size_t i = 0; i < need->n_addresses; i++) {
        Prefix own = address_prefix(&need->addresses[i]);
        if (prefix_equal(&own, address))
            return true;
    }
    return false;
}

static void tell_gone(const Network *network, const Item *item, NetworkGone gone, void *userdata)
{
    for (size_t i = 0; i < network->n_needs; i++) {
        const Need *need = &network->needs[i];
        if (item->is_address && needs_address(need, &item->route.destination))
            gone(need->spi_in, DATAPLANE_ADDRESS_GONE, userdata);
        if (!item->is_address && ts_covers(&need->ts_remote, &item->route.destination))
            gone(need->spi_in, DATAPLANE_ROUTE_GONE, userdata);
    }
}

/* The pin of a SeGW's address, or its guard. */
static bool goes_around(const Network *network, const Item *item)
{
    return !item->is_address && item->route.index != network->items.index;
}

/* What is lost is put there again, and what leads another way than the host now would, moved. What
 * can't be done now is tried at the next change; the guard stands meanwhile. */
static void pin_again(Network *network)
{
    size_t n = 0;
    for (size_t i = 0; i < network->items.count; i++) {
        if (network->items.list[i].found || !goes_around(network, &network->items.list[i]))
            network->items.list[n++] = network->items.list[i];
    }
    network->items.count = n;
    for (size_t i = network->n_needs; i > 0; i--)
        (void)pin_remote(network, &network->needs[i - 1]);
}

/* The interface by its index: another one may have its name by now. */
static bool interface_is_there(const Network *network)
{
    Link link;
    int r = link_find(network->netlink, network->items.name, &link);
    if (r < 0)
        return r != -ENODEV; /* where the kernel can't be asked, nothing is known to be gone */
    return link.index == network->items.index && link.up;
}

void network_look(Network *network, NetworkGone gone, void *userdata)
{
    if (!interface_is_there(network)) {
        for (size_t i = 0; i < network->n_needs; i++)
            gone(network->needs[i].spi_in, DATAPLANE_INTERFACE_GONE, userdata);
        return;
    }
    for (size_t i = 0; i < network->items.count; i++)
        network->items.list[i].found = false;
    if (addresses_list(network->netlink, network->items.index, mark_address, &network->items) < 0 ||
        routes_list(network->netlink, mark_route, &network->items) < 0)
        return;
    for (size_t i = 0; i < network->items.count; i++) {
        const Item *item = &network->items.list[i];
        if (!item->found && !goes_around(network, item))
            tell_gone(network, item, gone, userdata);
    }
    pin_again(network);
}

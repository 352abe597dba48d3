/* Is the host's network set up for each SA as it needs it, shared where SAs need the same, and put
 * back whole? What speaks to the kernel (net/route.h) is played. */
#include "net/beneath.h"
#include "net/link.h"
#include "net/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { INDEX = 7, OTHER_TUNNEL = 8, ROUTES_MAX = 1024, ADDRESSES_MAX = 64, GONE_MAX = 64 };

/* The kernel that is played. */
static struct {
    uint32_t capabilities;
    int link_error; /* of link_find() */
    int ours_error;
    Link link;
    size_t n_links_deleted, n_links_cleared, n_mtus_set, n_cleared, n_replaced;
    uint32_t mtu;
    int mtu_error, address_error, guard_error, route_error, way_error, beneath_error, list_error;
    bool elsewhere;
    Route way;
    size_t n_routes;
    Route routes[ROUTES_MAX];
    size_t n_addresses;
    Prefix addresses[ADDRESSES_MAX];
    bool address_went_first; /* before a route that names it */
    bool changed, lost;
    bool watch_failed;
} kernel;

long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *data);
long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *data)
{
    (void)number, (void)header;
    data[0].effective = kernel.capabilities;
    return 0;
}

int __wrap_netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret);
int __wrap_netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret)
{
    (void)family, (void)groups, (void)n_groups;
    *ret = NULL;
    return kernel.watch_failed ? -EMFILE : 0;
}

bool __wrap_netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata);
bool __wrap_netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata)
{
    (void)watch;
    if (kernel.changed)
        (void)callback(NULL, userdata);
    return kernel.lost;
}

int __wrap_link_find(Netlink *netlink, const char *name, Link *ret);
int __wrap_link_find(Netlink *netlink, const char *name, Link *ret)
{
    (void)netlink;
    assert_string_equal(name, "segw0");
    *ret = kernel.link;
    return kernel.link_error;
}

int __wrap_link_is_ours(Netlink *netlink, unsigned index, bool *ret);
int __wrap_link_is_ours(Netlink *netlink, unsigned index, bool *ret)
{
    (void)netlink;
    *ret = index == INDEX || index == OTHER_TUNNEL;
    return kernel.ours_error;
}

int __wrap_link_configure(Netlink *netlink, unsigned index, uint32_t mtu);
int __wrap_link_configure(Netlink *netlink, unsigned index, uint32_t mtu)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    kernel.mtu = mtu;
    return 0;
}

int __wrap_link_set_mtu(Netlink *netlink, unsigned index, uint32_t mtu);
int __wrap_link_set_mtu(Netlink *netlink, unsigned index, uint32_t mtu)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    if (kernel.mtu_error < 0)
        return kernel.mtu_error;
    kernel.mtu = mtu;
    kernel.n_mtus_set++;
    return 0;
}

int __wrap_links_clear(Netlink *netlink);
int __wrap_links_clear(Netlink *netlink)
{
    (void)netlink;
    kernel.n_links_cleared++;
    return 0;
}

int __wrap_link_delete(Netlink *netlink, unsigned index);
int __wrap_link_delete(Netlink *netlink, unsigned index)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    kernel.n_links_deleted++;
    return 0;
}

static bool same(const Prefix *a, const Prefix *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

int __wrap_address_is_elsewhere(Netlink *netlink, unsigned index, const Prefix *address, bool *ret);
int __wrap_address_is_elsewhere(Netlink *netlink, unsigned index, const Prefix *address, bool *ret)
{
    (void)netlink, (void)index, (void)address;
    *ret = kernel.elsewhere;
    return 0;
}

int __wrap_address_add(Netlink *netlink, unsigned index, const Prefix *address);
int __wrap_address_add(Netlink *netlink, unsigned index, const Prefix *address)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    if (kernel.address_error < 0)
        return kernel.address_error;
    for (size_t i = 0; i < kernel.n_addresses; i++)
        assert_false(same(&kernel.addresses[i], address));
    kernel.addresses[kernel.n_addresses++] = *address;
    return 0;
}

int __wrap_address_delete(Netlink *netlink, unsigned index, const Prefix *address);
int __wrap_address_delete(Netlink *netlink, unsigned index, const Prefix *address)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    for (size_t i = 0; i < kernel.n_routes; i++) {
        if (same(&kernel.routes[i].source, address))
            kernel.address_went_first = true;
    }
    for (size_t i = 0; i < kernel.n_addresses; i++) {
        if (same(&kernel.addresses[i], address)) {
            kernel.addresses[i] = kernel.addresses[--kernel.n_addresses];
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

static Route *route_like(const Prefix *destination, bool guard)
{
    for (size_t i = 0; i < kernel.n_routes; i++) {
        if (same(&kernel.routes[i].destination, destination) && kernel.routes[i].guard == guard)
            return &kernel.routes[i];
    }
    return NULL;
}

/* The guard of an address aside. */
static Route *route_to(const Prefix *destination)
{
    return route_like(destination, false);
}

int __wrap_route_add(Netlink *netlink, const Route *route);
int __wrap_route_add(Netlink *netlink, const Route *route)
{
    (void)netlink;
    if (route->guard && kernel.guard_error < 0)
        return kernel.guard_error;
    if (kernel.route_error < 0)
        return kernel.route_error;
    if (route_like(&route->destination, route->guard))
        return -EEXIST;
    assert_true(kernel.n_routes < ROUTES_MAX);
    kernel.routes[kernel.n_routes++] = *route;
    return 0;
}

int __wrap_route_replace(Netlink *netlink, const Route *route);
int __wrap_route_replace(Netlink *netlink, const Route *route)
{
    (void)netlink;
    if (kernel.route_error < 0)
        return kernel.route_error;
    assert_non_null(route_to(&route->destination));
    *route_to(&route->destination) = *route;
    kernel.n_replaced++;
    return 0;
}

int __wrap_route_delete(Netlink *netlink, const Route *route);
int __wrap_route_delete(Netlink *netlink, const Route *route)
{
    Route *found = route_like(&route->destination, route->guard);
    (void)netlink;
    if (!found)
        return -ESRCH;
    *found = kernel.routes[--kernel.n_routes];
    return 0;
}

int __wrap_route_find(Netlink *netlink, const Prefix *address, Route *ret);
int __wrap_route_find(Netlink *netlink, const Prefix *address, Route *ret)
{
    (void)netlink;
    if (kernel.way_error < 0)
        return kernel.way_error;
    *ret = kernel.way;
    ret->destination = *address;
    return 0;
}

int __wrap_route_beneath(Netlink *netlink, const Prefix *address, unsigned tunnel, Route *ret);
int __wrap_route_beneath(Netlink *netlink, const Prefix *address, unsigned tunnel, Route *ret)
{
    assert_int_equal(tunnel, INDEX);
    return kernel.beneath_error < 0 ? kernel.beneath_error
                                    : __wrap_route_find(netlink, address, ret);
}

int __wrap_routes_clear(Netlink *netlink);
int __wrap_routes_clear(Netlink *netlink)
{
    (void)netlink;
    kernel.n_cleared++;
    return 0;
}

int __wrap_addresses_list(Netlink *netlink, unsigned index, RouteFound found, void *userdata);
int __wrap_addresses_list(Netlink *netlink, unsigned index, RouteFound found, void *userdata)
{
    (void)netlink;
    assert_int_equal(index, INDEX);
    for (size_t i = 0; i < kernel.n_addresses; i++)
        found(&(Route){.destination = kernel.addresses[i]}, userdata);
    return kernel.list_error;
}

int __wrap_routes_list(Netlink *netlink, RouteFound found, void *userdata);
int __wrap_routes_list(Netlink *netlink, RouteFound found, void *userdata)
{
    (void)netlink;
    for (size_t i = 0; i < kernel.n_routes; i++)
        found(&kernel.routes[i], userdata);
    return 0;
}

/* ---- What SAs ask for. */

static IkeSelector range(const char *start, const char *end)
{
    IkeSelector selector = {.type = IKE_TS_IPV6_ADDR_RANGE, .end_port = UINT16_MAX};
    if (inet_pton(AF_INET6, start, selector.start) == 1) {
        assert_int_equal(inet_pton(AF_INET6, end, selector.end), 1);
        return selector;
    }
    selector.type = IKE_TS_IPV4_ADDR_RANGE;
    assert_int_equal(inet_pton(AF_INET, start, selector.start), 1);
    assert_int_equal(inet_pton(AF_INET, end, selector.end), 1);
    return selector;
}

static Prefix prefix(const char *text, uint8_t length)
{
    Prefix made = {.size = 4, .length = length};
    if (inet_pton(AF_INET6, text, made.octets) == 1) {
        made.size = 16;
    } else {
        assert_int_equal(inet_pton(AF_INET, text, made.octets), 1);
    }
    return made;
}

static void address_give(SaOrder *order, const char *text)
{
    InnerAddress *address = &order->addresses[order->n_addresses++];
    const Prefix host = prefix(text, 0);
    *address = (InnerAddress){.size = host.size, .prefix_length = (uint8_t)(8 * host.size)};
    memcpy(address->octets, host.octets, sizeof(address->octets));
}

/* To 192.168.0.0/16, by a SeGW elsewhere; with this inner address, unless it is NULL. */
static SaOrder order_of(uint32_t spi, const char *address)
{
    struct sockaddr_in segw = {.sin_family = AF_INET};
    SaOrder order = {.spi_in = spi, .mtu = 1400, .ts_remote.n_selectors = 1};
    order.ts_remote.selectors[0] = range("192.168.0.0", "192.168.255.255");
    assert_int_equal(inet_pton(AF_INET, "203.0.113.1", &segw.sin_addr), 1);
    memcpy(&order.remote, &segw, sizeof(segw));
    if (address)
        address_give(&order, address);
    return order;
}

static void segw_put(SaOrder *order, const char *address)
{
    const Prefix host = prefix(address, 0);
    if (host.size == 16) {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
        memcpy(&ipv6.sin6_addr, host.octets, 16);
        memcpy(&order->remote, &ipv6, sizeof(ipv6));
    } else {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET};
        memcpy(&ipv4.sin_addr, host.octets, 4);
        memcpy(&order->remote, &ipv4, sizeof(ipv4));
    }
}

static Reason reason;

static int add(Network *network, const SaOrder *order)
{
    reason = (Reason){0};
    return network_add_sa(network, order, &reason);
}

static Route *route_of(const char *text, uint8_t length)
{
    const Prefix destination = prefix(text, length);
    return route_to(&destination);
}

static void assert_source(const Route *route, const char *text)
{
    const Prefix source = prefix(text, 32);
    assert_non_null(route);
    assert_true(same(&route->source, &source));
}

static void assert_nothing_left(void)
{
    assert_int_equal(kernel.n_routes, 0);
    assert_int_equal(kernel.n_addresses, 0);
    assert_false(kernel.address_went_first);
}

static int setup(void **state)
{
    Network *network = NULL;
    memset(&kernel, 0, sizeof(kernel));
    kernel.capabilities = CAP_TO_MASK(CAP_NET_ADMIN);
    kernel.link = (Link){.index = INDEX, .ours = true, .up = true};
    assert_int_equal(network_new(&network), 0);
    assert_int_equal(network_attach(network, "segw0", 0), 0);
    assert_int_equal(kernel.mtu, IPV6_MTU_MIN);
    *state = network;
    return 0;
}

static int teardown(void **state)
{
    network_free(*state);
    assert_nothing_left();
    return 0;
}

static void without_the_right_to_there_is_no_network(void **state)
{
    Network *network = NULL;
    (void)state;
    kernel.capabilities = ~CAP_TO_MASK(CAP_NET_ADMIN);
    assert_int_equal(network_new(&network), -EPERM);
    kernel.capabilities = CAP_TO_MASK(CAP_NET_ADMIN);
    kernel.watch_failed = true;
    assert_int_equal(network_new(&network), -EMFILE);
    assert_null(network);
    network_free(NULL);
}

static void an_interface_of_somebody_else_is_left_alone(void **state)
{
    kernel.link.ours = false;
    assert_int_equal(network_check_name("segw0"), -EEXIST);
    assert_int_equal(network_clear(*state, "segw0"), -EEXIST);
    assert_int_equal(kernel.n_links_cleared + kernel.n_cleared, 0);
    kernel.link.ours = true;
    assert_int_equal(network_check_name("segw0"), 0);
    assert_int_equal(network_clear(*state, "segw0"), 0);
    assert_int_equal(kernel.n_links_cleared, 1);
    assert_int_equal(kernel.n_cleared, 1);
    kernel.link_error = -ENODEV;
    assert_int_equal(network_check_name("segw0"), 0);
    assert_int_equal(network_clear(*state, "segw0"), 0); /* another name's may be left */
    assert_int_equal(kernel.n_links_cleared, 2);
    assert_int_equal(kernel.n_cleared, 2);
    kernel.link_error = -EIO;
    assert_int_equal(network_check_name("segw0"), -EIO);
    assert_int_equal(network_clear(*state, "segw0"), -EIO);
    assert_int_equal(network_attach(*state, "segw0", 0), -EIO);
    assert_int_equal(kernel.n_cleared, 2);
}

static void an_sa_has_its_address_and_routes_from_it_until_it_goes(void **state)
{
    const SaOrder order = order_of(1, "10.0.0.2");
    assert_true(network_is_idle(*state));
    assert_int_equal(add(*state, &order), 0);
    assert_false(network_is_idle(*state));
    assert_int_equal(kernel.n_addresses, 1);
    assert_int_equal(kernel.n_routes, 1);
    const Route *route = route_of("192.168.0.0", 16);
    assert_source(route, "10.0.0.2");
    assert_int_equal(route->index, INDEX);
    assert_int_equal(route->mtu, 0);
    assert_int_equal(route->gateway.size, 0);
    assert_int_equal(kernel.mtu, 1400);
    network_remove_sa(*state, 2);
    assert_int_equal(kernel.n_routes, 1);
    network_remove_sa(*state, 1);
    assert_true(network_is_idle(*state));
    assert_nothing_left();
    assert_int_equal(kernel.n_mtus_set, 1);
}

static void what_two_sas_need_is_there_once_and_stays_with_either(void **state)
{
    const SaOrder first = order_of(1, "10.0.0.2"), second = order_of(2, "10.0.0.2");
    assert_int_equal(add(*state, &first), 0);
    assert_int_equal(add(*state, &second), 0);
    assert_int_equal(kernel.n_addresses, 1);
    assert_int_equal(kernel.n_routes, 1);
    assert_int_equal(kernel.n_replaced, 0);
    assert_int_equal(kernel.n_mtus_set, 1);
    network_remove_sa(*state, 1);
    assert_int_equal(kernel.n_addresses, 1);
    assert_int_equal(kernel.n_routes, 1);
    network_remove_sa(*state, 2);
    assert_nothing_left();
}

static void the_newest_sa_says_from_which_address(void **state)
{
    const SaOrder first = order_of(1, "10.0.0.2"), second = order_of(2, "10.0.0.3");
    assert_int_equal(add(*state, &first), 0);
    assert_int_equal(add(*state, &second), 0);
    assert_int_equal(kernel.n_addresses, 2);
    assert_int_equal(kernel.n_routes, 1);
    assert_int_equal(kernel.n_replaced, 1);
    assert_source(route_of("192.168.0.0", 16), "10.0.0.3");
    network_remove_sa(*state, 2);
    assert_int_equal(kernel.n_addresses, 1);
    assert_source(route_of("192.168.0.0", 16), "10.0.0.2");
}

static void a_route_that_can_not_be_moved_is_a_refusal_and_stays_as_it_was(void **state)
{
    const SaOrder first = order_of(1, "10.0.0.2"), second = order_of(2, "10.0.0.3");
    assert_int_equal(add(*state, &first), 0);
    kernel.route_error = -ENETDOWN;
    assert_int_equal(add(*state, &second), -ENETDOWN);
    assert_non_null(strstr(reason.text, "a route to 192.168.0.0/16 can't be added for segw0"));
    assert_source(route_of("192.168.0.0", 16), "10.0.0.2");
    assert_int_equal(kernel.n_addresses, 1);
    kernel.route_error = 0;
}

static void what_is_refused_is_named_and_leaves_nothing(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    kernel.elsewhere = true;
    assert_int_equal(add(*state, &order), -EADDRINUSE);
    assert_non_null(strstr(reason.text, "the address 10.0.0.2/32 can't be added for segw0"));
    assert_nothing_left();
    kernel.elsewhere = false;
    kernel.address_error = -EPERM;
    assert_int_equal(add(*state, &order), -EPERM);
    assert_nothing_left();
    kernel.address_error = 0;
    kernel.route_error = -ENETUNREACH;
    assert_int_equal(add(*state, &order), -ENETUNREACH);
    assert_non_null(strstr(reason.text, "a route to 192.168.0.0/16"));
    assert_nothing_left();
    kernel.route_error = 0;
    kernel.mtu_error = -EINVAL;
    order.mtu = 1300; /* 1400 is set */
    assert_int_equal(add(*state, &order), -EINVAL);
    assert_non_null(strstr(reason.text, "an MTU of 1300 can't be set on segw0"));
    assert_nothing_left();
}

static void ipv6_keeps_its_1280_octets_and_routes_say_what_the_path_has_room_for(void **state)
{
    SaOrder ipv4 = order_of(1, "10.0.0.2"), ipv6 = order_of(2, "fd00::2"), none = order_of(3, NULL);
    ipv4.mtu = 1279;
    ipv6.mtu = 1200;
    none.mtu = 1100;
    ipv6.ts_remote.selectors[0] = none.ts_remote.selectors[0] = range("fd01::", "fd01::ffff");
    assert_int_equal(add(*state, &ipv4), 0);
    assert_int_equal(kernel.mtu, 1279);
    assert_int_equal(route_of("192.168.0.0", 16)->mtu, 0);
    assert_int_equal(add(*state, &ipv6), 0);
    assert_int_equal(kernel.mtu, 1280);
    assert_int_equal(route_of("fd01::", 112)->mtu, 1200);
    assert_int_equal(route_of("192.168.0.0", 16)->mtu, 1200);
    network_remove_sa(*state, 2);
    assert_int_equal(kernel.mtu, 1279);
    assert_int_equal(route_of("192.168.0.0", 16)->mtu, 0);
    /* By its selectors, where no address was assigned at all. */
    assert_int_equal(add(*state, &none), 0);
    assert_int_equal(kernel.mtu, 1280);
    assert_int_equal(route_of("fd01::", 112)->mtu, 1100);
    assert_int_equal(route_of("fd01::", 112)->source.size, 0);
    network_remove_sa(*state, 3);
    none.ts_remote = ipv4.ts_remote;
    network_remove_sa(*state, 1);
    assert_int_equal(add(*state, &none), 0);
    assert_int_equal(kernel.mtu, 1100);
}

static void the_least_room_of_all_paths_counts(void **state)
{
    SaOrder wide = order_of(1, "10.0.0.2"), narrow = order_of(2, "10.0.0.2");
    SaOrder exact = order_of(3, "fd00::2");
    narrow.mtu = 1300;
    assert_int_equal(add(*state, &wide), 0);
    assert_int_equal(add(*state, &narrow), 0);
    assert_int_equal(kernel.mtu, 1300);
    network_remove_sa(*state, 2);
    assert_int_equal(kernel.mtu, 1400);
    exact.mtu = 1280;
    exact.ts_remote.selectors[0] = range("fd01::", "fd01::ffff");
    assert_int_equal(add(*state, &exact), 0);
    assert_int_equal(kernel.mtu, 1280);
    assert_int_equal(route_of("fd01::", 112)->mtu, 0);
}

static void an_sa_that_is_not_there_is_not_moved(void **state)
{
    const SaOrder order = order_of(1, "10.0.0.2");
    const SaPath path = {.mtu = 1300, .remote = order.remote};
    assert_int_equal(network_move_sa(*state, 1, &path, &reason), -ENOENT);
    assert_int_equal(network_set_mtu(*state, 1, 1300, &reason), -ENOENT);
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(network_move_sa(*state, 2, &path, &reason), -ENOENT);
    assert_int_equal(network_set_mtu(*state, 2, 1300, &reason), -ENOENT);
    assert_int_equal(kernel.mtu, 1400);
    assert_int_equal(network_move_sa(*state, 1, &path, &reason), 0);
    assert_int_equal(kernel.mtu, 1300);
    assert_int_equal(network_set_mtu(*state, 1, 1290, &reason), 0);
    assert_int_equal(kernel.mtu, 1290);
    /* What the kernel refuses is told of either. */
    kernel.mtu_error = -EPERM;
    assert_int_equal(network_move_sa(*state, 1, &path, &reason), -EPERM);
    assert_non_null(strstr(reason.text, "1300"));
    assert_int_equal(network_set_mtu(*state, 1, 1280, &reason), -EPERM);
    assert_non_null(strstr(reason.text, "1280"));
    kernel.mtu_error = 0;
}

static void an_address_of_one_family_brings_no_routes_of_the_other(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    order.ts_remote.n_selectors = 2;
    order.ts_remote.selectors[1] = range("fd01::", "fd01::ffff");
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.n_routes, 1);
    assert_int_equal(kernel.mtu, 1400);
    address_give(&order, "fd00::2");
    network_remove_sa(*state, 1);
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.n_routes, 2);
    assert_int_equal(kernel.n_addresses, 2);
    const Prefix source = prefix("fd00::2", 128);
    assert_true(same(&route_of("fd01::", 112)->source, &source));
}

static void two_addresses_of_either_family_are_taken(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    address_give(&order, "10.0.0.3");
    address_give(&order, "fd00::2");
    address_give(&order, "fd00::3");
    assert_int_equal(order.n_addresses, DATAPLANE_ADDRESSES_MAX);
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.n_addresses, DATAPLANE_ADDRESSES_MAX);
    assert_source(route_of("192.168.0.0", 16), "10.0.0.2"); /* the first */
}

static void the_way_to_a_segw_within_its_own_selectors_is_pinned(void **state)
{
    static const struct {
        const char *segw, *start, *end;
        bool pinned;
    } cases[] = {
        {"192.168.0.0", "192.168.0.0", "192.168.255.255", true},
        {"192.168.255.255", "192.168.0.0", "192.168.255.255", true},
        {"192.167.255.255", "192.168.0.0", "192.168.255.255", false},
        {"192.169.0.0", "192.168.0.0", "192.168.255.255", false},
        {"fd01::1", "fd01::", "fd01::ffff", true},
        {"fd02::1", "fd01::", "fd01::ffff", false},
        {"fd01::1", "192.168.0.0", "192.168.255.255", false},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        SaOrder order = order_of(1, NULL);
        const uint8_t length = strchr(cases[i].segw, ':') ? 128 : 32;
        order.ts_remote.selectors[0] = range(cases[i].start, cases[i].end);
        segw_put(&order, cases[i].segw);
        kernel.way = (Route){.index = 2, .gateway = prefix("203.0.113.254", 32)};
        assert_int_equal(add(*state, &order), 0);
        const Route *pinned = route_of(cases[i].segw, length);
        assert_int_equal(pinned != NULL, cases[i].pinned);
        if (pinned) {
            assert_int_equal(pinned->index, 2);
            assert_true(same(&pinned->gateway, &kernel.way.gateway));
        }
        network_remove_sa(*state, 1);
        assert_nothing_left();
    }
}

/* It alone keeps packets to the SeGW out of the tunnel while there is no way around. */
static void without_its_guard_no_way_to_a_segw_is_pinned_and_no_pair_added(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    segw_put(&order, "192.168.0.1");
    kernel.way = (Route){.index = 2, .gateway = prefix("203.0.113.254", 32)};
    kernel.guard_error = -ENOMEM;
    assert_int_equal(add(*state, &order), -ENOMEM);
    assert_nothing_left();
    kernel.guard_error = 0;
    assert_int_equal(add(*state, &order), 0);
}

static void a_pin_of_the_administrators_does_and_stays_and_want_of_a_way_is_told(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    const SaOrder again = order_of(2, "10.0.0.2");
    segw_put(&order, "192.168.0.1");
    const Route own = {.destination = prefix("192.168.0.1", 32), .index = 3};
    kernel.routes[kernel.n_routes++] = own;
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.n_routes, 3);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 3);
    network_remove_sa(*state, 1);
    assert_int_equal(kernel.n_routes, 1);
    kernel.n_routes = 0;
    kernel.way_error = -ENETUNREACH;
    assert_int_equal(add(*state, &order), -ENETUNREACH);
    assert_nothing_left();
    /* A pair that comes while there is no way finds the guard. */
    kernel.way_error = 0;
    assert_int_equal(add(*state, &order), 0);
    kernel.way_error = -ENETUNREACH;
    assert_int_equal(add(*state, &again), 0);
}

static void an_interface_is_made_with_the_mtu_of_its_first_pair(void **state)
{
    const SaOrder order = order_of(1, "10.0.0.2");
    network_detach(*state);
    assert_int_equal(network_attach(*state, "segw0", IPV6_MTU_MIN - 1), 0);
    assert_int_equal(kernel.mtu, IPV6_MTU_MIN);
    network_detach(*state);
    assert_int_equal(network_attach(*state, "segw0", order.mtu), 0);
    assert_int_equal(kernel.mtu, 1400);
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.mtu, 1400);
    assert_int_equal(kernel.n_mtus_set, 0);
    network_remove_sa(*state, 1);
}

static void there_is_room_for_so_many_sas_and_routes_and_no_more(void **state)
{
    SaOrder order = order_of(1, NULL);
    for (uint32_t spi = 1; spi <= DATAPLANE_SAS_MAX; spi++) {
        order.spi_in = spi;
        assert_int_equal(add(*state, &order), 0);
    }
    order.spi_in = DATAPLANE_SAS_MAX + 1;
    assert_int_equal(add(*state, &order), -ENOSPC);
    assert_int_equal(kernel.n_routes, 1);
    network_detach(*state);
    assert_nothing_left();
    assert_int_equal(network_attach(*state, "segw0", 0), 0);
    order.n_addresses = DATAPLANE_ADDRESSES_MAX + 1;
    assert_int_equal(add(*state, &order), -ENOSPC);
    /* 46 prefixes each; 16 more for the last is 512, and 17 is one too many. */
    order.n_addresses = 0;
    for (uint8_t i = 0; i < 11; i++) {
        char start[32], end[32];
        (void)snprintf(start, sizeof(start), "%u.0.0.1", 20 + i);
        (void)snprintf(end, sizeof(end), "%u.255.255.254", 20 + i);
        order.ts_remote.selectors[i] = range(start, end);
    }
    order.ts_remote.n_selectors = 11;
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(kernel.n_routes, 506);
    SaOrder last = order_of(99, NULL);
    last.ts_remote.selectors[0] = range("40.0.0.1", "40.0.0.14"); /* 6 */
    assert_int_equal(add(*state, &last), 0);
    assert_int_equal(kernel.n_routes, 512);
    last.spi_in = 100;
    last.ts_remote.selectors[0] = range("41.0.0.0", "41.0.0.0");
    assert_int_equal(add(*state, &last), -ENOSPC);
    assert_non_null(strstr(reason.text, "a route to 41.0.0.0/32"));
    assert_int_equal(kernel.n_routes, 512);
}

static void the_interface_goes_once(void **state)
{
    const SaOrder order = order_of(1, "10.0.0.2");
    assert_int_equal(add(*state, &order), 0);
    network_detach(*state);
    assert_nothing_left();
    assert_int_equal(kernel.n_links_deleted, 1);
    network_detach(*state);
    assert_int_equal(kernel.n_links_deleted, 1);
}

static void a_change_or_a_lost_message_is_a_reason_to_look_while_there_is_an_interface(void **state)
{
    assert_false(network_has_changed(*state));
    kernel.changed = true;
    assert_true(network_has_changed(*state));
    kernel.changed = false;
    kernel.lost = true;
    assert_true(network_has_changed(*state));
    network_detach(*state);
    assert_false(network_has_changed(*state));
}

/* What was told of. */
static struct {
    size_t n;
    uint32_t spis[GONE_MAX];
    DataPlaneEventType types[GONE_MAX];
} told;

static void note(uint32_t spi_in, DataPlaneEventType event, void *userdata)
{
    (void)userdata;
    told.spis[told.n] = spi_in;
    told.types[told.n++] = event;
}

static void look(Network *network)
{
    memset(&told, 0, sizeof(told));
    network_look(network, note, NULL);
}

static void assert_told(Network *network, uint32_t spi, DataPlaneEventType type)
{
    look(network);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.spis[0], spi);
    assert_int_equal(told.types[0], type);
}

/* Two SAs that have nothing in common. */
static void add_two(Network *network)
{
    SaOrder first = order_of(1, "10.0.0.2"), second = order_of(2, "10.0.0.3");
    second.ts_remote.selectors[0] = range("172.16.0.0", "172.16.255.255");
    assert_int_equal(add(network, &first), 0);
    assert_int_equal(add(network, &second), 0);
    look(network);
    assert_int_equal(told.n, 0);
}

static void an_interface_that_is_gone_exchanged_or_down_is_told_of_each_sa(void **state)
{
    static const struct {
        Link link;
        int error;
        size_t n;
    } cases[] = {
        {{.index = INDEX, .up = true}, 0, 0},        {{.index = INDEX, .up = false}, 0, 2},
        {{.index = INDEX + 1, .up = true}, 0, 2},    {{.index = INDEX, .up = true}, -ENODEV, 2},
        {{.index = INDEX, .up = true}, -ENOBUFS, 0},
    };
    add_two(*state);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        kernel.link = cases[i].link;
        kernel.link_error = cases[i].error;
        look(*state);
        assert_int_equal(told.n, cases[i].n);
        for (size_t j = 0; j < told.n; j++) {
            assert_int_equal(told.spis[j], j + 1);
            assert_int_equal(told.types[j], DATAPLANE_INTERFACE_GONE);
        }
    }
    kernel.link_error = 0;
}

static void an_address_or_a_route_that_is_gone_is_told_of_its_own_sa_alone(void **state)
{
    add_two(*state);
    const Prefix address = kernel.addresses[1];
    kernel.n_addresses = 1;
    assert_told(*state, address.octets[3] == 2 ? 1 : 2, DATAPLANE_ADDRESS_GONE);
    kernel.addresses[kernel.n_addresses++] = address;
    const Route route = kernel.routes[0];
    kernel.routes[0] = kernel.routes[--kernel.n_routes];
    assert_told(*state, route.destination.octets[0] == 192 ? 1 : 2, DATAPLANE_ROUTE_GONE);
    kernel.list_error = -ENOBUFS; /* what can't be seen need not be gone */
    look(*state);
    assert_int_equal(told.n, 0);
}

/* Its SeGW is within its selectors, and is reached by link 2. */
static void add_pinned(Network *network)
{
    SaOrder order = order_of(1, "10.0.0.2");
    segw_put(&order, "192.168.0.1");
    kernel.way = (Route){.index = 2, .gateway = prefix("203.0.113.254", 32)};
    assert_int_equal(add(network, &order), 0);
}

static void lose(const char *text, bool guard)
{
    const Prefix destination = prefix(text, 32);
    Route *route = route_like(&destination, guard);
    assert_non_null(route);
    *route = kernel.routes[--kernel.n_routes];
}

static void assert_quiet(Network *network)
{
    look(network);
    assert_int_equal(told.n, 0);
}

static void a_pin_that_is_gone_is_pinned_again_and_no_loss(void **state)
{
    add_pinned(*state);
    lose("192.168.0.1", false);
    kernel.way.index = 4;
    assert_quiet(*state);
    assert_non_null(route_of("192.168.0.1", 32));
    assert_int_equal(route_of("192.168.0.1", 32)->index, 4);
    lose("192.168.0.1", true);
    assert_quiet(*state);
    const Prefix segw = prefix("192.168.0.1", 32);
    assert_non_null(route_like(&segw, true));
    assert_int_equal(kernel.n_routes, 3);
}

static void a_pin_follows_the_route_beneath_by_link_and_gateway(void **state)
{
    add_pinned(*state);
    assert_quiet(*state);
    assert_int_equal(kernel.n_replaced, 0);
    kernel.way.index = 4;
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 4);
    kernel.way.gateway = prefix("203.0.113.253", 32);
    assert_quiet(*state);
    assert_true(same(&route_of("192.168.0.1", 32)->gateway, &kernel.way.gateway));
    assert_int_equal(kernel.n_replaced, 2);
    kernel.route_error = -ENETDOWN; /* another look tries again */
    kernel.way.index = 5;
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 4);
    kernel.route_error = 0;
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 5);
}

static void a_pair_is_refused_where_the_pin_of_its_segw_can_not_follow_the_way(void **state)
{
    SaOrder second = order_of(2, "10.0.0.2");
    segw_put(&second, "192.168.0.1");
    add_pinned(*state);
    kernel.way.index = 4;
    kernel.route_error = -ENETDOWN;
    assert_int_equal(add(*state, &second), -ENETDOWN);
    assert_non_null(strstr(reason.text, "a route to 192.168.0.1/32"));
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
    kernel.route_error = 0;
    assert_int_equal(add(*state, &second), 0);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 4);
}

static void while_there_is_no_way_the_guard_stands_and_then_it_is_pinned(void **state)
{
    const Prefix segw = prefix("192.168.0.1", 32);
    SaOrder second = order_of(2, "10.0.0.2");
    segw_put(&second, "192.168.0.1");
    add_pinned(*state);
    kernel.beneath_error = -ENETUNREACH; /* route_find() has one: the tunnel's */
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
    lose("192.168.0.1", false);
    assert_quiet(*state);
    assert_null(route_of("192.168.0.1", 32));
    assert_non_null(route_like(&segw, true));
    assert_int_equal(add(*state, &second), 0);
    assert_null(route_of("192.168.0.1", 32));
    assert_non_null(route_like(&segw, true));
    kernel.beneath_error = 0;
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
    network_remove_sa(*state, 1);
    network_remove_sa(*state, 2);
    assert_nothing_left();
}

static void a_selector_of_the_segws_address_alone_makes_no_route_into_the_tunnel(void **state)
{
    SaOrder order = order_of(1, "10.0.0.2");
    segw_put(&order, "192.168.0.1");
    order.ts_remote.selectors[0] = range("192.168.0.1", "192.168.0.1");
    kernel.way = (Route){.index = 2};
    assert_int_equal(add(*state, &order), 0);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
    kernel.beneath_error = -ENETUNREACH;
    lose("192.168.0.1", false);
    assert_quiet(*state);
    order.spi_in = 2;
    assert_int_equal(add(*state, &order), 0);
    assert_null(route_of("192.168.0.1", 32));
}

static void
where_another_table_has_the_way_the_kernel_is_asked_before_there_is_a_tunnel(void **state)
{
    kernel.beneath_error = -ENETUNREACH;
    add_pinned(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
    assert_quiet(*state);
    assert_int_equal(route_of("192.168.0.1", 32)->index, 2);
}

/* A SeGW that is not the one with the guard: the kernel, asked for the way to it, names a tunnel.
 */
static void a_tunnel_is_never_pinned_as_the_way_around_one(void **state)
{
    static const unsigned tunnels[] = {INDEX, OTHER_TUNNEL};
    SaOrder second = order_of(2, "10.0.0.2");
    SaPath path = {.mtu = 1400};
    segw_put(&second, "192.168.0.9");
    path.remote = second.remote;
    add_pinned(*state);
    kernel.beneath_error = -ENETUNREACH;
    for (size_t i = 0; i < ELEMENTS(tunnels); i++) {
        kernel.way = (Route){.index = tunnels[i]};
        assert_int_equal(add(*state, &second), -ENETUNREACH);
        assert_null(route_of("192.168.0.9", 32));
        assert_int_equal(kernel.n_routes, 3);
    }
    kernel.way.index = 4; /* by a rule for another table */
    kernel.ours_error = -ENOBUFS;
    assert_int_equal(add(*state, &second), -ENOBUFS);
    kernel.ours_error = 0;
    assert_int_equal(add(*state, &second), 0);
    assert_int_equal(route_of("192.168.0.9", 32)->index, 4);
    network_remove_sa(*state, 2);
    kernel.way.index = INDEX;
    assert_int_equal(network_move_sa(*state, 1, &path, &reason), -ENETUNREACH);
    assert_null(route_of("192.168.0.9", 32));
}

#define NETWORK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NETWORK_TEST(without_the_right_to_there_is_no_network),
        NETWORK_TEST(an_interface_of_somebody_else_is_left_alone),
        NETWORK_TEST(an_sa_has_its_address_and_routes_from_it_until_it_goes),
        NETWORK_TEST(what_two_sas_need_is_there_once_and_stays_with_either),
        NETWORK_TEST(the_newest_sa_says_from_which_address),
        NETWORK_TEST(a_route_that_can_not_be_moved_is_a_refusal_and_stays_as_it_was),
        NETWORK_TEST(what_is_refused_is_named_and_leaves_nothing),
        NETWORK_TEST(ipv6_keeps_its_1280_octets_and_routes_say_what_the_path_has_room_for),
        NETWORK_TEST(the_least_room_of_all_paths_counts),
        NETWORK_TEST(an_sa_that_is_not_there_is_not_moved),
        NETWORK_TEST(an_address_of_one_family_brings_no_routes_of_the_other),
        NETWORK_TEST(two_addresses_of_either_family_are_taken),
        NETWORK_TEST(the_way_to_a_segw_within_its_own_selectors_is_pinned),
        NETWORK_TEST(without_its_guard_no_way_to_a_segw_is_pinned_and_no_pair_added),
        NETWORK_TEST(a_pin_of_the_administrators_does_and_stays_and_want_of_a_way_is_told),
        NETWORK_TEST(an_interface_is_made_with_the_mtu_of_its_first_pair),
        NETWORK_TEST(there_is_room_for_so_many_sas_and_routes_and_no_more),
        NETWORK_TEST(the_interface_goes_once),
        NETWORK_TEST(a_change_or_a_lost_message_is_a_reason_to_look_while_there_is_an_interface),
        NETWORK_TEST(an_interface_that_is_gone_exchanged_or_down_is_told_of_each_sa),
        NETWORK_TEST(an_address_or_a_route_that_is_gone_is_told_of_its_own_sa_alone),
        NETWORK_TEST(a_pin_that_is_gone_is_pinned_again_and_no_loss),
        NETWORK_TEST(a_pin_follows_the_route_beneath_by_link_and_gateway),
        NETWORK_TEST(a_pair_is_refused_where_the_pin_of_its_segw_can_not_follow_the_way),
        NETWORK_TEST(while_there_is_no_way_the_guard_stands_and_then_it_is_pinned),
        NETWORK_TEST(a_selector_of_the_segws_address_alone_makes_no_route_into_the_tunnel),
        NETWORK_TEST(where_another_table_has_the_way_the_kernel_is_asked_before_there_is_a_tunnel),
        NETWORK_TEST(a_tunnel_is_never_pinned_as_the_way_around_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

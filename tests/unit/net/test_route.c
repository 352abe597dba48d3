/* Is the kernel asked for the very link, address and route, and its answer read as what it is? */
#include "net/link.h"
#include "net/route.h"
#include "net/xfrm.h"

#include "netlink_fixture.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { OURS = 7, OTHER = 8 };

static const Prefix ipv4 = {.size = 4, .length = 24, .octets = {10, 1, 2, 3}};
static const Prefix ipv6 = {.size = 16, .length = 64, .octets = {0xfd, 1, [15] = 3}};

static void answer_link(const char *alias, unsigned flags)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header = played_answer(RTM_NEWLINK, sizeof(*info), &info);
    info->ifi_index = OURS;
    info->ifi_flags = flags;
    mnl_attr_put_strz(header, IFLA_IFNAME, "segw0");
    if (alias)
        mnl_attr_put_strz(header, IFLA_IFALIAS, alias);
}

static void a_link_is_ours_by_its_alias(void **state)
{
    static const struct {
        const char *alias;
        unsigned flags;
        bool ours, up;
    } examples[] = {
        {"tred: ESP tunnel to the SeGW", IFF_UP, true, true},
        {"tred: ESP tunnel to the SeGW", 0, true, false},
        {"tred: ESP tunnel to the SeGW2", IFF_UP, false, true},
        {"segw0", IFF_RUNNING, false, false},
        {NULL, IFF_UP, false, true},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        Link link = {.index = OTHER};
        (void)played_begin(NULL);
        answer_link(examples[i].alias, examples[i].flags);
        assert_int_equal(link_find(played_netlink, "segw0", &link), 0);
        assert_int_equal(link.index, OURS);
        assert_int_equal(link.ours, examples[i].ours);
        assert_int_equal(link.up, examples[i].up);
        assert_string_equal(played_attribute(played_request(0, RTM_GETLINK),
                                             sizeof(struct ifinfomsg), IFLA_IFNAME, 6),
                            "segw0");
        bool ours = !examples[i].ours;
        assert_int_equal(link_is_ours(played_netlink, OURS, &ours), 0);
        assert_int_equal(ours, examples[i].ours);
        const struct ifinfomsg *asked = mnl_nlmsg_get_payload(played_request(1, RTM_GETLINK));
        assert_int_equal(asked->ifi_index, OURS);
    }
}

static void answer_link_of_kind(const char *kind, uint32_t if_id)
{
    struct ifinfomsg *info;
    struct nlmsghdr *header = played_answer(RTM_NEWLINK, sizeof(*info), &info);
    info->ifi_index = OURS;
    struct nlattr *link = mnl_attr_nest_start(header, IFLA_LINKINFO);
    mnl_attr_put_strz(header, IFLA_INFO_KIND, kind);
    struct nlattr *data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
    mnl_attr_put_u32(header, IFLA_XFRM_IF_ID, if_id);
    mnl_attr_nest_end(header, data);
    mnl_attr_nest_end(header, link);
}

/* tred-net was killed between making it and naming it. */
static void an_xfrm_interface_of_our_ids_is_ours_before_it_has_its_alias(void **state)
{
    static const struct {
        const char *kind;
        uint32_t if_id;
        bool ours;
    } examples[] = {
        {"xfrm", XFRM_IF_ID, true},
        {"xfrm", XFRM_IF_ID + DATAPLANE_INTERFACES_MAX - 1, true},
        {"xfrm", XFRM_IF_ID + DATAPLANE_INTERFACES_MAX, false},
        {"xfrm", XFRM_IF_ID - 1, false},
        {"xfrm", 0, false},
        {"xfrms", XFRM_IF_ID, false},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        Link link = {.ours = !examples[i].ours};
        (void)played_begin(NULL);
        answer_link_of_kind(examples[i].kind, examples[i].if_id);
        assert_int_equal(link_find(played_netlink, "segw0", &link), 0);
        assert_int_equal(link.ours, examples[i].ours);
        assert_int_equal(links_clear(played_netlink), 0);
        assert_int_equal(played.n_requests, examples[i].ours ? 3 : 2);
    }
}

static void a_link_that_is_not_found_says_nothing(void **state)
{
    (void)state;
    Link link = {.index = OTHER, .ours = true};
    answer_link(NULL, IFF_UP);
    played.fails_at = 1;
    assert_int_equal(link_find(played_netlink, "segw0", &link), -PLAYED_ERROR);
    assert_int_equal(link.index, OTHER);
    assert_true(link.ours);
}

static void check_configured(size_t number, uint32_t mtu)
{
    const struct nlmsghdr *header = played_request(number, RTM_NEWLINK);
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
    assert_int_equal(info->ifi_index, OURS);
    assert_int_equal(*(const uint32_t *)played_attribute(header, sizeof(*info), IFLA_MTU, 4), mtu);
}

/* A host without IPv6 can't be told to keep link-local addresses away, and needs not. */
static void a_link_is_configured_though_it_may_have_no_ipv6(void **state)
{
    (void)state;
    for (size_t fails_at = 0; fails_at < 3; fails_at++) {
        (void)played_begin(NULL);
        played.fails_at = fails_at;
        assert_int_equal(link_configure(played_netlink, OURS, 1400),
                         fails_at == 2 ? -PLAYED_ERROR : 0);
        assert_int_equal(played.n_requests, 2);
        check_configured(1, 1400);
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(played_request(1, RTM_NEWLINK));
        assert_int_equal(info->ifi_flags, IFF_UP);
        assert_int_equal(info->ifi_change, IFF_UP);
    }
    (void)played_begin(NULL);
    assert_int_equal(link_set_mtu(played_netlink, OURS, 1280), 0);
    check_configured(0, 1280);
    assert_int_equal(link_delete(played_netlink, OURS), 0);
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(played_request(1, RTM_DELLINK));
    assert_int_equal(info->ifi_index, OURS);
}

static void check_address(size_t number, uint16_t type, const Prefix *address)
{
    const struct nlmsghdr *header = played_request(number, type);
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    assert_int_equal(message->ifa_family, address->size == 4 ? AF_INET : AF_INET6);
    assert_int_equal(message->ifa_prefixlen, address->length);
    assert_int_equal(message->ifa_index, OURS);
    assert_int_equal(message->ifa_flags, address->size == 4 ? 0 : IFA_F_NODAD);
    for (uint16_t attribute = IFA_ADDRESS; attribute <= IFA_LOCAL; attribute++) {
        assert_memory_equal(played_attribute(header, sizeof(*message), attribute, address->size),
                            address->octets, address->size);
    }
}

static void an_address_is_added_and_deleted_in_its_family(void **state)
{
    (void)state;
    assert_int_equal(address_add(played_netlink, OURS, &ipv4), 0);
    assert_int_equal(address_add(played_netlink, OURS, &ipv6), 0);
    assert_int_equal(address_delete(played_netlink, OURS, &ipv4), 0);
    assert_int_equal(address_delete(played_netlink, OURS, &ipv6), 0);
    check_address(0, RTM_NEWADDR, &ipv4);
    check_address(1, RTM_NEWADDR, &ipv6);
    check_address(2, RTM_DELADDR, &ipv4);
    check_address(3, RTM_DELADDR, &ipv6);
}

static void check_route(const Route *route, uint8_t scope)
{
    (void)played_begin(NULL);
    assert_int_equal(route_add(played_netlink, route), 0);
    const struct nlmsghdr *header = played_request(0, RTM_NEWROUTE);
    const struct rtmsg *message = mnl_nlmsg_get_payload(header);
    const size_t size = route->destination.size;
    assert_int_equal(header->nlmsg_flags, NLM_F_CREATE | NLM_F_EXCL);
    assert_int_equal(message->rtm_family, size == 4 ? AF_INET : AF_INET6);
    assert_int_equal(message->rtm_dst_len, route->destination.length);
    assert_int_equal(message->rtm_protocol, ROUTE_PROTOCOL);
    assert_int_equal(message->rtm_scope, scope);
    assert_int_equal(message->rtm_flags, 0);
    assert_memory_equal(played_attribute(header, sizeof(*message), RTA_DST, size),
                        route->destination.octets, size);
    assert_int_equal(*(const uint32_t *)played_attribute(header, sizeof(*message), RTA_OIF, 4),
                     route->index);
    const void *source =
        played_attribute(header, sizeof(*message), RTA_PREFSRC, route->source.size);
    const void *gateway =
        played_attribute(header, sizeof(*message), RTA_GATEWAY, route->gateway.size);
    const void *metrics = played_attribute(header, sizeof(*message), RTA_METRICS, 8);
    assert_int_equal(source != NULL, route->source.size > 0);
    assert_int_equal(gateway != NULL, route->gateway.size > 0);
    assert_int_equal(metrics != NULL, route->mtu > 0);
    if (source)
        assert_memory_equal(source, route->source.octets, route->source.size);
    if (gateway)
        assert_memory_equal(gateway, route->gateway.octets, route->gateway.size);
}

/* IPv4's scope says whether there is a gateway; IPv6 knows none. */
static void a_route_has_what_it_needs_and_nothing_else(void **state)
{
    (void)state;
    check_route(&(Route){.destination = ipv4, .index = OURS}, RT_SCOPE_LINK);
    check_route(&(Route){.destination = ipv6, .index = OURS}, RT_SCOPE_UNIVERSE);
    check_route(&(Route){.destination = ipv4, .index = OURS, .source = ipv4}, RT_SCOPE_LINK);
    check_route(&(Route){.destination = ipv4, .index = OTHER, .gateway = ipv4}, RT_SCOPE_UNIVERSE);
    check_route(&(Route){.destination = ipv6, .index = OTHER, .gateway = ipv6, .mtu = 1400},
                RT_SCOPE_UNIVERSE);
    const Route route = {.destination = ipv4, .index = OURS};
    (void)played_begin(NULL);
    assert_int_equal(route_replace(played_netlink, &route), 0);
    assert_int_equal(played_request(0, RTM_NEWROUTE)->nlmsg_flags, NLM_F_CREATE | NLM_F_REPLACE);
    assert_int_equal(route_delete(played_netlink, &route), 0);
    (void)played_request(1, RTM_DELROUTE);
}

/* It may be on the link though no route says so. The kernel's words for that, IPv4's first. */
static void what_the_kernel_takes_for_no_gateway_it_is_told_to_take_for_one(void **state)
{
    static const int refusals[] = {ENETUNREACH, EHOSTUNREACH, EINVAL, EEXIST};
    const Route route = {.destination = ipv4, .index = OTHER, .gateway = ipv4};
    const Route direct = {.destination = ipv4, .index = OTHER};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(refusals); i++) {
        const bool again = refusals[i] != EEXIST;
        (void)played_begin(NULL);
        played.fails_with = refusals[i];
        played.fails_at = 1;
        assert_int_equal(route_add(played_netlink, &route), again ? 0 : -EEXIST);
        assert_int_equal(played.n_requests, again ? 2 : 1);
        for (size_t j = 0; j < played.n_requests; j++) {
            const struct rtmsg *message = mnl_nlmsg_get_payload(played_request(j, RTM_NEWROUTE));
            assert_int_equal(message->rtm_flags, j == 1 ? RTNH_F_ONLINK : 0);
        }
        played.fails_at = 1;
        assert_int_equal(route_add(played_netlink, &direct), -refusals[i]);
    }
}

static void answer_route(uint8_t protocol, uint8_t number, unsigned index)
{
    struct rtmsg *message;
    struct nlmsghdr *header = played_answer(RTM_NEWROUTE, sizeof(*message), &message);
    message->rtm_protocol = protocol;
    message->rtm_dst_len = 32;
    mnl_attr_put(header, RTA_DST, 4, (const uint8_t[]){10, 0, 0, number});
    mnl_attr_put_u32(header, RTA_OIF, index);
    mnl_attr_put(header, RTA_GATEWAY, 4, (const uint8_t[]){192, 0, 2, number});
}

static void the_way_to_an_address_is_the_kernels_first_answer(void **state)
{
    (void)state;
    const Prefix address = {.size = 4, .length = 32, .octets = {198, 51, 100, 1}};
    Route route = {.index = 99};
    played.fails_at = 1;
    assert_int_equal(route_find(played_netlink, &address, &route), -PLAYED_ERROR);
    assert_int_equal(route.index, 99);
    answer_route(2, 1, OTHER);
    answer_route(2, 2, OURS);
    assert_int_equal(route_find(played_netlink, &address, &route), 0);
    assert_int_equal(route.index, OTHER);
    assert_memory_equal(route.destination.octets, address.octets, 4);
    assert_int_equal(route.gateway.size, 4);
    assert_int_equal(route.gateway.octets[3], 1);
}

/* It would be said again without its gateway. */
static void a_way_by_a_gateway_of_the_other_family_is_none(void **state)
{
    static const uint8_t via[18] = {AF_INET6, 0, 0xfe, 0x80, [17] = 1};
    const Prefix address = {.size = 4, .length = 32, .octets = {198, 51, 100, 1}};
    Route route = {.index = 99};
    struct rtmsg *message;
    (void)state;
    struct nlmsghdr *header = played_answer(RTM_NEWROUTE, sizeof(*message), &message);
    mnl_attr_put_u32(header, RTA_OIF, OTHER);
    mnl_attr_put(header, RTA_VIA, sizeof(via), via);
    assert_int_equal(route_find(played_netlink, &address, &route), -ENETUNREACH);
    assert_int_equal(route.index, 99);
}

static void a_guard_is_an_unreachable_route_of_the_worst_metric(void **state)
{
    (void)state;
    const Route guard = {.destination = {.size = 4, .length = 32, .octets = {198, 51, 100, 1}},
                         .guard = true};
    assert_int_equal(route_add(played_netlink, &guard), 0);
    assert_int_equal(route_delete(played_netlink, &guard), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct nlmsghdr *header = played_request(i, i == 0 ? RTM_NEWROUTE : RTM_DELROUTE);
        const struct rtmsg *message = mnl_nlmsg_get_payload(header);
        assert_int_equal(message->rtm_type, RTN_UNREACHABLE);
        assert_int_equal(message->rtm_scope, RT_SCOPE_UNIVERSE);
        assert_int_equal(message->rtm_protocol, ROUTE_PROTOCOL);
        assert_null(played_attribute(header, sizeof(*message), RTA_OIF, 4));
        assert_int_equal(
            *(const uint32_t *)played_attribute(header, sizeof(*message), RTA_PRIORITY, 4),
            UINT32_MAX - 1);
    }
}

static struct nlmsghdr *answer_address(unsigned index, uint8_t length)
{
    struct ifaddrmsg *message;
    struct nlmsghdr *header = played_answer(RTM_NEWADDR, sizeof(*message), &message);
    message->ifa_index = index;
    message->ifa_prefixlen = length;
    return header;
}

typedef struct Found {
    size_t n;
    Route routes[PLAYED_ANSWERS_MAX * 2];
} Found;

static void keep(const Route *route, void *userdata)
{
    Found *found = userdata;
    found->routes[found->n++] = *route;
}

/* On a link between two ends IFA_ADDRESS is the other one. */
static void an_address_is_listed_of_its_own_link_and_end(void **state)
{
    (void)state;
    static const uint8_t ours[] = {10, 1, 2, 3}, theirs[] = {10, 1, 2, 4};
    static Found found;
    found.n = 0;
    struct nlmsghdr *header = answer_address(OTHER, 8);
    mnl_attr_put(header, IFA_LOCAL, 4, theirs);
    header = answer_address(OURS, 24);
    mnl_attr_put(header, IFA_ADDRESS, 4, theirs);
    mnl_attr_put(header, IFA_LOCAL, 4, ours);
    header = answer_address(OURS, 24);
    mnl_attr_put(header, IFA_LOCAL, 4, ours);
    mnl_attr_put(header, IFA_ADDRESS, 4, theirs);
    header = answer_address(OURS, 64);
    mnl_attr_put(header, IFA_ADDRESS, 16, ipv6.octets);
    header = answer_address(OURS, 8);
    mnl_attr_put(header, IFA_LOCAL, 6, ipv6.octets); /* of no family that there is */
    assert_int_equal(addresses_list(played_netlink, OURS, keep, &found), 0);
    assert_int_equal(found.n, 4);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(found.routes[i].destination.size, 4);
        assert_int_equal(found.routes[i].destination.length, 24);
        assert_memory_equal(found.routes[i].destination.octets, ours, 4);
    }
    assert_int_equal(found.routes[2].destination.size, 16);
    assert_int_equal(found.routes[2].destination.length, 64);
    assert_int_equal(found.routes[3].destination.size, 0);
}

static bool is_elsewhere(unsigned index, uint16_t size, const uint8_t *octets)
{
    bool elsewhere = false;
    (void)played_begin(NULL);
    mnl_attr_put(answer_address(index, 24), IFA_LOCAL, size, octets);
    mnl_attr_put(answer_address(OURS, 24), IFA_LOCAL, 4, ipv4.octets);
    assert_int_equal(address_is_elsewhere(played_netlink, OURS, &ipv4, &elsewhere), 0);
    return elsewhere;
}

static void an_address_is_elsewhere_if_another_link_has_it(void **state)
{
    (void)state;
    static const uint8_t neighbour[] = {10, 1, 2, 4}, longer[16] = {10, 1, 2, 3};
    bool elsewhere = false;
    assert_true(is_elsewhere(OTHER, 4, ipv4.octets));
    assert_false(is_elsewhere(OURS, 4, ipv4.octets));
    assert_false(is_elsewhere(OTHER, 4, neighbour));
    assert_false(is_elsewhere(OTHER, 16, longer));
    played.fails_at = 1;
    assert_int_equal(address_is_elsewhere(played_netlink, OURS, &ipv4, &elsewhere), -PLAYED_ERROR);
}

static void routes_are_listed_of_both_families_and_of_our_protocol_alone(void **state)
{
    (void)state;
    static Found found;
    found.n = 0;
    answer_route(ROUTE_PROTOCOL, 1, OURS);
    answer_route(ROUTE_PROTOCOL - 1, 2, OURS);
    assert_int_equal(routes_list(played_netlink, keep, &found), 0);
    assert_int_equal(found.n, 2); /* the same answer to both */
    assert_int_equal(found.routes[1].destination.octets[3], 1);
    assert_int_equal(found.routes[1].destination.length, 32);
    const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < ELEMENTS(families); i++) {
        const struct rtmsg *message = mnl_nlmsg_get_payload(played_request(i, RTM_GETROUTE));
        assert_int_equal(message->rtm_family, families[i]);
    }
    for (size_t fails_at = 1; fails_at <= 2; fails_at++) {
        played.n_requests = 0;
        played.fails_at = fails_at;
        assert_int_equal(routes_list(played_netlink, keep, &found), -PLAYED_ERROR);
        assert_int_equal(played.n_requests, fails_at);
    }
}

static size_t n_deleted;

static void take_away(const struct nlmsghdr *header)
{
    if (header->nlmsg_type != RTM_DELROUTE)
        return;
    n_deleted++;
    if (played.n_answers > 0)
        played.n_answers--;
}

/* More than are cleared at once. Each is in the answers for either family: the dump is full with
 * half of them. */
static void routes_are_cleared_to_the_last(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 127, 128, 129, 300};
    for (size_t i = 0; i < ELEMENTS(counts); i++) {
        (void)played_begin(NULL);
        n_deleted = 0;
        played.on_call = take_away;
        for (size_t n = 0; n < counts[i]; n++)
            answer_route(ROUTE_PROTOCOL, (uint8_t)n, OURS);
        assert_int_equal(routes_clear(played_netlink), 0);
        assert_int_equal(played.n_answers, 0);
        assert_true(n_deleted >= counts[i]);
    }
}

static void take_link_away(const struct nlmsghdr *header)
{
    if (header->nlmsg_type != RTM_DELLINK)
        return;
    n_deleted++;
    played.n_answers--;
}

/* Of one dump sixteen. */
static void links_are_cleared_to_the_last(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 17, 40};
    for (size_t i = 0; i < ELEMENTS(counts); i++) {
        (void)played_begin(NULL);
        n_deleted = 0;
        played.on_call = take_link_away;
        for (size_t n = 0; n < counts[i]; n++)
            answer_link("tred: ESP tunnel to the SeGW", IFF_UP);
        assert_int_equal(links_clear(played_netlink), 0);
        assert_int_equal(n_deleted, counts[i]);
        assert_int_equal(played.n_requests, counts[i] + counts[i] / 16 + 1);
    }
    (void)played_begin(NULL);
    answer_link("somebody else's", IFF_UP);
    assert_int_equal(links_clear(played_netlink), 0);
    assert_int_equal(played.n_requests, 1);
}

static void links_that_can_not_be_cleared_are_told_at_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 16; n++)
        answer_link("tred: ESP tunnel to the SeGW", IFF_UP);
    played.fails_at = 3; /* a dump, a link, and another */
    assert_int_equal(links_clear(played_netlink), -PLAYED_ERROR);
    assert_int_equal(played.n_requests, 3);
}

static void what_can_not_be_cleared_is_told_at_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n++)
        answer_route(ROUTE_PROTOCOL, (uint8_t)n, OURS);
    played.fails_at = 4; /* two dumps, one route, and another */
    assert_int_equal(routes_clear(played_netlink), -PLAYED_ERROR);
    assert_int_equal(played.n_requests, 4);
    played.n_requests = 0;
    played.fails_at = 1;
    assert_int_equal(routes_clear(played_netlink), -PLAYED_ERROR);
    assert_int_equal(played.n_requests, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_link_is_ours_by_its_alias, played_begin),
        cmocka_unit_test_setup(an_xfrm_interface_of_our_ids_is_ours_before_it_has_its_alias,
                               played_begin),
        cmocka_unit_test_setup(a_link_that_is_not_found_says_nothing, played_begin),
        cmocka_unit_test_setup(a_link_is_configured_though_it_may_have_no_ipv6, played_begin),
        cmocka_unit_test_setup(an_address_is_added_and_deleted_in_its_family, played_begin),
        cmocka_unit_test_setup(a_route_has_what_it_needs_and_nothing_else, played_begin),
        cmocka_unit_test_setup(what_the_kernel_takes_for_no_gateway_it_is_told_to_take_for_one,
                               played_begin),
        cmocka_unit_test_setup(the_way_to_an_address_is_the_kernels_first_answer, played_begin),
        cmocka_unit_test_setup(a_way_by_a_gateway_of_the_other_family_is_none, played_begin),
        cmocka_unit_test_setup(a_guard_is_an_unreachable_route_of_the_worst_metric, played_begin),
        cmocka_unit_test_setup(an_address_is_listed_of_its_own_link_and_end, played_begin),
        cmocka_unit_test_setup(an_address_is_elsewhere_if_another_link_has_it, played_begin),
        cmocka_unit_test_setup(routes_are_listed_of_both_families_and_of_our_protocol_alone,
                               played_begin),
        cmocka_unit_test_setup(routes_are_cleared_to_the_last, played_begin),
        cmocka_unit_test_setup(links_are_cleared_to_the_last, played_begin),
        cmocka_unit_test_setup(links_that_can_not_be_cleared_are_told_at_once, played_begin),
        cmocka_unit_test_setup(what_can_not_be_cleared_is_told_at_once, played_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

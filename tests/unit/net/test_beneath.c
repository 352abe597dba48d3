/* Is the way that a host would have without the tunnel the main table's best, and no other? */
#include "net/beneath.h"

#include "netlink_fixture.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { TUNNEL = 7, OTHER = 8, THIRD = 9 };

static const Prefix segw = {.size = 4, .length = 32, .octets = {198, 51, 100, 1}};
static const Prefix segw6 = {.size = 16, .length = 128, .octets = {0x20, 0x01, [15] = 1}};

typedef struct Played4 {
    uint8_t length, octets[4];
    unsigned index;
    uint32_t metric;
} Played4;

static struct nlmsghdr *answer(const Played4 *route, struct rtmsg **ret)
{
    struct nlmsghdr *header = played_answer(RTM_NEWROUTE, sizeof(**ret), ret);
    (*ret)->rtm_family = AF_INET;
    (*ret)->rtm_dst_len = route->length;
    (*ret)->rtm_table = RT_TABLE_MAIN;
    (*ret)->rtm_protocol = RTPROT_STATIC;
    (*ret)->rtm_type = RTN_UNICAST;
    if (route->length > 0)
        mnl_attr_put(header, RTA_DST, 4, route->octets);
    if (route->index > 0)
        mnl_attr_put_u32(header, RTA_OIF, route->index);
    if (route->metric > 0)
        mnl_attr_put_u32(header, RTA_PRIORITY, route->metric);
    return header;
}

static int find(const Prefix *address, Route *ret)
{
    *ret = (Route){.index = 99};
    return route_beneath(played_netlink, address, TUNNEL, ret);
}

static void assert_way(unsigned index)
{
    Route way;
    assert_int_equal(find(&segw, &way), 0);
    assert_int_equal(way.index, index);
    assert_memory_equal(&way.destination, &segw, sizeof(segw));
}

static void assert_no_way(void)
{
    Route way;
    assert_int_equal(find(&segw, &way), -ENETUNREACH);
    assert_int_equal(way.index, 99);
}

static void the_longest_prefix_counts_and_then_the_least_metric(void **state)
{
    static const struct {
        Played4 routes[3];
        unsigned way;
    } cases[] = {
        {{{0, {0}, OTHER, 0}}, OTHER},
        {{{0, {0}, OTHER, 0}, {24, {198, 51, 100, 0}, THIRD, 900}}, THIRD},
        {{{24, {198, 51, 100, 0}, THIRD, 900}, {0, {0}, OTHER, 0}}, THIRD},
        {{{0, {0}, OTHER, 200}, {0, {0}, THIRD, 100}}, THIRD},
        {{{0, {0}, OTHER, 100}, {0, {0}, THIRD, 200}}, OTHER},
        {{{0, {0}, OTHER, 100}, {0, {0}, THIRD, 100}}, OTHER}, /* as the kernel has them */
        {{{0, {0}, OTHER, 0}, {33, {198, 51, 100, 1}, THIRD, 0}}, OTHER}, /* of no address */
        {{{0, {0}, OTHER, 0}, {25, {198, 51, 100, 0}, THIRD, 0}}, THIRD},
        {{{0, {0}, OTHER, 0}, {25, {198, 51, 100, 128}, THIRD, 0}}, OTHER},
        {{{0, {0}, OTHER, 0}, {24, {198, 51, 101, 0}, THIRD, 0}}, OTHER},
        {{{0, {0}, OTHER, 0}, {32, {198, 51, 100, 1}, THIRD, 0}}, THIRD},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct rtmsg *message;
        (void)played_begin(NULL);
        for (size_t j = 0; j < 3 && cases[i].routes[j].index > 0; j++)
            (void)answer(&cases[i].routes[j], &message);
        assert_way(cases[i].way);
    }
}

static void what_is_ours_or_in_another_table_or_for_others_does_not_count(void **state)
{
    static const Played4 better = {24, {198, 51, 100, 0}, THIRD, 0}, any = {0, {0}, OTHER, 0};
    struct rtmsg *message;
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        (void)played_begin(NULL);
        struct nlmsghdr *header = answer(&better, &message);
        if (i == 0)
            message->rtm_protocol = ROUTE_PROTOCOL;
        if (i == 1)
            message->rtm_table = 100;
        if (i == 2)
            mnl_attr_put_u32(header, RTA_TABLE, 1000);
        if (i == 3)
            message->rtm_tos = 8;
        if (i == 4)
            message->rtm_flags = RTNH_F_DEAD;
        if (i == 5)
            message->rtm_family = AF_INET6;
        if (i == 6)
            mnl_attr_put_u32(header, RTA_OIF, TUNNEL); /* the last one counts */
        assert_no_way();
        (void)answer(&any, &message);
        assert_way(OTHER);
    }
}

static void a_best_route_that_leads_nowhere_is_no_way(void **state)
{
    static const Played4 better = {24, {198, 51, 100, 0}, 0, 0}, any = {0, {0}, OTHER, 0};
    struct rtmsg *message;
    (void)state;
    assert_no_way();
    (void)answer(&better, &message);
    message->rtm_type = RTN_UNREACHABLE;
    (void)answer(&any, &message);
    assert_no_way();
    played.fails_at = 1;
    Route way;
    assert_int_equal(find(&segw, &way), -PLAYED_ERROR);
}

static void put_hop(struct nlmsghdr *header, uint8_t flags, int index, uint8_t gateway)
{
    struct {
        struct rtnexthop hop;
        struct nlattr attribute;
        uint8_t octets[4];
    } hop = {
        .hop = {.rtnh_len = sizeof(hop), .rtnh_flags = flags, .rtnh_ifindex = index},
        .attribute = {.nla_len = 8, .nla_type = RTA_GATEWAY},
        .octets = {192, 0, 2, gateway},
    };
    memcpy(mnl_nlmsg_get_payload_tail(header), &hop, sizeof(hop));
    header->nlmsg_len += (uint32_t)sizeof(hop);
}

static void of_several_next_hops_the_first_that_lives_counts(void **state)
{
    static const Played4 any = {0, {0}, 0, 0};
    struct rtmsg *message;
    Route way;
    (void)state;
    for (size_t n_dead = 0; n_dead <= 2; n_dead++) {
        (void)played_begin(NULL);
        struct nlmsghdr *header = answer(&any, &message);
        struct nlattr *hops = mnl_attr_nest_start(header, RTA_MULTIPATH);
        put_hop(header, n_dead > 0 ? RTNH_F_DEAD : 0, OTHER, 1);
        put_hop(header, n_dead > 1 ? RTNH_F_DEAD : 0, THIRD, 2);
        mnl_attr_nest_end(header, hops);
        if (n_dead == 2) {
            assert_no_way();
            continue;
        }
        assert_way(n_dead == 0 ? OTHER : THIRD);
        assert_int_equal(find(&segw, &way), 0);
        assert_int_equal(way.gateway.size, 4);
        assert_int_equal(way.gateway.octets[3], n_dead + 1);
    }
}

static void the_way_of_ipv6_has_its_gateway(void **state)
{
    static const uint8_t gateway[16] = {0xfe, 0x80, [15] = 1};
    struct rtmsg *message;
    Route way;
    (void)state;
    struct nlmsghdr *header = answer(&(Played4){0, {0}, OTHER, 1024}, &message);
    message->rtm_family = AF_INET6;
    mnl_attr_put(header, RTA_GATEWAY, 16, gateway);
    assert_int_equal(find(&segw6, &way), 0);
    assert_int_equal(way.index, OTHER);
    assert_int_equal(way.gateway.size, 16);
    assert_memory_equal(way.gateway.octets, gateway, 16);
    const struct rtmsg *asked = mnl_nlmsg_get_payload(played_request(0, RTM_GETROUTE));
    assert_int_equal(asked->rtm_family, AF_INET6);
}

static void a_way_wants_an_interface_and_no_gateway_of_the_other_family(void **state)
{
    static const Played4 nowhere = {24, {198, 51, 100, 0}, 0, 0}, any = {0, {0}, OTHER, 0};
    static const uint8_t via[6] = {AF_INET6 & 0xff}, gateway[20] = {192, 0, 2, 1};
    struct rtmsg *message;
    Route way;
    (void)state;
    (void)answer(&nowhere, &message);
    assert_no_way();
    (void)played_begin(NULL);
    mnl_attr_put(answer(&any, &message), RTA_VIA, sizeof(via), via);
    assert_no_way();
    (void)played_begin(NULL);
    mnl_attr_put(answer(&any, &message), RTA_GATEWAY, sizeof(gateway), gateway);
    assert_int_equal(find(&segw, &way), 0);
    assert_int_equal(way.gateway.size, 0); /* of that size there is none */
}

/* A next hop without a gateway is no longer than its head; one that says that it is shorter, or
 * longer than what is there, is none. */
static void a_next_hop_is_as_long_as_it_says(void **state)
{
    static const struct {
        unsigned short says;
        unsigned way;
    } cases[] = {{sizeof(struct rtnexthop), OTHER},
                 {sizeof(struct rtnexthop) - 1, 0},
                 {0, 0},
                 {sizeof(struct rtnexthop) + 1, 0}};
    static const Played4 nowhere = {0, {0}, 0, 0};
    struct rtmsg *message;
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const struct rtnexthop hop = {.rtnh_len = cases[i].says, .rtnh_ifindex = OTHER};
        (void)played_begin(NULL);
        mnl_attr_put(answer(&nowhere, &message), RTA_MULTIPATH, sizeof(hop), &hop);
        if (cases[i].way) {
            assert_way(cases[i].way);
        } else {
            assert_no_way();
        }
    }
}

#define BENEATH_TEST(name) cmocka_unit_test_setup(name, played_begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENEATH_TEST(the_longest_prefix_counts_and_then_the_least_metric),
        BENEATH_TEST(what_is_ours_or_in_another_table_or_for_others_does_not_count),
        BENEATH_TEST(a_best_route_that_leads_nowhere_is_no_way),
        BENEATH_TEST(of_several_next_hops_the_first_that_lives_counts),
        BENEATH_TEST(the_way_of_ipv6_has_its_gateway),
        BENEATH_TEST(a_way_wants_an_interface_and_no_gateway_of_the_other_family),
        BENEATH_TEST(a_next_hop_is_as_long_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

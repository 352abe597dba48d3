/* Do the kernel's selectors, prefixes and masks, stand for the negotiated ranges and nothing else?
 */
#include "net/xfrm_policies.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct xfrm_selector found[XFRM_SELECTORS_MAX];

static IkeTs ipv4_hosts(uint8_t first, uint8_t last)
{
    IkeTs ts = {.n_selectors = 1};
    ts.selectors[0] = (IkeSelector){
        .type = IKE_TS_IPV4_ADDR_RANGE,
        .end_port = UINT16_MAX,
        .start = {10, 0, 0, first},
        .end = {10, 0, 0, last},
    };
    return ts;
}

static IkeTs all_addresses(uint8_t type)
{
    IkeTs ts = {.n_selectors = 1};
    ts.selectors[0] = (IkeSelector){.type = type, .end_port = UINT16_MAX};
    memset(ts.selectors[0].end, 0xff, sizeof(ts.selectors[0].end));
    return ts;
}

static void two_hosts_make_one_selector_of_any_protocol_and_port(void **state)
{
    (void)state;
    IkeTs source = ipv4_hosts(1, 1), destination = ipv4_hosts(2, 2);
    const uint8_t from[] = {10, 0, 0, 1}, to[] = {10, 0, 0, 2};
    assert_int_equal(xfrm_selectors(&source, &destination, found), 1);
    assert_int_equal(found[0].family, AF_INET);
    assert_int_equal(found[0].prefixlen_s, 32);
    assert_int_equal(found[0].prefixlen_d, 32);
    assert_memory_equal(&found[0].saddr, from, 4);
    assert_memory_equal(&found[0].daddr, to, 4);
    assert_int_equal(found[0].proto, 0);
    assert_int_equal(found[0].sport_mask, 0);
    assert_int_equal(found[0].dport_mask, 0);
}

static void all_addresses_are_one_prefix_of_length_0(void **state)
{
    (void)state;
    IkeTs ipv4 = all_addresses(IKE_TS_IPV4_ADDR_RANGE);
    IkeTs ipv6 = all_addresses(IKE_TS_IPV6_ADDR_RANGE);
    assert_int_equal(xfrm_selectors(&ipv4, &ipv4, found), 1);
    assert_int_equal(found[0].prefixlen_s, 0);
    assert_int_equal(found[0].prefixlen_d, 0);
    assert_int_equal(xfrm_selectors(&ipv6, &ipv6, found), 1);
    assert_int_equal(found[0].family, AF_INET6);
}

static void ranges_that_are_no_prefix_are_combined(void **state)
{
    (void)state;
    IkeTs source = ipv4_hosts(1, 2), destination = ipv4_hosts(4, 8);
    /* 1, 2 and 4-7, 8 */
    assert_int_equal(xfrm_selectors(&source, &destination, found), 4);
    assert_int_equal(found[0].prefixlen_d, 30);
    assert_int_equal(found[1].prefixlen_d, 32);
}

static bool matches_port(const struct xfrm_selector *selector, uint16_t port)
{
    return ((htons(port) ^ selector->dport) & selector->dport_mask) == 0;
}

static void a_range_of_ports_is_covered_exactly_once(void **state)
{
    (void)state;
    const uint16_t ranges[][2] = {{53, 53}, {1, 65535}, {0, 1023}, {1000, 2000}, {0, 65534}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        IkeTs source = ipv4_hosts(1, 1), destination = ipv4_hosts(2, 2);
        destination.selectors[0].protocol = IPPROTO_UDP;
        destination.selectors[0].start_port = ranges[i][0];
        destination.selectors[0].end_port = ranges[i][1];
        int n = xfrm_selectors(&source, &destination, found);
        assert_true(n > 0);
        for (uint32_t port = 0; port <= UINT16_MAX; port++) {
            unsigned matching = 0;
            for (int j = 0; j < n; j++) {
                assert_int_equal(found[j].proto, IPPROTO_UDP);
                matching += matches_port(&found[j], (uint16_t)port);
            }
            assert_int_equal(matching, port >= ranges[i][0] && port <= ranges[i][1]);
        }
    }
}

static void families_and_protocols_that_differ_make_no_selector(void **state)
{
    (void)state;
    IkeTs ipv4 = all_addresses(IKE_TS_IPV4_ADDR_RANGE);
    IkeTs ipv6 = all_addresses(IKE_TS_IPV6_ADDR_RANGE);
    assert_int_equal(xfrm_selectors(&ipv4, &ipv6, found), 0);
    IkeTs tcp = ipv4, udp = ipv4;
    tcp.selectors[0].protocol = IPPROTO_TCP;
    udp.selectors[0].protocol = IPPROTO_UDP;
    assert_int_equal(xfrm_selectors(&tcp, &udp, found), 0);
    assert_int_equal(xfrm_selectors(&tcp, &ipv4, found), 1);
    assert_int_equal(found[0].proto, IPPROTO_TCP);
}

/* Two prefixes that are not both halves: 0.0.0.0/1 and 128.0.0.0/32, 127.255.255.255/32 and
 * 128.0.0.0/1. */
static void half_of_all_addresses_and_one_more_are_not_all_addresses(void **state)
{
    IkeTs host = ipv4_hosts(1, 1), low = all_addresses(IKE_TS_IPV4_ADDR_RANGE), high = low;
    (void)state;
    memcpy(low.selectors[0].end, "\x80\0\0\0", 4);
    memcpy(high.selectors[0].start, "\x7f\xff\xff\xff", 4);
    assert_int_equal(xfrm_selectors(&low, &host, found), 2);
    assert_int_equal(found[0].prefixlen_s, 1);
    assert_int_equal(found[1].prefixlen_s, 32);
    assert_int_equal(xfrm_selectors(&high, &host, found), 2);
    assert_int_equal(found[0].prefixlen_s, 32);
    assert_int_equal(found[1].prefixlen_s, 1);
}

static void icmp_goes_with_any_type_and_code_alone(void **state)
{
    static const uint8_t protocols[] = {IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP};
    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        const bool refused = protocols[i] != IPPROTO_UDP;
        IkeTs any = ipv4_hosts(1, 1), from = ipv4_hosts(1, 1), to = ipv4_hosts(1, 1);
        any.selectors[0].protocol = protocols[i];
        from.selectors[0].protocol = to.selectors[0].protocol = protocols[i];
        from.selectors[0].start_port = 0x8000;
        to.selectors[0].end_port = 0x7fff;
        assert_int_equal(xfrm_selectors(&any, &any, found), 1);
        assert_int_equal(found[0].proto, protocols[i]);
        assert_int_equal(xfrm_selectors(&any, &from, found), refused ? -EOPNOTSUPP : 1);
        assert_int_equal(xfrm_selectors(&from, &any, found), refused ? -EOPNOTSUPP : 1);
        assert_int_equal(xfrm_selectors(&any, &to, found), refused ? -EOPNOTSUPP : 1);
        assert_int_equal(xfrm_selectors(&to, &any, found), refused ? -EOPNOTSUPP : 1);
    }
}

static void what_the_kernel_can_not_say_is_refused_not_widened(void **state)
{
    (void)state;
    IkeTs echo = ipv4_hosts(1, 1);
    echo.selectors[0].protocol = IPPROTO_ICMP;
    echo.selectors[0].start_port = 0x0800;
    echo.selectors[0].end_port = 0x08ff;
    assert_int_equal(xfrm_selectors(&echo, &echo, found), -EOPNOTSUPP);
    IkeTs ragged = ipv4_hosts(1, 254);
    ragged.selectors[0].protocol = IPPROTO_UDP;
    ragged.selectors[0].start_port = 1;
    ragged.selectors[0].end_port = 65534;
    assert_int_equal(xfrm_selectors(&ragged, &ragged, found), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_make_one_selector_of_any_protocol_and_port),
        cmocka_unit_test(all_addresses_are_one_prefix_of_length_0),
        cmocka_unit_test(ranges_that_are_no_prefix_are_combined),
        cmocka_unit_test(a_range_of_ports_is_covered_exactly_once),
        cmocka_unit_test(families_and_protocols_that_differ_make_no_selector),
        cmocka_unit_test(half_of_all_addresses_and_one_more_are_not_all_addresses),
        cmocka_unit_test(icmp_goes_with_any_type_and_code_alone),
        cmocka_unit_test(what_the_kernel_can_not_say_is_refused_not_widened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Does what is asked of one pair's policies leave those of all others as they are? */
#include "net/xfrm_policies.h"

#include "netlink_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static XfrmPolicies *policies;

static int setup(void **state)
{
    (void)played_begin(state);
    return xfrm_policies_new(played_netlink, &policies);
}

static int teardown(void **state)
{
    (void)state;
    xfrm_policies_free(policies);
    return 0;
}

/* All of IPv4 on our side, and 10.0.0.0/8 on the SeGW's. */
static SaOrder order_of(uint32_t spi_in)
{
    struct sockaddr_in ends[2] = {{.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000202)},
                                  {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)}};
    SaOrder order = {
        .spi_in = spi_in,
        .spi_out = spi_in + 100,
        .ts_local = {.n_selectors = 1,
                     .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE,
                                    .end_port = UINT16_MAX,
                                    .end = {255, 255, 255, 255}}}},
        .ts_remote = {.n_selectors = 1,
                      .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE,
                                     .end_port = UINT16_MAX,
                                     .start = {10},
                                     .end = {10, 255, 255, 255}}}},
    };
    memcpy(&order.local, &ends[0], sizeof(ends[0]));
    memcpy(&order.remote, &ends[1], sizeof(ends[1]));
    return order;
}

static int add(uint32_t spi_in)
{
    const SaOrder order = order_of(spi_in);
    return xfrm_policies_add(policies, &order);
}

/* One that was never there, or one that is gone: of it nothing is left to be found. */
static void check_unknown(uint32_t spi_in)
{
    const SaPath path = {.mtu = 1400};
    played.n_requests = 0;
    assert_int_equal(xfrm_policies_use(policies, spi_in), -ENOENT);
    assert_int_equal(xfrm_policies_hold(policies, spi_in), -ENOENT);
    assert_int_equal(xfrm_policies_move(policies, spi_in, &path), -ENOENT);
    xfrm_policies_retire(policies, spi_in);
    xfrm_policies_remove(policies, spi_in);
    assert_int_equal(played.n_requests, 0);
}

static void a_pair_that_is_not_there_changes_nothing(void **state)
{
    (void)state;
    check_unknown(0);
    check_unknown(300);
    assert_int_equal(add(300), 0);
    assert_int_equal(played.n_requests, 3);
    check_unknown(0);
    check_unknown(301);
    assert_int_equal(add(301), 0);
    assert_int_equal(played.n_requests, 1); /* that which goes out takes the newer one */
    xfrm_policies_remove(policies, 301);
    check_unknown(0);
    check_unknown(301);
    played.n_requests = 0;
    xfrm_policies_remove(policies, 300);
    assert_int_equal(played.n_requests, 3);
    check_unknown(300);
}

static void there_is_room_for_each_pair_that_a_data_plane_has(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < DATAPLANE_SAS_MAX; i++)
        assert_int_equal(add(300 + i), 0);
    played.n_requests = 0;
    assert_int_equal(add(299), -ENOSPC);
    check_unknown(299);
    assert_int_equal(xfrm_policies_use(policies, 300), 0);
    assert_int_equal(played.n_requests, 1);
}

/* Whichever of the three policies it is. */
static void a_pair_whose_policy_is_refused_leaves_nothing(void **state)
{
    (void)state;
    for (size_t fails_at = 1; fails_at <= 3; fails_at++) {
        played.n_requests = 0;
        played.fails_at = fails_at;
        assert_int_equal(add(300), -PLAYED_ERROR);
        assert_int_equal(played.n_requests, 2 * fails_at - 1); /* made, and taken back */
        check_unknown(300);
    }
    assert_int_equal(add(300), 0);
}

/* UDP at port 32 alone, whose mask is another than that of ports 32 and 33. */
static SaOrder narrow_order_of(uint32_t spi_in)
{
    SaOrder order = order_of(spi_in);
    order.ts_remote.selectors[0].protocol = IPPROTO_UDP;
    order.ts_remote.selectors[0].start_port = order.ts_remote.selectors[0].end_port = 32;
    return order;
}

static void protocol_change(SaOrder *order)
{
    order->ts_remote.selectors[0].protocol = IPPROTO_TCP;
}

static void port_change(SaOrder *order)
{
    order->ts_remote.selectors[0].start_port = order->ts_remote.selectors[0].end_port = 33;
}

static void port_mask_change(SaOrder *order)
{
    order->ts_remote.selectors[0].end_port = 33;
}

static void address_change(SaOrder *order)
{
    order->ts_remote.selectors[0].start[0] = order->ts_remote.selectors[0].end[0] = 11;
}

static void prefix_length_change(SaOrder *order)
{
    order->ts_remote.selectors[0].end[1] = 127;
}

static void interface_change(SaOrder *order)
{
    order->interface++;
}

static void pairs_whose_selectors_differ_in_one_field_have_policies_of_their_own(void **state)
{
    static void (*const changes[])(SaOrder *) = {
        protocol_change, port_change,          port_mask_change,
        address_change,  prefix_length_change, interface_change,
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(changes); i++) {
        SaOrder first = narrow_order_of(300), second = narrow_order_of(301);
        changes[i](&second);
        assert_int_equal(xfrm_policies_add(policies, &first), 0);
        played.n_requests = 0;
        assert_int_equal(xfrm_policies_add(policies, &second), 0);
        assert_int_equal(played.n_requests, 3);
        xfrm_policies_remove(policies, 301);
        assert_int_equal(played.n_requests, 6);
        xfrm_policies_remove(policies, 300);
        assert_int_equal(played.n_requests, 9);
    }
}

/* The kernel is told of a tunnel that has another end, or is another SeGW's, and of no other. */
static void a_policy_whose_tunnel_differs_in_one_field_is_made_anew(void **state)
{
    SaOrder order = order_of(300), other = order_of(300);
    SaPath path = {.local = order.local, .remote = order.remote};
    (void)state;
    assert_int_equal(xfrm_policies_add(policies, &order), 0);
    played.n_requests = 0;
    assert_int_equal(xfrm_policies_move(policies, 300, &path), 0);
    assert_int_equal(played.n_requests, 0);
    ((struct sockaddr_in *)(void *)&path.local)->sin_addr.s_addr ^= htonl(1);
    assert_int_equal(xfrm_policies_move(policies, 300, &path), 0);
    assert_int_equal(played.n_requests, 3);
    ((struct sockaddr_in *)(void *)&path.remote)->sin_addr.s_addr ^= htonl(1);
    assert_int_equal(xfrm_policies_move(policies, 300, &path), 0);
    assert_int_equal(played.n_requests, 6);
    other.spi_in = 301;
    other.segw++;
    other.local = path.local;
    other.remote = path.remote;
    assert_int_equal(xfrm_policies_add(policies, &other), 0);
    assert_int_equal(played.n_requests, 9);
}

/* As long as there is one that is not. */
static void a_pair_that_has_expired_gives_its_outbound_policy_to_an_older_one(void **state)
{
    (void)state;
    assert_int_equal(add(300), 0);
    assert_int_equal(add(301), 0);
    played.n_requests = 0;
    xfrm_policies_retire(policies, 300);
    assert_int_equal(played.n_requests, 0);
    xfrm_policies_retire(policies, 301);
    assert_int_equal(played.n_requests, 0); /* the newest of those that have expired */
    assert_int_equal(add(302), 0);
    assert_int_equal(add(303), 0);
    assert_int_equal(played.n_requests, 2);
    xfrm_policies_retire(policies, 303);
    assert_int_equal(played.n_requests, 3);
}

/* `n` hosts, none beside another. */
static IkeTs hosts(uint8_t n)
{
    IkeTs ts = {.n_selectors = n};
    for (uint8_t i = 0; i < n; i++) {
        ts.selectors[i] = (IkeSelector){
            .type = IKE_TS_IPV4_ADDR_RANGE,
            .end_port = UINT16_MAX,
            .start = {10, 0, i, 1},
            .end = {10, 0, i, 1},
        };
    }
    return ts;
}

static void there_is_room_for_as_many_policies_as_one_pair_can_need_and_no_more(void **state)
{
    enum { MOST = 3 * XFRM_SELECTORS_MAX };
    SaOrder most = order_of(300);
    (void)state;
    most.ts_local = hosts(XFRM_SELECTORS_MAX / 8);
    most.ts_remote = hosts(8);
    assert_int_equal(xfrm_policies_add(policies, &most), 0);
    assert_int_equal(played.n_requests, MOST);
    played.n_requests = 0;
    assert_int_equal(add(301), -ENOSPC);
    assert_int_equal(played.n_requests, 0);
    check_unknown(301);
    xfrm_policies_remove(policies, 300);
    assert_int_equal(played.n_requests, MOST);
    assert_int_equal(add(301), 0);
}

/* Else a full socket buffer would have every tunnel taken for lost. */
static void a_list_that_the_kernel_does_not_give_tells_of_no_policy_that_is_lacking(void **state)
{
    (void)state;
    assert_int_equal(add(300), 0);
    assert_int_equal(xfrm_policies_lack(policies), 1U << order_of(300).interface);
    played.fails_at = 1;
    assert_int_equal(xfrm_policies_lack(policies), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_that_is_not_there_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_room_for_each_pair_that_a_data_plane_has, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_pair_whose_policy_is_refused_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            pairs_whose_selectors_differ_in_one_field_have_policies_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_policy_whose_tunnel_differs_in_one_field_is_made_anew,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_pair_that_has_expired_gives_its_outbound_policy_to_an_older_one, setup, teardown),
        cmocka_unit_test_setup_teardown(
            there_is_room_for_as_many_policies_as_one_pair_can_need_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_list_that_the_kernel_does_not_give_tells_of_no_policy_that_is_lacking, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

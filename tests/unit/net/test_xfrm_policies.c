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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_that_is_not_there_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_room_for_each_pair_that_a_data_plane_has, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_pair_whose_policy_is_refused_leaves_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Are the networks that the host is in those of its addresses, from the first host to the last? */
#include "net/route.h"

#include "netlink_fixture.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void answer(uint8_t family, uint8_t length, const void *address, uint16_t size)
{
    struct ifaddrmsg *message;
    struct nlmsghdr *header = played_answer(RTM_NEWADDR, sizeof(*message), &message);
    static const uint8_t ours[16] = {192, 0, 2, 99};
    message->ifa_family = family;
    message->ifa_prefixlen = length;
    mnl_attr_put(header, IFA_LOCAL, size, ours);
    if (address)
        mnl_attr_put(header, IFA_ADDRESS, size, address);
}

static void a_network_reaches_from_its_first_address_to_its_last(void **state)
{
    static const struct {
        uint8_t length, start[4], end[4];
    } examples[] = {
        {1, {128, 0, 0, 0}, {255, 255, 255, 255}},   {8, {172, 0, 0, 0}, {172, 255, 255, 255}},
        {20, {172, 16, 96, 0}, {172, 16, 111, 255}}, {24, {172, 16, 99, 0}, {172, 16, 99, 255}},
        {31, {172, 16, 99, 6}, {172, 16, 99, 7}},
    };
    static const uint8_t address[] = {172, 16, 99, 7};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        IkeTs networks;
        (void)played_begin(NULL);
        answer(AF_INET, examples[i].length, address, 4);
        assert_int_equal(local_networks(played_netlink, &networks), 0);
        assert_int_equal(networks.n_selectors, 1);
        assert_int_equal(networks.selectors[0].type, IKE_TS_IPV4_ADDR_RANGE);
        assert_memory_equal(networks.selectors[0].start, examples[i].start, 4);
        assert_memory_equal(networks.selectors[0].end, examples[i].end, 4);
    }
}

static void a_network_of_ipv6_likewise(void **state)
{
    static const uint8_t address[16] = {0xfd, 1, [15] = 7};
    uint8_t start[16] = {0xfd, 1}, end[16] = {0xfd, 1};
    IkeTs networks;

    (void)state;
    memset(end + 8, 0xff, 8);
    answer(AF_INET6, 64, address, 16);
    answer(AF_INET6, 127, address, 16);
    assert_int_equal(local_networks(played_netlink, &networks), 0);
    assert_int_equal(networks.n_selectors, 2);
    assert_int_equal(networks.selectors[0].type, IKE_TS_IPV6_ADDR_RANGE);
    assert_memory_equal(networks.selectors[0].start, start, 16);
    assert_memory_equal(networks.selectors[0].end, end, 16);
    assert_int_equal(networks.selectors[1].start[15], 6);
    assert_int_equal(networks.selectors[1].end[15], 7);
}

/* Nobody else is on it, or everybody. */
static void what_is_no_network_is_passed_over(void **state)
{
    static const uint8_t address[16] = {172, 16, 99, 7};
    IkeTs networks;

    (void)state;
    answer(AF_INET, 32, address, 4);
    answer(AF_INET6, 128, address, 16);
    answer(AF_INET, 0, address, 4);
    answer(AF_INET6, 0, address, 16);
    answer(AF_INET, 24, NULL, 4);
    answer(AF_INET, 24, address, 16); /* of another family than it says */
    answer(AF_INET6, 64, address, 4);
    assert_int_equal(local_networks(played_netlink, &networks), 0);
    assert_int_equal(networks.n_selectors, 0);
}

static void there_is_room_for_so_many_networks(void **state)
{
    IkeTs networks;

    (void)state;
    for (size_t i = 0; i < IKE_SELECTORS_MAX + 1; i++)
        answer(AF_INET, 24, (const uint8_t[]){10, 0, (uint8_t)i, 1}, 4);
    assert_int_equal(local_networks(played_netlink, &networks), 0);
    assert_int_equal(networks.n_selectors, IKE_SELECTORS_MAX);
    assert_int_equal(networks.selectors[IKE_SELECTORS_MAX - 1].start[2], IKE_SELECTORS_MAX - 1);
    played.fails_at = 1;
    assert_int_equal(local_networks(played_netlink, &networks), -PLAYED_ERROR);
    assert_int_equal(networks.n_selectors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_network_reaches_from_its_first_address_to_its_last, played_begin),
        cmocka_unit_test_setup(a_network_of_ipv6_likewise, played_begin),
        cmocka_unit_test_setup(what_is_no_network_is_passed_over, played_begin),
        cmocka_unit_test_setup(there_is_room_for_so_many_networks, played_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

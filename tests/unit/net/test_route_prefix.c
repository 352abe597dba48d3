/* Do the prefixes of a range cover it, and nothing else? */
#include "net/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static IkeSelector last_octet_range(unsigned start, unsigned end)
{
    IkeSelector selector = {.type = IKE_TS_IPV4_ADDR_RANGE};
    selector.start[3] = (uint8_t)start;
    selector.end[3] = (uint8_t)end;
    return selector;
}

static void every_range_in_256_addresses_is_covered_exactly_once(void **state)
{
    (void)state;
    Prefix prefixes[PREFIXES_MAX];
    for (unsigned start = 0; start < 256; start++) {
        for (unsigned end = start; end < 256; end++) {
            IkeSelector selector = last_octet_range(start, end);
            size_t n = prefixes_of_selector(&selector, prefixes);
            unsigned next = start;
            for (size_t i = 0; i < n; i++) {
                assert_true(prefixes[i].length >= 24 && prefixes[i].length <= 32);
                assert_int_equal(prefixes[i].octets[3], next);
                unsigned count = 1U << (32 - prefixes[i].length);
                assert_int_equal(next % count, 0);
                next += count;
            }
            assert_int_equal(next, end + 1);
            assert_true(n <= 14);
        }
    }
}

static void all_addresses_become_two_halves(void **state)
{
    (void)state;
    Prefix prefixes[PREFIXES_MAX];
    for (unsigned size = 4; size <= 16; size += 12) {
        IkeSelector selector = {
            .type = size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE,
        };
        memset(selector.end, 0xff, size);
        assert_int_equal(prefixes_of_selector(&selector, prefixes), 2);
        assert_int_equal(prefixes[0].length, 1);
        assert_int_equal(prefixes[0].octets[0], 0);
        assert_int_equal(prefixes[1].length, 1);
        assert_int_equal(prefixes[1].octets[0], 0x80);
        assert_int_equal(prefixes[1].size, size);
    }
}

static void the_most_prefixes_that_a_range_can_need_have_room(void **state)
{
    (void)state;
    Prefix prefixes[PREFIXES_MAX];
    IkeSelector selector = {.type = IKE_TS_IPV6_ADDR_RANGE};
    selector.start[15] = 1;
    memset(selector.end, 0xff, 16);
    selector.end[15] = 0xfe;
    assert_int_equal(prefixes_of_selector(&selector, prefixes), 254);
}

static void a_range_that_ends_before_it_begins_has_none(void **state)
{
    (void)state;
    Prefix prefixes[PREFIXES_MAX];
    IkeSelector selector = last_octet_range(9, 8);
    assert_int_equal(prefixes_of_selector(&selector, prefixes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_in_256_addresses_is_covered_exactly_once),
        cmocka_unit_test(all_addresses_become_two_halves),
        cmocka_unit_test(the_most_prefixes_that_a_range_can_need_have_room),
        cmocka_unit_test(a_range_that_ends_before_it_begins_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Prefixes are read as the ranges they stand for, and ranges written as prefixes. */
#include "ikeclient/selectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const IkeTs *ts, const char *expected)
{
    char text[SELECTORS_TEXT_SIZE];

    assert_string_equal(selectors_text(ts, text), expected);
}

static void a_prefix_spans_its_addresses(void **state)
{
    static const uint8_t first[] = {10, 200, 16, 0}, last[] = {10, 200, 31, 255};
    IkeTs ts;
    (void)state;

    assert_int_equal(selectors_parse("10.200.17.5/20", &ts), 0);
    assert_int_equal(ts.n_selectors, 1);
    assert_int_equal(ts.selectors[0].type, IKE_TS_IPV4_ADDR_RANGE);
    assert_memory_equal(ts.selectors[0].start, first, sizeof(first));
    assert_memory_equal(ts.selectors[0].end, last, sizeof(last));
    assert_int_equal(ts.selectors[0].start_port, 0);
    assert_int_equal(ts.selectors[0].end_port, 65535);
    assert_text(&ts, "10.200.16.0/20");
}

static void a_list_may_mix_families_and_blanks(void **state)
{
    IkeTs ts;
    (void)state;

    assert_int_equal(selectors_parse("10.0.0.1 ,\t2001:db8::/32, ::/0", &ts), 0);
    assert_text(&ts, "10.0.0.1/32, 2001:db8::/32, ::/0");
}

static void a_range_that_is_no_prefix_is_written_as_one(void **state)
{
    IkeTs ts;
    (void)state;

    assert_int_equal(selectors_parse("10.0.0.0/24", &ts), 0);
    ts.selectors[0].end[3] = 7;
    assert_text(&ts, "10.0.0.0/29");
    ts.selectors[0].end[3] = 9;
    assert_text(&ts, "10.0.0.0-10.0.0.9");
}

static void what_is_no_list_of_prefixes_is_refused(void **state)
{
    static const char *const wrong[] = {"",           "10.0.0.0/33", "10.0.0/8",    "10.0.0.0/",
                                        "10.0.0.0/x", "::/129",      "10.0.0.0/8,", ",::/0",
                                        "host",       "::/0 ::/0",   "10.0.0.0/+8"};
    IkeTs ts;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(selectors_parse(wrong[i], &ts), -EINVAL);
}

static void any_is_everything_of_its_family(void **state)
{
    IkeTs ts = {0};
    (void)state;

    selectors_add_any(&ts, IKE_TS_IPV4_ADDR_RANGE);
    selectors_add_any(&ts, IKE_TS_IPV6_ADDR_RANGE);
    assert_text(&ts, "0.0.0.0/0, ::/0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_spans_its_addresses),
        cmocka_unit_test(a_list_may_mix_families_and_blanks),
        cmocka_unit_test(a_range_that_is_no_prefix_is_written_as_one),
        cmocka_unit_test(what_is_no_list_of_prefixes_is_refused),
        cmocka_unit_test(any_is_everything_of_its_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What may pass a tunnel, and what may not? */
#include "tred/child_policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int policy_read(const char *text, IkeTs *ret)
{
    Reason allowed = {0};
    int r = selector_policy_parse(NULL, text, ret, &allowed);

    assert_true(r == 0 || strlen(allowed.text) > 0);
    return r;
}

static IkeTs range(const char *start, const char *end)
{
    int family = strchr(start, ':') ? AF_INET6 : AF_INET;
    IkeTs ts = {.n_selectors = 1};
    IkeSelector *selector = &ts.selectors[0];

    selector->type = family == AF_INET ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    selector->end_port = UINT16_MAX;
    assert_int_equal(inet_pton(family, start, selector->start), 1);
    assert_int_equal(inet_pton(family, end, selector->end), 1);
    return ts;
}

static bool passes(const char *policy, const char *start, const char *end)
{
    IkeTs allowed, ts = range(start, end);

    assert_int_equal(policy_read(policy, &allowed), 0);
    return !selector_policy_breach(&allowed, &ts);
}

static void a_range_passes_up_to_the_prefix_s_last_address_and_no_further(void **state)
{
    (void)state;
    assert_true(passes("10.1.0.0/16", "10.1.0.0", "10.1.255.255"));
    assert_false(passes("10.1.0.0/16", "10.1.0.0", "10.2.0.0"));
    assert_false(passes("10.1.0.0/16", "10.0.255.255", "10.1.0.1"));
    assert_true(passes("10.1.0.128/25", "10.1.0.128", "10.1.0.255"));
    assert_false(passes("10.1.0.128/25", "10.1.0.127", "10.1.0.255"));
    assert_true(passes("2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
    assert_false(passes("2001:db8::/33", "2001:db8::", "2001:db8:8000::"));
}

static void one_family_says_nothing_of_the_other(void **state)
{
    (void)state;
    assert_false(passes("0.0.0.0/0", "::1", "::1"));
    assert_false(passes("::/0", "192.0.2.1", "192.0.2.1"));
    assert_true(passes("0.0.0.0/0 ::/0", "::1", "::1"));
}

static void the_default_lets_every_address_pass(void **state)
{
    IkeTs any, v4 = range("0.0.0.0", "255.255.255.255");
    IkeTs v6 = range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

    (void)state;
    selector_policy_any(&any);
    assert_null(selector_policy_breach(&any, &v4));
    assert_null(selector_policy_breach(&any, &v6));
}

static void the_selector_that_breaks_the_policy_is_named(void **state)
{
    IkeTs allowed, ts = range("10.0.0.1", "10.0.0.1");
    const IkeSelector *breach;
    char text[SELECTOR_TEXT_SIZE];

    (void)state;
    assert_int_equal(policy_read("10.0.0.0/8", &allowed), 0);
    ts.selectors[ts.n_selectors++] = range("192.0.2.1", "192.0.2.9").selectors[0];
    breach = selector_policy_breach(&allowed, &ts);
    assert_ptr_equal(breach, &ts.selectors[1]);
    selector_text(breach, text);
    assert_string_equal(text, "192.0.2.1-192.0.2.9");
}

static bool overlap(const char *a, const char *b)
{
    IkeTs one, other;

    assert_int_equal(policy_read(a, &one), 0);
    assert_int_equal(policy_read(b, &other), 0);
    assert_true(!selector_policy_overlap(&one, &other) == !selector_policy_overlap(&other, &one));
    return selector_policy_overlap(&one, &other);
}

static void two_policies_overlap_where_they_share_an_address(void **state)
{
    (void)state;
    assert_false(overlap("10.0.0.0/16", "10.1.0.0/16"));
    assert_false(overlap("10.0.0.0/31", "10.0.0.2/32"));
    assert_true(overlap("10.0.0.0/16", "10.0.255.255/32"));
    assert_true(overlap("10.0.0.0/16", "10.0.0.0/32"));
    assert_true(overlap("10.0.0.0/16", "10.0.0.0/16"));
    assert_true(overlap("0.0.0.0/0", "10.0.0.0/16"));
    assert_false(overlap("0.0.0.0/0", "::/0"));
    assert_true(overlap("192.0.2.0/24, 2001:db8::/32", "10.0.0.0/8, 2001:db8:1::/48"));
    assert_false(overlap("2001:db8::/48", "2001:db8:1::/48"));
}

static void what_is_no_list_of_prefixes_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "10.0.0.0",
                                      "10.0.0.0/33",
                                      "10.0.0.1/8",
                                      "2001:db8/32",
                                      "10.0.0.0/8x",
                                      "::/129",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8; 10.1.0.0/16",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/",
                                      "/8",
                                      "10.0.0.0/4294967304",
                                      "18446744073709551616:0000:0000:0000:0000:0000:0000::/8"};
    IkeTs ts;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(policy_read(bad[i], &ts), -EINVAL);
}

static void more_prefixes_than_fit_are_refused(void **state)
{
    char text[(IKE_SELECTORS_MAX + 1) * sizeof("10.0.0.0/8 ")] = "";
    IkeTs ts;

    (void)state;
    for (int i = 0; i < IKE_SELECTORS_MAX; i++)
        strcat(text, "10.0.0.0/8 ");
    assert_int_equal(policy_read(text, &ts), 0);
    strcat(text, "10.0.0.0/8 ");
    assert_int_equal(policy_read(text, &ts), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_passes_up_to_the_prefix_s_last_address_and_no_further),
        cmocka_unit_test(one_family_says_nothing_of_the_other),
        cmocka_unit_test(the_default_lets_every_address_pass),
        cmocka_unit_test(the_selector_that_breaks_the_policy_is_named),
        cmocka_unit_test(two_policies_overlap_where_they_share_an_address),
        cmocka_unit_test(what_is_no_list_of_prefixes_is_refused),
        cmocka_unit_test(more_prefixes_than_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

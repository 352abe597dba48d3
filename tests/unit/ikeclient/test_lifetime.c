/* A new authentication is begun in time before the old one ends, and not by all at once. */
#include "ikeclient/lifetime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

static void assert_between(uint64_t lifetime, uint64_t first, uint64_t last)
{
    assert_int_equal(lifetime_renew_at(7 * S, 7 * S + lifetime, UINT32_MAX), 7 * S + first);
    assert_int_equal(lifetime_renew_at(7 * S, 7 * S + lifetime, 0), 7 * S + last);
    assert_in_range(lifetime_renew_at(7 * S, 7 * S + lifetime, UINT32_MAX / 2), 7 * S + first + 1,
                    7 * S + last - 1);
}

static void the_margin_is_a_tenth_to_a_fifth_of_the_lifetime(void **state)
{
    (void)state;
    assert_between(1000 * S, 800 * S, 900 * S);
    assert_between(3600 * S, 2880 * S, 3240 * S);
}

static void a_long_lifetime_is_used_to_its_last_minutes(void **state)
{
    (void)state;
    assert_between(86400 * S, 85200 * S, 85800 * S);
    assert_between(UINT32_MAX * S, (UINT32_MAX - 1200) * S, (UINT32_MAX - 600) * S);
}

static void a_short_lifetime_leaves_room_for_a_lost_packet(void **state)
{
    (void)state;
    assert_between(60 * S, 40 * S, 50 * S);
    assert_between(40 * S, 20 * S, 30 * S);
    assert_between(20 * S, 10 * S, 15 * S);
    assert_between(4 * S, 2 * S, 3 * S);
}

static void what_is_about_to_end_is_left_to_end(void **state)
{
    (void)state;
    for (uint64_t left = 0; left < 4; left++)
        assert_int_equal(lifetime_renew_at(7 * S, (7 + left) * S, 0), LIFETIME_NEVER);
    assert_int_equal(lifetime_renew_at(7 * S, 6 * S, 0), LIFETIME_NEVER);
}

/* As with a certificate that nobody renews. */
static void one_end_leads_to_a_handful_of_authentications(void **state)
{
    const uint64_t end = 86400 * S;
    uint64_t now = 0, next;
    unsigned count = 0;
    (void)state;

    while ((next = lifetime_renew_at(now, end, 0)) != LIFETIME_NEVER) {
        assert_true(next > now && next < end);
        now = next;
        count++;
    }
    assert_in_range(count, 3, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_margin_is_a_tenth_to_a_fifth_of_the_lifetime),
        cmocka_unit_test(a_long_lifetime_is_used_to_its_last_minutes),
        cmocka_unit_test(a_short_lifetime_leaves_room_for_a_lost_packet),
        cmocka_unit_test(what_is_about_to_end_is_left_to_end),
        cmocka_unit_test(one_end_leads_to_a_handful_of_authentications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

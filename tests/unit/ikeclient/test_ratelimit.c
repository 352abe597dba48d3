/* Can a stranger fill our log? */
#include "ikeclient/ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_burst_is_cut_off(void **state)
{
    RateLimit limit = {0};
    unsigned suppressed = 0, written = 0;
    (void)state;

    for (unsigned i = 0; i < 1000; i++)
        written += ratelimit_allows(&limit, 5, &suppressed);
    assert_int_equal(written, RATELIMIT_LINES);
}

static void the_next_period_says_how_many_were_swallowed(void **state)
{
    RateLimit limit = {0};
    unsigned suppressed = 0;
    (void)state;

    for (unsigned i = 0; i < RATELIMIT_LINES + 7; i++)
        (void)ratelimit_allows(&limit, 5, &suppressed);
    assert_true(ratelimit_allows(&limit, 5 + RATELIMIT_PERIOD_USEC, &suppressed));
    assert_int_equal(suppressed, 7);
    assert_true(ratelimit_allows(&limit, 6 + RATELIMIT_PERIOD_USEC, &suppressed));
    assert_int_equal(suppressed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_cut_off),
        cmocka_unit_test(the_next_period_says_how_many_were_swallowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

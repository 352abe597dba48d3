/* Does what is known for certain about the time grow by what has passed, and by nothing else? */
#include "policy/lastknowntime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { DAY = 86400, MS = 1000 };

static void what_has_passed_under_the_tpms_clock_counts(void **state)
{
    TimeBase base = {0};

    (void)state;
    time_base_reach(&base, 100 * DAY);
    assert_int_equal(time_base_pass(&base, 5000, 1), 100 * DAY);
    assert_int_equal(time_base_pass(&base, 5000 + (uint64_t)2 * DAY * MS, 1), 102 * DAY);
    /* Parts of a second are not lost. */
    assert_int_equal(time_base_pass(&base, 5600 + (uint64_t)2 * DAY * MS, 1), 102 * DAY);
    assert_int_equal(time_base_pass(&base, 6000 + (uint64_t)2 * DAY * MS, 1), 102 * DAY + 1);
}

static void nothing_counts_over_a_reset_of_the_tpm(void **state)
{
    TimeBase base = {0};

    (void)state;
    time_base_reach(&base, 100 * DAY);
    (void)time_base_pass(&base, 1000, 1);
    assert_int_equal(time_base_pass(&base, (uint64_t)DAY * MS, 2), 100 * DAY);
    assert_int_equal(time_base_pass(&base, (uint64_t)2 * DAY * MS, 2), 101 * DAY);
    /* A clock that runs back, without a reset, is none. */
    assert_int_equal(time_base_pass(&base, 0, 2), 101 * DAY);
    assert_int_equal(time_base_pass(&base, (uint64_t)DAY * MS, 2), 102 * DAY);
}

static void a_later_time_is_taken_and_counted_on_from_the_next_look(void **state)
{
    TimeBase base = {0};

    (void)state;
    time_base_reach(&base, 100 * DAY);
    (void)time_base_pass(&base, 0, 1);
    time_base_reach(&base, 200 * DAY);
    /* When it was reached is not known: what passed before the next look is not added to it. */
    assert_int_equal(time_base_pass(&base, (uint64_t)50 * DAY * MS, 1), 200 * DAY);
    assert_int_equal(time_base_pass(&base, (uint64_t)51 * DAY * MS, 1), 201 * DAY);
}

static void an_earlier_time_changes_nothing(void **state)
{
    TimeBase base = {0};

    (void)state;
    time_base_reach(&base, 100 * DAY);
    (void)time_base_pass(&base, 0, 1);
    time_base_reach(&base, 100 * DAY); /* nor does the same one: the count goes on */
    time_base_reach(&base, 99 * DAY);
    time_base_reach(&base, 0);
    assert_int_equal(time_base_pass(&base, (uint64_t)DAY * MS, 1), 101 * DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_passed_under_the_tpms_clock_counts),
        cmocka_unit_test(nothing_counts_over_a_reset_of_the_tpm),
        cmocka_unit_test(a_later_time_is_taken_and_counted_on_from_the_next_look),
        cmocka_unit_test(an_earlier_time_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

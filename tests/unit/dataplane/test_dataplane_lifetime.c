/* When is a pair of SAs to be replaced, and when does it end? */
#include "dataplane/dataplane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TRIES = 1000 };

/* A sequence of numbers as good as random, and the same each time. */
static uint64_t next_number(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return state ^ state >> 29;
}

static void a_soft_limit_is_earlier_by_up_to_a_tenth_and_a_hard_one_stays(void **state)
{
    (void)state;
    uint64_t earliest = UINT64_MAX, latest = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        Lifetime soft = {.bytes = 1000000, .packets = 5000, .seconds = 3600};
        Lifetime hard = {.bytes = 2000000, .packets = 6000, .seconds = 3960};
        lifetime_settle(&soft, &hard, true, next_number());
        assert_in_range(soft.bytes, 900000, 1000000);
        assert_in_range(soft.packets, 4500, 5000);
        assert_in_range(soft.seconds, 3240, 3600);
        assert_int_equal(hard.bytes, 2000000);
        assert_int_equal(hard.packets, 6000);
        assert_int_equal(hard.seconds, 3960);
        earliest = soft.seconds < earliest ? soft.seconds : earliest;
        latest = soft.seconds > latest ? soft.seconds : latest;
    }
    assert_in_range(earliest, 3240, 3250);
    assert_in_range(latest, 3590, 3600);
}

static void both_ends_of_the_margin_are_reached(void **state)
{
    (void)state;
    Lifetime soft = {.seconds = 3600}, hard = {0};
    lifetime_settle(&soft, &hard, true, 0);
    assert_int_equal(soft.seconds, 3600);
    lifetime_settle(&soft, &hard, true, 360);
    assert_int_equal(soft.seconds, 3240);
    soft.seconds = 3600;
    lifetime_settle(&soft, &hard, true, 361);
    assert_int_equal(soft.seconds, 3600);
}

static void what_has_no_limit_gets_none_with_esn(void **state)
{
    (void)state;
    Lifetime soft = {0}, hard = {0};
    lifetime_settle(&soft, &hard, true, UINT64_MAX);
    assert_memory_equal(&soft, &(Lifetime){0}, sizeof(soft));
    assert_memory_equal(&hard, &(Lifetime){0}, sizeof(hard));
}

/* RFC 4303 3.3.3 */
static void without_esn_an_sa_ends_before_its_sequence_numbers_do(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TRIES; i++) {
        Lifetime soft = {0}, hard = {.packets = i % 2 ? UINT64_MAX : 0};
        lifetime_settle(&soft, &hard, false, next_number());
        assert_int_equal(hard.packets, UINT64_C(0xfff00000));
        assert_in_range(soft.packets, UINT64_C(0xe0000000) / 10 * 9, UINT64_C(0xe0000000));
        assert_int_equal(soft.bytes, 0);
        assert_int_equal(hard.seconds, 0);
    }
}

static void a_limit_below_that_stays(void **state)
{
    (void)state;
    Lifetime soft = {.packets = 7}, hard = {.packets = 9};
    lifetime_settle(&soft, &hard, false, 5);
    assert_int_equal(soft.packets, 7);
    assert_int_equal(hard.packets, 9);
}

static void even_the_largest_limit_is_jittered_without_overflow(void **state)
{
    (void)state;
    Lifetime soft = {.bytes = UINT64_MAX}, hard = {0};
    lifetime_settle(&soft, &hard, true, UINT64_MAX / LIFETIME_JITTER);
    assert_true(soft.bytes == UINT64_MAX - UINT64_MAX / LIFETIME_JITTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_soft_limit_is_earlier_by_up_to_a_tenth_and_a_hard_one_stays),
        cmocka_unit_test(both_ends_of_the_margin_are_reached),
        cmocka_unit_test(what_has_no_limit_gets_none_with_esn),
        cmocka_unit_test(without_esn_an_sa_ends_before_its_sequence_numbers_do),
        cmocka_unit_test(a_limit_below_that_stays),
        cmocka_unit_test(even_the_largest_limit_is_jittered_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

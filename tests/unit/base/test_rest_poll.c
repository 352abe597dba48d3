/* When a helper that polls gives its memory back. */
#include "base/rest_poll.h"

#include "base/program.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static struct {
    long now_ms;
    int given_back;
} bench;

void __wrap_memory_give_back(void);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

void __wrap_memory_give_back(void)
{
    bench.given_back++;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    *ret = (struct timespec){bench.now_ms / 1000, bench.now_ms % 1000 * 1000000};
    return 0;
}

static int begin(void **state)
{
    (void)state;
    bench.now_ms = 7999;
    bench.given_back = 0;
    return 0;
}

static void where_nothing_was_done_nothing_is_waited_for(void **state)
{
    RestPoll rest = {0};

    (void)state;
    rest_poll_look(&rest);
    assert_int_equal(bench.given_back, 0);
    assert_int_equal(rest_poll_timeout(&rest, -1), -1);
    assert_int_equal(rest_poll_timeout(&rest, 0), 0);
    assert_int_equal(rest_poll_timeout(&rest, INT_MAX), INT_MAX);
}

static void memory_is_given_back_once_and_not_before_it_is_time(void **state)
{
    RestPoll rest = {0};

    (void)state;
    rest_poll_after(&rest);
    bench.now_ms += MEMORY_REST_MS - 1;
    rest_poll_look(&rest);
    assert_int_equal(bench.given_back, 0);
    bench.now_ms++;
    rest_poll_look(&rest);
    assert_int_equal(bench.given_back, 1);
    bench.now_ms++;
    rest_poll_look(&rest);
    assert_int_equal(bench.given_back, 1);
    assert_int_equal(rest_poll_timeout(&rest, -1), -1);
}

static void whatever_is_done_puts_it_off(void **state)
{
    RestPoll rest = {0};

    (void)state;
    rest_poll_after(&rest);
    bench.now_ms += MEMORY_REST_MS - 1;
    rest_poll_after(&rest);
    bench.now_ms += MEMORY_REST_MS - 1;
    rest_poll_look(&rest);
    assert_int_equal(bench.given_back, 0);
}

static void whatever_is_due_first_is_waited_for(void **state)
{
    RestPoll rest = {0};

    (void)state;
    rest_poll_after(&rest);
    assert_int_equal(rest_poll_timeout(&rest, -1), MEMORY_REST_MS);
    assert_int_equal(rest_poll_timeout(&rest, MEMORY_REST_MS - 1), MEMORY_REST_MS - 1);
    assert_int_equal(rest_poll_timeout(&rest, MEMORY_REST_MS + 1), MEMORY_REST_MS);
    assert_int_equal(rest_poll_timeout(&rest, 0), 0);
    bench.now_ms += MEMORY_REST_MS + 1; /* late already */
    assert_int_equal(rest_poll_timeout(&rest, -1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(where_nothing_was_done_nothing_is_waited_for, begin),
        cmocka_unit_test_setup(memory_is_given_back_once_and_not_before_it_is_time, begin),
        cmocka_unit_test_setup(whatever_is_done_puts_it_off, begin),
        cmocka_unit_test_setup(whatever_is_due_first_is_waited_for, begin),
    };

    return cmocka_run_group_tests_name("base rest_poll", tests, NULL, NULL);
}

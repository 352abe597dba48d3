/* When a program with an event loop gives its memory back. */
#include "base/rest.h"

#include "base/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { USEC_PER_MSEC = 1000 };

static struct {
    sd_event *event;
    sd_event_source *rest;
    int given_back, seen_by_others;
} bench;

void __wrap_memory_give_back(void);

void __wrap_memory_give_back(void)
{
    bench.given_back++;
}

static int begin(void **state)
{
    (void)state;
    bench.given_back = 0;
    return sd_event_new(&bench.event) < 0 || rest_new(bench.event, &bench.rest) < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    bench.rest = sd_event_source_disable_unref(bench.rest);
    bench.event = sd_event_unref(bench.event);
    return 0;
}

static uint64_t now_usec(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t due_usec(void)
{
    uint64_t due = 0;

    assert_return_code(sd_event_source_get_time(bench.rest, &due), 0);
    return due;
}

static int enabled(void)
{
    int is = -1;

    assert_return_code(sd_event_source_get_enabled(bench.rest, &is), 0);
    return is;
}

/* As if the time had come. */
static void comes_due(void)
{
    assert_return_code(sd_event_source_set_time(bench.rest, 0), 0);
    assert_return_code(sd_event_run(bench.event, 0), 0);
}

static void nothing_is_given_back_before_something_was_done(void **state)
{
    (void)state;
    assert_int_equal(enabled(), SD_EVENT_OFF);
    comes_due();
    assert_int_equal(bench.given_back, 0);
}

static void memory_is_given_back_once_after_something_was_done(void **state)
{
    (void)state;
    for (int i = 1; i <= 2; i++) {
        rest_after(bench.rest);
        assert_int_equal(enabled(), SD_EVENT_ONESHOT);
        comes_due();
        assert_int_equal(bench.given_back, i);
        assert_int_equal(enabled(), SD_EVENT_OFF);
    }
}

static void whatever_is_done_puts_it_off(void **state)
{
    const uint64_t rest = (uint64_t)MEMORY_REST_MS * USEC_PER_MSEC;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const uint64_t before = now_usec();

        assert_return_code(sd_event_source_set_time(bench.rest, 1), 0);
        rest_after(bench.rest);
        assert_in_range(due_usec(), before + rest, now_usec() + rest);
    }
}

static int on_others(sd_event_source *source, void *userdata)
{
    (void)source, (void)userdata;
    bench.seen_by_others = bench.given_back;
    return 0;
}

static void whoever_waits_for_something_goes_first(void **state)
{
    sd_event_source *others = NULL;

    (void)state;
    bench.seen_by_others = -1;
    rest_after(bench.rest);
    assert_return_code(sd_event_add_defer(bench.event, &others, on_others, NULL), 0);
    assert_return_code(sd_event_source_set_priority(others, SD_EVENT_PRIORITY_NORMAL + 1), 0);
    comes_due();
    assert_int_equal(bench.seen_by_others, 0);
    assert_int_equal(bench.given_back, 0);
    assert_return_code(sd_event_run(bench.event, 0), 0);
    assert_int_equal(bench.given_back, 1);
    sd_event_source_disable_unref(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_given_back_before_something_was_done, begin,
                                        end),
        cmocka_unit_test_setup_teardown(memory_is_given_back_once_after_something_was_done, begin,
                                        end),
        cmocka_unit_test_setup_teardown(whatever_is_done_puts_it_off, begin, end),
        cmocka_unit_test_setup_teardown(whoever_waits_for_something_goes_first, begin, end),
    };

    return cmocka_run_group_tests_name("base rest", tests, NULL, NULL);
}

/* An unanswered request comes back ever more rarely, and ends; waits to connect grow with failures,
 * and are spread over all of their length; a new authentication is begun in time before the old one
 * ends, and not by all at once; and a stranger can't fill our log. */
#include "ikeclient/pacing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const RetransmitSchedule schedule = {.timeout_ms = 500, .tries = 4};

static void each_wait_is_twice_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(retransmit_wait_ms(&schedule, 0), 500);
    assert_int_equal(retransmit_wait_ms(&schedule, 1), 1000);
    assert_int_equal(retransmit_wait_ms(&schedule, 3), 4000);
    assert_int_equal(retransmit_total_ms(&schedule), 7500);
}

static void a_wait_is_never_longer_than_a_minute(void **state)
{
    RetransmitSchedule slow = {.timeout_ms = 40000, .tries = 12};
    (void)state;

    assert_int_equal(retransmit_wait_ms(&slow, 1), RETRANSMIT_WAIT_MAX_MS);
    assert_int_equal(retransmit_wait_ms(&slow, 4000000000U), RETRANSMIT_WAIT_MAX_MS);
}

static void a_limit_ends_it_before_the_tries_are_made(void **state)
{
    RetransmitSchedule bounded = schedule, wide = schedule;
    (void)state;

    bounded.limit_ms = 600;
    wide.limit_ms = 1000000;
    assert_int_equal(retransmit_total_ms(&bounded), 600);
    assert_int_equal(retransmit_total_ms(&wide), 7500);
}

typedef struct Watch {
    sd_event *event;
    Retransmit retransmit;
    unsigned repeats;
    unsigned ends;
    unsigned stop_after; /* repeats; 0: never */
} Watch;

static void on_due(void *userdata, bool gave_up)
{
    Watch *watch = userdata;

    if (gave_up) {
        watch->ends++;
        (void)sd_event_exit(watch->event, 0);
    } else if (++watch->repeats == watch->stop_after) {
        retransmit_stop(&watch->retransmit);
        (void)sd_event_exit(watch->event, 0);
    }
}

static Watch watch_run_within(unsigned tries, unsigned stop_after, uint64_t limit_ms)
{
    Watch watch = {.stop_after = stop_after};

    assert_true(sd_event_new(&watch.event) >= 0);
    retransmit_init(&watch.retransmit, watch.event, on_due, &watch);
    assert_true(retransmit_start(&watch.retransmit, (RetransmitSchedule){1, tries, limit_ms}) >= 0);
    assert_int_equal(sd_event_loop(watch.event), 0);
    retransmit_deinit(&watch.retransmit);
    sd_event_unref(watch.event);
    return watch;
}

static Watch watch_run(unsigned tries, unsigned stop_after)
{
    return watch_run_within(tries, stop_after, 0);
}

static void nothing_is_sent_again_once_the_limit_is_reached(void **state)
{
    Watch watch = watch_run_within(10, 0, 12); /* after 1, 3 and 7 ms; 15 is too late */
    (void)state;

    assert_int_equal(watch.repeats, 3);
    assert_int_equal(watch.ends, 1);
}

static void three_tries_are_two_repeats_and_one_end(void **state)
{
    Watch watch = watch_run(3, 0);
    (void)state;

    assert_int_equal(watch.repeats, 2);
    assert_int_equal(watch.ends, 1);
}

static void an_answer_stops_the_repeats(void **state)
{
    Watch watch = watch_run(10, 2);
    (void)state;

    assert_int_equal(watch.repeats, 2);
    assert_int_equal(watch.ends, 0);
}

/* ---- what strangers can make us do ---- */

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

/* ---- attempts to connect ---- */

enum { MOST = 300000 };

static void the_longest_wait_begins_with_a_second_and_doubles_up_to_the_most(void **state)
{
    (void)state;
    assert_int_equal(backoff_ceiling_ms(0, MOST), 1000);
    assert_int_equal(backoff_ceiling_ms(1, MOST), 2000);
    assert_int_equal(backoff_ceiling_ms(8, MOST), 256000);
    assert_int_equal(backoff_ceiling_ms(9, MOST), MOST);
    assert_int_equal(backoff_ceiling_ms(4000000000U, MOST), MOST);
    assert_int_equal(backoff_ceiling_ms(0, 500), 500);
}

static void all_of_a_wait_is_by_chance(void **state)
{
    (void)state;
    assert_int_equal(backoff_ms(5, MOST, 0), BACKOFF_LEAST_MS);
    assert_int_equal(backoff_ms(5, MOST, UINT32_MAX), 32000);
    assert_in_range(backoff_ms(5, MOST, UINT32_MAX / 4), 8074, 8075);
}

/* ---- authentication anew ---- */

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
        cmocka_unit_test(each_wait_is_twice_the_one_before),
        cmocka_unit_test(a_wait_is_never_longer_than_a_minute),
        cmocka_unit_test(a_limit_ends_it_before_the_tries_are_made),
        cmocka_unit_test(nothing_is_sent_again_once_the_limit_is_reached),
        cmocka_unit_test(three_tries_are_two_repeats_and_one_end),
        cmocka_unit_test(an_answer_stops_the_repeats),
        cmocka_unit_test(a_burst_is_cut_off),
        cmocka_unit_test(the_next_period_says_how_many_were_swallowed),
        cmocka_unit_test(the_longest_wait_begins_with_a_second_and_doubles_up_to_the_most),
        cmocka_unit_test(all_of_a_wait_is_by_chance),
        cmocka_unit_test(the_margin_is_a_tenth_to_a_fifth_of_the_lifetime),
        cmocka_unit_test(a_long_lifetime_is_used_to_its_last_minutes),
        cmocka_unit_test(a_short_lifetime_leaves_room_for_a_lost_packet),
        cmocka_unit_test(what_is_about_to_end_is_left_to_end),
        cmocka_unit_test(one_end_leads_to_a_handful_of_authentications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

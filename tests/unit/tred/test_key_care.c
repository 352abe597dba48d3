/* When is the next signature prepared, when anew, and when is nothing? The event loop is played,
 * and the linker puts these functions in the place of tred's (ld --wrap). */
#include "event_fixture.h"
#include "tred/key_care.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MILLISECOND = 1000, SECOND = 1000 * MILLISECOND };

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    SigningKey key;
    Caller callers[2];
    CallerExchange held[3];
    const CallerExchange *unsigned_one; /* NULL: all have signed */
    unsigned prepared, rested, key_pairs, memory_rests;
} Bench;

static Bench bench;

bool __wrap_exchange_is_unsigned(const Exchange *exchange);
void __wrap_exchange_prepare(ExchangeContext *context);
void __wrap_rest_after(sd_event_source *rest);

bool __wrap_exchange_is_unsigned(const Exchange *exchange)
{
    return bench.unsigned_one && exchange == (const Exchange *)bench.unsigned_one;
}

void __wrap_exchange_prepare(ExchangeContext *context)
{
    assert_ptr_equal(context, &bench.daemon.exchange_context);
    bench.key_pairs++;
}

void __wrap_rest_after(sd_event_source *memory)
{
    assert_ptr_equal(memory, bench.daemon.rest);
    bench.memory_rests++;
}

static void prepare(SigningKey *key)
{
    assert_ptr_equal(key, &bench.key);
    bench.prepared++;
}

static void rest(SigningKey *key)
{
    assert_ptr_equal(key, &bench.key);

    bench.rested++;
}

static const SigningKeyClass class = {.prepare = prepare, .rest = rest};

/* Ready, with two callers and three exchanges that have signed. */
static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    events = (EventFixture){0};
    events.loop_state = SD_EVENT_RUNNING;
    bench.key.class = &class;
    bench.identity.key = &bench.key;
    bench.daemon.identity = &bench.identity;
    bench.daemon.state = IDENTITY_READY;
    bench.daemon.rest = (sd_event_source *)&bench;
    bench.daemon.callers = &bench.callers[0];
    bench.callers[0].next = &bench.callers[1];
    bench.callers[0].exchanges = &bench.held[0];
    bench.held[0].next = &bench.held[1];
    bench.callers[1].exchanges = &bench.held[2];
    for (size_t i = 0; i < ELEMENTS(bench.held); i++)
        bench.held[i].exchange = (Exchange *)&bench.held[i];
    return 0;
}

static void timer_fires(void)
{
    assert_int_equal(events.clock, CLOCK_BOOTTIME);
    time_fires(&bench.daemon);
}

static void only_an_identity_in_a_state_that_serves_serves(void **state)
{
    static const struct {
        IdentityState state;
        bool serves;
    } cases[] = {{IDENTITY_LOADING, false},          {IDENTITY_READY, true},
                 {IDENTITY_DEVELOPMENT, true},       {IDENTITY_UNPROVISIONED, false},
                 {IDENTITY_INTEGRITY_FAILED, false}, {IDENTITY_TPM_UNAVAILABLE, false}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.daemon.identity = &bench.identity;
        bench.daemon.state = cases[i].state;
        assert_int_equal(daemon_is_serving(&bench.daemon), cases[i].serves);
        bench.daemon.identity = NULL;
        assert_false(daemon_is_serving(&bench.daemon));
    }
}

static void each_exchange_of_each_caller_counts_until_it_has_signed(void **state)
{
    (void)state;
    assert_false(daemon_has_unsigned(&bench.daemon));
    for (size_t i = 0; i < ELEMENTS(bench.held); i++) {
        bench.unsigned_one = &bench.held[i];
        assert_true(daemon_has_unsigned(&bench.daemon));
    }
}

static void a_signature_is_prepared_once_the_handshake_is_over(void **state)
{
    (void)state;
    daemon_key_released(&bench.daemon);
    assert_int_equal(events.added, 1);
    assert_int_equal(events.usec, 50 * MILLISECOND);
    assert_int_equal(bench.prepared, 0);
    timer_fires();
    assert_int_equal(bench.prepared, 1);
    assert_int_equal(bench.rested, 0);
    /* What keeps is not prepared anew. */
    assert_false(events.time_on);
    /* The next time it is the same timer. */
    daemon_key_released(&bench.daemon);
    assert_int_equal(events.added, 1);
    assert_int_equal(events.usec, 50 * MILLISECOND);
    assert_true(events.time_on);
}

static void what_does_not_keep_is_prepared_anew(void **state)
{
    (void)state;
    bench.key.ready_seconds = 7;
    daemon_key_released(&bench.daemon);
    timer_fires();
    assert_int_equal(events.usec, 7 * SECOND);
    assert_int_equal(bench.rested, 0);
    timer_fires();
    assert_int_equal(bench.rested, 1);
    assert_int_equal(bench.prepared, 2);
    /* Whoever is about to sign has what is ready left to them. */
    bench.unsigned_one = &bench.held[2];
    timer_fires();
    assert_int_equal(bench.rested, 1);
    assert_int_equal(bench.prepared, 3);
    /* What was used is not old. */
    bench.unsigned_one = NULL;
    daemon_key_released(&bench.daemon);
    timer_fires();
    assert_int_equal(bench.rested, 1);
}

static void without_an_identity_that_serves_nothing_is_prepared(void **state)
{
    (void)state;
    bench.key.ready_seconds = 7;
    daemon_key_released(&bench.daemon);
    daemon_prepare_exchange(&bench.daemon);
    bench.daemon.state = IDENTITY_INTEGRITY_FAILED;
    timer_fires();
    idle_fires(&bench.daemon);
    daemon_key_wanted(&bench.daemon);
    assert_int_equal(bench.prepared, 0);
    assert_int_equal(bench.key_pairs, 0);
    assert_false(events.time_on);
    bench.daemon.state = IDENTITY_READY;
    daemon_key_wanted(&bench.daemon);
    assert_int_equal(bench.prepared, 1);
}

static void at_the_end_nothing_is_prepared_any_more(void **state)
{
    static const int states[] = {SD_EVENT_EXITING, SD_EVENT_FINISHED};

    (void)state;
    assert_false(daemon_is_ending(&bench.daemon));
    for (size_t i = 0; i < ELEMENTS(states); i++) {
        events.loop_state = states[i];
        assert_true(daemon_is_ending(&bench.daemon));
        daemon_key_released(&bench.daemon);
        assert_int_equal(events.added, 0);
    }
}

static void a_timer_that_can_not_be_had_is_tried_again(void **state)
{
    (void)state;
    events.add_result = -ENOMEM;
    daemon_key_released(&bench.daemon);
    assert_null(bench.daemon.key_care);
    events.add_result = 0;
    daemon_key_released(&bench.daemon);
    assert_true(events.time_on);
    events.time_on = false;
    events.set_result = -EIO; /* it is set to no time, and does not go off */
    daemon_key_released(&bench.daemon);
    assert_false(events.time_on);
}

static void the_next_key_pair_is_made_when_there_is_nothing_else_to_do(void **state)
{
    (void)state;
    daemon_prepare_exchange(&bench.daemon);
    assert_int_equal(events.priority, SD_EVENT_PRIORITY_IDLE);
    assert_int_equal(bench.key_pairs, 0);
    idle_fires(&bench.daemon);
    assert_int_equal(bench.key_pairs, 1);
    daemon_prepare_exchange(&bench.daemon);
    assert_int_equal(events.added, 1);
    idle_fires(&bench.daemon);
    assert_int_equal(bench.key_pairs, 2);
}

static void what_a_handshake_needed_of_memory_is_given_back_after_its_end(void **state)
{
    (void)state;
    daemon_key_wanted(&bench.daemon);
    assert_int_equal(bench.memory_rests, 0);
    daemon_prepare_exchange(&bench.daemon);
    assert_int_equal(bench.memory_rests, 1);
    daemon_key_released(&bench.daemon);
    assert_int_equal(bench.memory_rests, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_an_identity_in_a_state_that_serves_serves, bench_init),
        cmocka_unit_test_setup(each_exchange_of_each_caller_counts_until_it_has_signed, bench_init),
        cmocka_unit_test_setup(a_signature_is_prepared_once_the_handshake_is_over, bench_init),
        cmocka_unit_test_setup(what_does_not_keep_is_prepared_anew, bench_init),
        cmocka_unit_test_setup(without_an_identity_that_serves_nothing_is_prepared, bench_init),
        cmocka_unit_test_setup(at_the_end_nothing_is_prepared_any_more, bench_init),
        cmocka_unit_test_setup(a_timer_that_can_not_be_had_is_tried_again, bench_init),
        cmocka_unit_test_setup(the_next_key_pair_is_made_when_there_is_nothing_else_to_do,
                               bench_init),
        cmocka_unit_test_setup(what_a_handshake_needed_of_memory_is_given_back_after_its_end,
                               bench_init),
    };

    return cmocka_run_group_tests_name("key care", tests, NULL, NULL);
}

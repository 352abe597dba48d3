/* When is the next signature prepared, when anew, and when is nothing? The event loop is played:
 * the linker puts these functions in the place of its own and of tred's (ld --wrap). */
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
    int loop_state, add_result, set_result;
    int64_t priority;
    sd_event_time_handler_t on_time;
    sd_event_handler_t on_idle;
    bool time_on, idle_on;
    uint64_t usec;
    unsigned added, prepared, rested, key_pairs;
} Bench;

static Bench bench;
static char timer, idle; /* their places are what the sources are known by */

bool __wrap_exchange_is_unsigned(const Exchange *exchange);
void __wrap_exchange_prepare(ExchangeContext *context);
int __wrap_sd_event_get_state(sd_event *event);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata);
int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);

bool __wrap_exchange_is_unsigned(const Exchange *exchange)
{
    return bench.unsigned_one && exchange == (const Exchange *)bench.unsigned_one;
}

void __wrap_exchange_prepare(ExchangeContext *context)
{
    assert_ptr_equal(context, &bench.daemon.exchange_context);
    bench.key_pairs++;
}

int __wrap_sd_event_get_state(sd_event *event)
{
    (void)event;
    return bench.loop_state;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)accuracy;
    assert_int_equal(clock, CLOCK_BOOTTIME);
    assert_ptr_equal(userdata, &bench.daemon);
    bench.added++;
    if (bench.add_result < 0)
        return bench.add_result;
    bench.on_time = handler;
    bench.usec = usec;
    bench.time_on = true;
    *ret = (sd_event_source *)&timer;
    return 0;
}

int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata)
{
    (void)event;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.added++;
    bench.on_idle = handler;
    bench.idle_on = true;
    *ret = (sd_event_source *)&idle;
    return 0;
}

int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
    assert_ptr_equal(source, &idle);
    bench.priority = priority;
    return 0;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    assert_ptr_equal(source, &timer);
    bench.usec = usec;
    return bench.set_result;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    assert_int_equal(enabled, SD_EVENT_ONESHOT);
    if (source == (sd_event_source *)&timer)
        bench.time_on = true;
    if (source == (sd_event_source *)&idle)
        bench.idle_on = true;
    return 0;
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
    bench.loop_state = SD_EVENT_RUNNING;
    bench.key.class = &class;
    bench.identity.key = &bench.key;
    bench.daemon.identity = &bench.identity;
    bench.daemon.state = IDENTITY_READY;
    bench.daemon.callers = &bench.callers[0];
    bench.callers[0].next = &bench.callers[1];
    bench.callers[0].exchanges = &bench.held[0];
    bench.held[0].next = &bench.held[1];
    bench.callers[1].exchanges = &bench.held[2];
    for (size_t i = 0; i < ELEMENTS(bench.held); i++)
        bench.held[i].exchange = (Exchange *)&bench.held[i];
    return 0;
}

static void time_fires(void)
{
    assert_true(bench.time_on);
    bench.time_on = false;
    assert_int_equal(bench.on_time(NULL, 0, &bench.daemon), 0);
}

static void idle_fires(void)
{
    assert_true(bench.idle_on);
    bench.idle_on = false;
    assert_int_equal(bench.on_idle(NULL, &bench.daemon), 0);
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
    assert_int_equal(bench.added, 1);
    assert_int_equal(bench.usec, 50 * MILLISECOND);
    assert_int_equal(bench.prepared, 0);
    time_fires();
    assert_int_equal(bench.prepared, 1);
    assert_int_equal(bench.rested, 0);
    /* What keeps is not prepared anew. */
    assert_false(bench.time_on);
    /* The next time it is the same timer. */
    daemon_key_released(&bench.daemon);
    assert_int_equal(bench.added, 1);
    assert_int_equal(bench.usec, 50 * MILLISECOND);
    assert_true(bench.time_on);
}

static void what_does_not_keep_is_prepared_anew(void **state)
{
    (void)state;
    bench.key.ready_seconds = 7;
    daemon_key_released(&bench.daemon);
    time_fires();
    assert_int_equal(bench.usec, 7 * SECOND);
    assert_int_equal(bench.rested, 0);
    time_fires();
    assert_int_equal(bench.rested, 1);
    assert_int_equal(bench.prepared, 2);
    /* Whoever is about to sign has what is ready left to them. */
    bench.unsigned_one = &bench.held[2];
    time_fires();
    assert_int_equal(bench.rested, 1);
    assert_int_equal(bench.prepared, 3);
    /* What was used is not old. */
    bench.unsigned_one = NULL;
    daemon_key_released(&bench.daemon);
    time_fires();
    assert_int_equal(bench.rested, 1);
}

static void without_an_identity_that_serves_nothing_is_prepared(void **state)
{
    (void)state;
    bench.key.ready_seconds = 7;
    daemon_key_released(&bench.daemon);
    daemon_prepare_exchange(&bench.daemon);
    bench.daemon.state = IDENTITY_INTEGRITY_FAILED;
    time_fires();
    idle_fires();
    daemon_key_wanted(&bench.daemon);
    assert_int_equal(bench.prepared, 0);
    assert_int_equal(bench.key_pairs, 0);
    assert_false(bench.time_on);
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
        bench.loop_state = states[i];
        assert_true(daemon_is_ending(&bench.daemon));
        daemon_key_released(&bench.daemon);
        assert_int_equal(bench.added, 0);
    }
}

static void a_timer_that_can_not_be_had_is_tried_again(void **state)
{
    (void)state;
    bench.add_result = -ENOMEM;
    daemon_key_released(&bench.daemon);
    assert_null(bench.daemon.key_care);
    bench.add_result = 0;
    daemon_key_released(&bench.daemon);
    assert_true(bench.time_on);
    bench.time_on = false;
    bench.set_result = -EIO; /* it is set to no time, and does not go off */
    daemon_key_released(&bench.daemon);
    assert_false(bench.time_on);
}

static void the_next_key_pair_is_made_when_there_is_nothing_else_to_do(void **state)
{
    (void)state;
    daemon_prepare_exchange(&bench.daemon);
    assert_int_equal(bench.priority, SD_EVENT_PRIORITY_IDLE);
    assert_int_equal(bench.key_pairs, 0);
    idle_fires();
    assert_int_equal(bench.key_pairs, 1);
    daemon_prepare_exchange(&bench.daemon);
    assert_int_equal(bench.added, 1);
    idle_fires();
    assert_int_equal(bench.key_pairs, 2);
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
    };

    return cmocka_run_group_tests_name("key care", tests, NULL, NULL);
}

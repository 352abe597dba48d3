/* When is an exchange closed by itself, and when is it not? Time and timers are played: the linker
 * puts these functions in the place of the event loop's and of tred's own (ld --wrap). */
#include "tred/expiry.h"

#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SECOND = 1000000,
    DAY = 24 * 3600,
    NOW = 20000 * DAY, /* by the wall clock */
    UP = 500 * SECOND, /* by CLOCK_BOOTTIME */
    VERIFY_SECONDS = 60,
    TIMERS_MAX = 8,
};

typedef struct Timer {
    bool set, relative, enabled;
    clockid_t clock;
    uint64_t usec;
    sd_event_time_handler_t handler;
    void *userdata;
} Timer;

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    Caller caller;
    CallerExchange held;
    ExchangeState state;
    bool signing;
    time_t peer_expires;
    Timer timers[TIMERS_MAX];
    size_t n_timers, tried;
    size_t failing; /* the timer that can't be had, from 1; 0: none */
    int now_result, again_result;
    time_t told; /* ExpiresSoon */
    unsigned closed, freed;
    char reason[128];
} Bench;

static Bench bench;

time_t __wrap_exchange_peer_expires(const Exchange *exchange);
ExchangeState __wrap_exchange_state(const Exchange *exchange);
bool __wrap_exchange_is_signing(const Exchange *exchange);
void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason);
void __wrap_bus_exchange_expires_soon(const CallerExchange *held, time_t when);
void __wrap_caller_exchange_free(CallerExchange *held);
time_t __wrap_clock_now(const Daemon *daemon);
int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret);
int __wrap_sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                             uint64_t accuracy, sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

time_t __wrap_exchange_peer_expires(const Exchange *exchange)
{
    (void)exchange;
    return bench.peer_expires;
}

ExchangeState __wrap_exchange_state(const Exchange *exchange)
{
    (void)exchange;
    return bench.state;
}

bool __wrap_exchange_is_signing(const Exchange *exchange)
{
    (void)exchange;
    return bench.signing;
}

void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    assert_ptr_equal(held, &bench.held);
    assert_int_equal(bench.freed, 0);
    bench.closed++;
    (void)snprintf(bench.reason, sizeof(bench.reason), "%s", reason);
}

void __wrap_bus_exchange_expires_soon(const CallerExchange *held, time_t when)
{
    assert_ptr_equal(held, &bench.held);
    bench.told = when;
}

void __wrap_caller_exchange_free(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    bench.freed++;
}

time_t __wrap_clock_now(const Daemon *daemon)
{
    (void)daemon;
    return NOW;
}

int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
    (void)event;
    assert_int_equal(clock, CLOCK_BOOTTIME);
    *ret = UP;
    return bench.now_result;
}

static int timer_add(sd_event_source **ret, const Timer *timer)
{
    assert_true(bench.n_timers < TIMERS_MAX);
    if (++bench.tried == bench.failing)
        return -ENOSPC;
    bench.timers[bench.n_timers] = *timer;
    *ret = (sd_event_source *)&bench.timers[bench.n_timers++];
    return 1; /* as sd-event may, where it is no failure */
}

int __wrap_sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                             uint64_t accuracy, sd_event_time_handler_t handler, void *userdata)
{
    const Timer timer = {.set = true,
                         .clock = clock,
                         .usec = usec,
                         .handler = handler,
                         .userdata = userdata,
                         .enabled = true};

    (void)event, (void)accuracy;
    return timer_add(ret, &timer);
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    const Timer timer = {.set = true,
                         .relative = true,
                         .clock = clock,
                         .usec = usec,
                         .handler = handler,
                         .userdata = userdata,
                         .enabled = true};

    (void)event, (void)accuracy;
    return timer_add(ret, &timer);
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    Timer *timer = (Timer *)source;

    if (bench.again_result < 0)
        return bench.again_result;
    timer->usec = usec;
    return 1;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    Timer *timer = (Timer *)source;

    timer->enabled = enabled == SD_EVENT_ONESHOT;
    return 1;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    Timer *timer = (Timer *)source;

    if (timer)
        timer->set = false;
    return NULL;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.daemon.config.verify_seconds = VERIFY_SECONDS;
    bench.daemon.identity = &bench.identity;
    bench.caller.daemon = &bench.daemon;
    bench.held.caller = &bench.caller;
    bench.state = EXCHANGE_VERIFIED;
    return 0;
}

/* It goes off: sd-event turns one that was set once off before. */
static int fire(sd_event_source *source)
{
    Timer *timer = (Timer *)source;

    assert_non_null(timer);
    assert_true(timer->set && timer->enabled);
    timer->enabled = false;
    return timer->handler(source, 0, timer->userdata);
}

static void assert_timers(time_t wall, uint64_t boottime)
{
    const Timer *expiry = (const Timer *)bench.held.expiry;
    const Timer *bound = (const Timer *)bench.held.expiry_bound;

    assert_non_null(expiry);
    assert_non_null(bound);
    assert_true(expiry->set && bound->set && !expiry->relative && !bound->relative);
    assert_int_equal(expiry->clock, CLOCK_REALTIME);
    assert_int_equal(expiry->usec, (uint64_t)wall * SECOND);
    assert_int_equal(bound->clock, CLOCK_BOOTTIME);
    assert_int_equal(bound->usec, boottime);
}

static void the_first_certificate_to_expire_ends_it(void **state)
{
    static const struct {
        time_t peer, own, end;
    } cases[] = {{NOW + 9 * DAY, 0, NOW + 9 * DAY},
                 {NOW + 9 * DAY, NOW + 7 * DAY, NOW + 7 * DAY},
                 {NOW + 7 * DAY, NOW + 9 * DAY, NOW + 7 * DAY}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.peer_expires = cases[i].peer;
        bench.identity.expires = cases[i].own;
        assert_int_equal(expiry_watch(&bench.held), 1);
        assert_int_equal(bench.held.expires, cases[i].end);
        assert_timers(cases[i].end - DAY,
                      UP + (uint64_t)(cases[i].end - DAY - NOW) * (uint64_t)SECOND);
    }
    (void)bench_init(state);
    bench.daemon.identity = NULL;
    bench.peer_expires = NOW + 9 * DAY;
    assert_int_equal(expiry_watch(&bench.held), 1);
    assert_int_equal(bench.held.expires, NOW + 9 * DAY);
}

static void without_a_peers_certificate_nothing_is_watched(void **state)
{
    (void)state;
    bench.identity.expires = NOW + DAY;
    assert_int_equal(expiry_watch(&bench.held), 0);
    assert_int_equal(bench.n_timers, 0);
    assert_int_equal(bench.held.expires, 0);
}

static void either_timer_tells_the_owner_and_then_closes(void **state)
{
    for (int by_wall = 0; by_wall < 2; by_wall++) {
        (void)bench_init(state);
        bench.peer_expires = NOW + 9 * DAY;
        assert_int_equal(expiry_watch(&bench.held), 1);
        assert_true(fire(by_wall ? bench.held.expiry : bench.held.expiry_bound) >= 0);
        assert_int_equal(bench.told, NOW + 9 * DAY);
        assert_int_equal(bench.closed, 0);
        assert_false(bench.timers[0].set || bench.timers[1].set);
        assert_timers(NOW + 9 * DAY, UP + 9ULL * DAY * SECOND);
        assert_true(fire(by_wall ? bench.held.expiry : bench.held.expiry_bound) >= 0);
        assert_int_equal(bench.closed, 1);
        assert_int_equal(bench.freed, 1);
        assert_non_null(strstr(bench.reason, "expired"));
    }
}

/* What would outlive its certificates ends before. */
static void without_a_timer_for_the_end_it_ends_with_the_notice(void **state)
{
    for (size_t failing = 3; failing <= 4; failing++) {
        (void)bench_init(state);
        bench.peer_expires = NOW + 9 * DAY;
        assert_int_equal(expiry_watch(&bench.held), 1);
        bench.failing = failing;
        assert_true(fire(bench.held.expiry) >= 0);
        assert_int_equal(bench.closed, 1);
        assert_int_equal(bench.freed, 1);
    }
}

static void what_expires_within_the_notice_is_told_at_once(void **state)
{
    (void)state;
    bench.peer_expires = NOW + 1;
    assert_int_equal(expiry_watch(&bench.held), 1);
    assert_timers(NOW + 1 - DAY, UP);
    assert_true(fire(bench.held.expiry) >= 0);
    assert_timers(NOW + 1, UP + SECOND);
}

static void a_time_before_1970_is_no_time_ahead(void **state)
{
    (void)state;
    bench.peer_expires = DAY - 1;
    assert_int_equal(expiry_watch(&bench.held), 1);
    assert_timers(0, UP);
    (void)bench_init(state);
    bench.peer_expires = DAY;
    assert_int_equal(expiry_watch(&bench.held), 1);
    assert_timers(0, UP);
}

static void without_either_timer_it_is_not_begun(void **state)
{
    for (size_t failing = 1; failing <= 2; failing++) {
        (void)bench_init(state);
        bench.peer_expires = NOW + 9 * DAY;
        bench.failing = failing;
        assert_int_equal(expiry_watch(&bench.held), -ENOSPC);
    }
    (void)bench_init(state);
    bench.peer_expires = NOW + 9 * DAY;
    bench.now_result = -EIO;
    assert_int_equal(expiry_watch(&bench.held), -EIO);
    assert_int_equal(bench.n_timers, 0);
}

static void the_next_ike_sa_ends_when_the_one_before_would(void **state)
{
    CallerExchange from = {
        .expires = NOW + 9 * DAY, .judged = NOW - DAY, .judged_boottime = UP - SECOND};

    (void)state;
    assert_int_equal(expiry_inherit(&bench.held, &from), 1);
    assert_int_equal(bench.held.expires, NOW + 9 * DAY);
    assert_timers(NOW + 8 * DAY, UP - SECOND + 9ULL * DAY * SECOND);
    (void)bench_init(state);
    from.expires = 0;
    assert_int_equal(expiry_inherit(&bench.held, &from), 0);
    assert_int_equal(bench.n_timers, 0);
}

static void whoever_is_judged_again_ends_on_its_chains_new_day(void **state)
{
    (void)state;
    bench.peer_expires = NOW + 9 * DAY;
    bench.identity.expires = NOW + 8 * DAY;
    assert_int_equal(expiry_watch(&bench.held), 1);
    bench.identity.expires = NOW + 2 * DAY; /* another certificate than it began with */
    assert_int_equal(expiry_renew(&bench.held), 0);
    bench.peer_expires = NOW + 7 * DAY;
    assert_int_equal(expiry_renew(&bench.held), 1);
    assert_int_equal(bench.held.expires, NOW + 7 * DAY);
    assert_false(bench.timers[0].set || bench.timers[1].set);
    assert_timers(NOW + 6 * DAY, UP + 6ULL * DAY * SECOND);
    assert_true(fire(bench.held.expiry) >= 0);
    bench.told = 0;
    assert_int_equal(expiry_renew(&bench.held), 0); /* the same day is not told again */
    assert_timers(NOW + 7 * DAY, UP + 7ULL * DAY * SECOND);
    bench.peer_expires = NOW + 9 * DAY;
    assert_int_equal(expiry_renew(&bench.held), 1);
    assert_int_equal(bench.held.expires, NOW + 8 * DAY);
}

static void whoever_is_not_verified_in_time_is_closed(void **state)
{
    static const ExchangeState states[] = {EXCHANGE_BEGUN, EXCHANGE_AGREED, EXCHANGE_SIGNED,
                                           EXCHANGE_REFUSED};

    for (size_t i = 0; i < ELEMENTS(states); i++) {
        (void)bench_init(state);
        assert_int_equal(deadline_set(&bench.held), 0);
        const Timer *timer = (const Timer *)bench.held.deadline;
        assert_non_null(timer);
        assert_true(timer->relative);
        assert_int_equal(timer->clock, CLOCK_BOOTTIME);
        assert_int_equal(timer->usec, VERIFY_SECONDS * SECOND);
        bench.state = states[i];
        assert_true(fire(bench.held.deadline) >= 0);
        assert_int_equal(bench.closed, 1);
        assert_int_equal(bench.freed, 1);
    }
}

static void whoever_is_verified_or_replaced_is_not_closed(void **state)
{
    static const ExchangeState states[] = {EXCHANGE_VERIFIED, EXCHANGE_REPLACED};

    for (size_t i = 0; i < ELEMENTS(states); i++) {
        (void)bench_init(state);
        assert_int_equal(deadline_set(&bench.held), 0);
        bench.state = states[i];
        assert_int_equal(fire(bench.held.deadline), 0);
        assert_int_equal(bench.closed, 0);
        assert_int_equal(bench.freed, 0);
        assert_false(bench.timers[0].enabled);
    }
}

/* Neither our TPM nor our verifier is the client's fault; but it is looked at again. */
static void what_waits_for_us_is_looked_at_again(void **state)
{
    for (int signing = 0; signing < 2; signing++) {
        (void)bench_init(state);
        assert_int_equal(deadline_set(&bench.held), 0);
        bench.state = signing ? EXCHANGE_AGREED : EXCHANGE_VERIFYING;
        bench.signing = signing;
        assert_true(fire(bench.held.deadline) >= 0);
        assert_int_equal(bench.closed, 0);
        assert_int_equal(bench.timers[0].usec, 5 * SECOND);
        bench.state = EXCHANGE_SIGNED;
        bench.signing = false;
        assert_true(fire(bench.held.deadline) >= 0);
        assert_int_equal(bench.closed, 1);
    }
    (void)bench_init(state);
    assert_int_equal(deadline_set(&bench.held), 0);
    bench.state = EXCHANGE_VERIFYING;
    bench.again_result = -EIO;
    assert_int_equal(fire(bench.held.deadline), -EIO);
}

static void without_a_deadline_nobody_is_given_an_exchange(void **state)
{
    (void)state;
    bench.failing = 1;
    assert_int_equal(deadline_set(&bench.held), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_certificate_to_expire_ends_it, bench_init),
        cmocka_unit_test_setup(without_a_peers_certificate_nothing_is_watched, bench_init),
        cmocka_unit_test_setup(either_timer_tells_the_owner_and_then_closes, bench_init),
        cmocka_unit_test_setup(without_a_timer_for_the_end_it_ends_with_the_notice, bench_init),
        cmocka_unit_test_setup(what_expires_within_the_notice_is_told_at_once, bench_init),
        cmocka_unit_test_setup(a_time_before_1970_is_no_time_ahead, bench_init),
        cmocka_unit_test_setup(without_either_timer_it_is_not_begun, bench_init),
        cmocka_unit_test_setup(the_next_ike_sa_ends_when_the_one_before_would, bench_init),
        cmocka_unit_test_setup(whoever_is_judged_again_ends_on_its_chains_new_day, bench_init),
        cmocka_unit_test_setup(whoever_is_not_verified_in_time_is_closed, bench_init),
        cmocka_unit_test_setup(whoever_is_verified_or_replaced_is_not_closed, bench_init),
        cmocka_unit_test_setup(what_waits_for_us_is_looked_at_again, bench_init),
        cmocka_unit_test_setup(without_a_deadline_nobody_is_given_an_exchange, bench_init),
    };

    return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}

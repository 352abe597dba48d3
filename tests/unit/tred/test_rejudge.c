/* Who is judged again, when, and what becomes of it? Verifier, exchanges, bus and event loop are
 * played: the linker puts these functions in the place of the real ones (ld --wrap). */
#include "event_fixture.h"
#include "tred/rejudge.h"

#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/expiry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EXCHANGES = 3, MINUTE = 60 * 1000000 };

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    Caller caller;
    CallerExchange held[EXCHANGES];
    ExchangeState states[EXCHANGES];
    size_t n_held;
    int ask_result;
    VerificationCallback callback; /* NULL: nobody is asked */
    void *userdata;
    uint64_t asked; /* the number of the exchange that the verifier was asked about last */
    unsigned n_asked, looks, cancelled;
    int references;   /* on the verifier */
    uint64_t renewed; /* likewise, whose end was set anew last */
    int renew_result;
    time_t expires; /* the peer's chain */
    unsigned announced;
    uint64_t closed; /* likewise, that was closed last */
    char reason[64];
} Bench;

static Bench bench;

int __wrap_verifier_ask(Verifier *verifier, const VerifyRequest *request,
                        VerificationCallback callback, void *userdata, Verification **ret);
void __wrap_verifier_look(Verifier *verifier);
Verifier *__wrap_verifier_ref(Verifier *verifier);
void __wrap_verifier_unref(Verifier *verifier);
void __wrap_verification_cancel(Verification *verification);
ExchangeState __wrap_exchange_state(const Exchange *exchange);
bool __wrap_exchange_verify_again(const Exchange *exchange, time_t now, VerifyRequest *ret);
bool __wrap_exchange_verdict_ends(Exchange *exchange, const Verdict *verdict, Reason *ret);
int __wrap_expiry_renew(CallerExchange *held);
time_t __wrap_exchange_peer_expires(const Exchange *exchange);
void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed);
void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason);
void __wrap_caller_exchange_free(CallerExchange *held);
int __wrap_caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret);
int __wrap_expiry_inherit(CallerExchange *held, const CallerExchange *from);
time_t __wrap_clock_now(const Daemon *daemon);

static Verifier *the_verifier(void)
{
    return (Verifier *)(void *)&bench.identity;
}

static bool is_held(const CallerExchange *wanted)
{
    const CallerExchange *held = bench.caller.exchanges;

    while (held && held != wanted)
        held = held->next;
    return held;
}

/* An exchange is known by the place of its state. */
static size_t place(const Exchange *exchange)
{
    return (size_t)((const ExchangeState *)(const void *)exchange - bench.states);
}

int __wrap_verifier_ask(Verifier *verifier, const VerifyRequest *request,
                        VerificationCallback callback, void *userdata, Verification **ret)
{
    assert_ptr_equal(verifier, the_verifier());
    assert_null(bench.callback); /* one at a time */
    if (bench.ask_result < 0)
        return bench.ask_result;
    bench.asked = (uint64_t)request->now;
    bench.n_asked++;
    bench.callback = callback;
    bench.userdata = userdata;
    *ret = (Verification *)(void *)&bench.callback;
    return 0;
}

void __wrap_verifier_look(Verifier *verifier)
{
    assert_ptr_equal(verifier, the_verifier());
    bench.looks++;
}

Verifier *__wrap_verifier_ref(Verifier *verifier)
{
    bench.references++;
    return verifier;
}

void __wrap_verifier_unref(Verifier *verifier)
{
    bench.references -= verifier != NULL;
}

void __wrap_verification_cancel(Verification *verification)
{
    bench.cancelled += verification != NULL;
}

ExchangeState __wrap_exchange_state(const Exchange *exchange)
{
    return bench.states[place(exchange)];
}

/* What is asked is the exchange's number, in the place of the time. */
bool __wrap_exchange_verify_again(const Exchange *exchange, time_t now, VerifyRequest *ret)
{
    (void)now;
    ret->now = (time_t)bench.held[place(exchange)].number;
    return bench.states[place(exchange)] == EXCHANGE_VERIFIED;
}

time_t __wrap_exchange_peer_expires(const Exchange *exchange)
{
    (void)exchange;
    return bench.expires;
}

void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed)
{
    assert_true(is_held(held));
    assert_int_equal(changed, EXCHANGE_PROPERTY_PEER_IDENTITY);
    bench.announced++;
}

int __wrap_expiry_renew(CallerExchange *held)
{
    assert_true(is_held(held));
    bench.renewed = held->number;
    return bench.renew_result;
}

bool __wrap_exchange_verdict_ends(Exchange *exchange, const Verdict *verdict, Reason *ret)
{
    (void)exchange;
    if (verdict->taken)
        bench.expires = verdict->expires;
    reason_set(ret, 0, "it was revoked");
    return !verdict->taken;
}

void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    bench.closed = held->number;
    (void)snprintf(bench.reason, sizeof(bench.reason), "%s", reason);
}

void __wrap_caller_exchange_free(CallerExchange *held)
{
    CallerExchange **at = &bench.caller.exchanges;

    while (*at != held)
        at = &(*at)->next;
    *at = held->next;
    if (bench.daemon.judged_again == held)
        bench.daemon.judged_again = NULL;
}

int __wrap_caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret)
{
    CallerExchange *held = &bench.held[bench.n_held++];

    *held = (CallerExchange){
        .caller = caller, .exchange = exchange, .number = bench.n_held, .next = caller->exchanges};
    caller->exchanges = held;
    *ret = held;
    return 0;
}

int __wrap_expiry_inherit(CallerExchange *held, const CallerExchange *from)
{
    (void)held, (void)from;
    return 0;
}

time_t __wrap_clock_now(const Daemon *daemon)
{
    (void)daemon;
    return 7;
}

static CallerExchange *verified(void)
{
    Exchange *exchange = (Exchange *)(void *)&bench.states[bench.n_held];
    CallerExchange *held;

    bench.states[bench.n_held] = EXCHANGE_VERIFIED;
    assert_int_equal(caller_add_exchange(&bench.caller, exchange, &held), 0);
    return held;
}

static CallerExchange *rekeyed(const CallerExchange *from)
{
    Exchange *exchange = (Exchange *)(void *)&bench.states[bench.n_held];
    CallerExchange *held;

    bench.states[bench.n_held] = EXCHANGE_VERIFIED;
    assert_int_equal(bus_exchange_begun(&bench.caller, exchange, from, &held), 0);
    return held;
}

static int setup(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    events = (EventFixture){0};
    bench.daemon.identity = &bench.identity;
    bench.daemon.callers = &bench.caller;
    bench.identity.verifier = the_verifier();
    bench.caller.daemon = &bench.daemon;
    assert_int_equal(rejudge_start(&bench.daemon), 0);
    assert_int_equal(events.usec, MINUTE);
    return 0;
}

static void said(const Verdict *verdict)
{
    const VerificationCallback callback = bench.callback;

    assert_non_null(callback);
    bench.callback = NULL;
    callback(verdict, "it ended", bench.userdata);
}

static void said_taken(void)
{
    said(&(Verdict){.taken = true});
}

static void said_refused(void)
{
    said(&(Verdict){.taken = false});
}

static void said_nothing(void)
{
    said(NULL);
}

static void assert_asked(const CallerExchange *held)
{
    assert_non_null(bench.callback);
    assert_int_equal(bench.asked, held->number);
    assert_int_equal(bench.references, 1);
}

static void assert_nobody_is_asked(void)
{
    assert_null(bench.callback);
    assert_null(bench.daemon.judgement);
    assert_int_equal(bench.references, 0);
}

static void all_that_are_verified_are_judged_one_after_the_other(void **state)
{
    CallerExchange *first = verified(), *signed_one = verified(), *last = verified();

    (void)state;
    bench.states[1] = EXCHANGE_SIGNED;
    rejudge_all(&bench.daemon);
    assert_asked(last);
    said_refused();
    assert_int_equal(bench.closed, last->number);
    assert_string_equal(bench.reason, "it was revoked");
    assert_false(is_held(last));
    assert_asked(first);
    said_taken();
    assert_true(is_held(first));
    assert_true(is_held(signed_one));
    assert_nobody_is_asked();
}

/* By its evidence it is taken as the other is, and the other's end is not its own. */
static void what_was_made_from_one_that_is_owed_a_judgement_is_owed_it_too(void **state)
{
    CallerExchange *other = verified(), *before, *made;

    (void)state;
    before = verified();
    rejudge_all(&bench.daemon);
    assert_asked(before);
    made = rekeyed(other); /* whose turn is yet to come */
    said_taken();
    assert_asked(made);
    said_refused();
    assert_false(is_held(made));
    assert_asked(other);
    said_refused();
    assert_false(is_held(other));
    assert_true(is_held(before));
    assert_nobody_is_asked();
}

static void what_was_made_from_one_while_it_is_judged_is_judged_after_it(void **state)
{
    for (int replaced = 0; replaced < 2; replaced++) {
        CallerExchange *before, *made;

        (void)setup(state);
        before = verified();
        rejudge_all(&bench.daemon);
        made = rekeyed(before);
        if (replaced)
            bench.states[0] = EXCHANGE_REPLACED;
        said_refused();
        assert_false(is_held(before));
        assert_asked(made);
        said_refused();
        assert_false(is_held(made));
        assert_nobody_is_asked();
    }
}

/* Also where the one that it was made from is closed by its owner first. */
static void what_was_made_from_one_that_is_gone_is_judged_in_its_place(void **state)
{
    CallerExchange *before = verified(), *made;

    (void)state;
    rejudge_all(&bench.daemon);
    made = rekeyed(before);
    caller_exchange_free(before);
    said_refused();
    assert_int_equal(bench.closed, 0);
    assert_asked(made);
    said_refused();
    assert_int_equal(bench.closed, made->number);
}

static void what_was_made_from_one_that_was_judged_is_not_judged(void **state)
{
    CallerExchange *before = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    said_taken();
    (void)rekeyed(before);
    time_fires(&bench.daemon);
    assert_nobody_is_asked();
}

static void the_verdict_on_one_that_is_gone_is_nobodys(void **state)
{
    CallerExchange *other = verified(), *gone = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    assert_asked(gone);
    caller_exchange_free(gone);
    said_refused();
    assert_int_equal(bench.closed, 0);
    assert_asked(other);
}

static void what_changes_while_one_is_judged_has_it_judged_once_more(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    rejudge_all(&bench.daemon);
    assert_int_equal(bench.n_asked, 1);
    said_refused(); /* by what was before */
    assert_true(is_held(held));
    assert_asked(held);
    assert_int_equal(bench.n_asked, 2);
    said_taken();
    assert_nobody_is_asked();
}

static void where_the_verifier_has_no_room_it_is_asked_a_minute_later(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    bench.ask_result = -EBUSY;
    rejudge_all(&bench.daemon);
    assert_nobody_is_asked();
    bench.ask_result = 0;
    time_fires(&bench.daemon);
    assert_asked(held);
    assert_true(events.time_on);
    assert_int_equal(events.usec, MINUTE);
}

static void crls_are_looked_at_every_minute_while_somebody_is_verified(void **state)
{
    (void)state;
    time_fires(&bench.daemon);
    assert_int_equal(bench.looks, 0);
    (void)verified();
    time_fires(&bench.daemon);
    assert_int_equal(bench.looks, 1);
    assert_nobody_is_asked();
    assert_true(events.time_on);
}

static void without_an_identity_the_last_ones_verifier_judges(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    bench.daemon.identity = NULL;
    rejudge_all(&bench.daemon);
    time_fires(&bench.daemon);
    assert_int_equal(bench.looks, 0); /* there was none yet */
    assert_nobody_is_asked();
    bench.daemon.last_verifier = the_verifier();
    time_fires(&bench.daemon);
    assert_int_equal(bench.looks, 1);
    assert_asked(held);
    said_refused();
    assert_false(is_held(held));
}

static void one_that_another_verifier_has_just_taken_is_judged_alone(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    (void)verified();
    rejudge_one(held);
    assert_asked(held);
    said_taken();
    assert_nobody_is_asked();
}

static void who_stops_while_one_is_judged_hears_no_verdict(void **state)
{
    (void)state;
    (void)verified();
    rejudge_all(&bench.daemon);
    rejudge_stop(&bench.daemon);
    assert_int_equal(bench.cancelled, 1);
    assert_int_equal(bench.references, 0);
    assert_false(events.time_on);
    rejudge_stop(&bench.daemon);
    assert_int_equal(bench.cancelled, 1);
}

static void one_without_a_verdict_stays_and_is_judged_a_minute_later(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    said_nothing();
    assert_true(is_held(held));
    assert_nobody_is_asked();
    time_fires(&bench.daemon);
    assert_asked(held);
    said_refused();
    assert_false(is_held(held));
}

static void one_without_a_verdict_keeps_nobody_from_being_judged(void **state)
{
    CallerExchange *last = verified(), *middle = verified(), *first = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    for (int minute = 0; minute < 2; minute++) {
        assert_asked(first);
        said_nothing();
        if (minute == 0) {
            assert_asked(middle);
            said_nothing();
            assert_asked(last);
            said_refused();
        } else {
            assert_asked(middle);
            said_taken();
        }
        assert_nobody_is_asked(); /* nobody twice in a minute */
        time_fires(&bench.daemon);
    }
    assert_false(is_held(last));
    assert_asked(first);
    said_taken();
    assert_nobody_is_asked();
}

/* What changes is tried at once, as that may be what it takes. */
static void one_without_a_verdict_is_judged_again_by_what_has_changed(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    said_nothing();
    assert_nobody_is_asked();
    rejudge_all(&bench.daemon);
    assert_asked(held);
}

static void who_is_gone_without_a_verdict_keeps_nobody_from_being_judged(void **state)
{
    CallerExchange *other = verified(), *gone = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    assert_asked(gone);
    caller_exchange_free(gone);
    said_nothing();
    assert_asked(other);
}

/* And one that would have no end is ended at once. */
static void who_is_taken_again_ends_by_what_its_chain_is_now(void **state)
{
    CallerExchange *held = verified();

    (void)state;
    rejudge_all(&bench.daemon);
    assert_int_equal(bench.renewed, 0);
    said_taken();
    assert_int_equal(bench.renewed, held->number);
    assert_int_equal(bench.closed, 0);
    assert_int_equal(bench.announced, 0);
    rejudge_all(&bench.daemon);
    said(&(Verdict){.taken = true, .expires = 77});
    assert_int_equal(bench.announced, 1);
    bench.renew_result = -ENOSPC;
    rejudge_all(&bench.daemon);
    said_taken();
    assert_int_equal(bench.closed, held->number);
    assert_false(is_held(held));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_that_are_verified_are_judged_one_after_the_other, setup),
        cmocka_unit_test_setup(what_was_made_from_one_that_is_owed_a_judgement_is_owed_it_too,
                               setup),
        cmocka_unit_test_setup(what_was_made_from_one_while_it_is_judged_is_judged_after_it, setup),
        cmocka_unit_test_setup(what_was_made_from_one_that_is_gone_is_judged_in_its_place, setup),
        cmocka_unit_test_setup(what_was_made_from_one_that_was_judged_is_not_judged, setup),
        cmocka_unit_test_setup(the_verdict_on_one_that_is_gone_is_nobodys, setup),
        cmocka_unit_test_setup(what_changes_while_one_is_judged_has_it_judged_once_more, setup),
        cmocka_unit_test_setup(where_the_verifier_has_no_room_it_is_asked_a_minute_later, setup),
        cmocka_unit_test_setup(crls_are_looked_at_every_minute_while_somebody_is_verified, setup),
        cmocka_unit_test_setup(without_an_identity_the_last_ones_verifier_judges, setup),
        cmocka_unit_test_setup(one_that_another_verifier_has_just_taken_is_judged_alone, setup),
        cmocka_unit_test_setup(who_stops_while_one_is_judged_hears_no_verdict, setup),
        cmocka_unit_test_setup(one_without_a_verdict_stays_and_is_judged_a_minute_later, setup),
        cmocka_unit_test_setup(who_is_taken_again_ends_by_what_its_chain_is_now, setup),
        cmocka_unit_test_setup(one_without_a_verdict_keeps_nobody_from_being_judged, setup),
        cmocka_unit_test_setup(one_without_a_verdict_is_judged_again_by_what_has_changed, setup),
        cmocka_unit_test_setup(who_is_gone_without_a_verdict_keeps_nobody_from_being_judged, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

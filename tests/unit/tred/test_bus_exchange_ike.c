/* Is each call about an IKE SA answered once, and told to whoever must know? */
#include "base/log.h"
#include "bus_call_fixture.h"
#include "tred/bus_exchange_internal.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/expiry.h"
#include "tred/key_care.h"
#include "tred/rejudge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    Caller caller;
    CallerExchange held, other;
    int room, begun, result, begin_result, end_result, ask_result, watch_result;
    bool complete, is_there; /* a message; the exchange before */
    ExchangeSigned signed_done;
    VerificationCallback verdict_done;
    void *userdata;
    const Verdict *judged_by;
    time_t vouched;
    char said[128]; /* the arguments of the last call to the exchange */
    unsigned calls, ends, made, changed_times, changed, other_changed, resumed, cancelled,
        tpm_failed, integrity_failed, released, wanted, prepared, freed, watched, logged, rejudged,
        unwatched;
    int level;          /* of the last line in the log */
    Verifier *verifier; /* that is to judge it */
} Bench;

static Bench bench;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)vsnprintf(bench.said, sizeof(bench.said), format, values);
    va_end(values);
}

#define OCTETS(bytes) (int)(bytes).size, (const char *)(bytes).data
#define TEXT(literal) ((Bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

int __wrap_bus_check_room(const Caller *caller, Reason *reason);
int __wrap_bus_exchange_begun(Caller *caller, Exchange *exchange, const CallerExchange *from,
                              CallerExchange **ret);
void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed);
void __wrap_bus_exchange_child_resume(CallerExchange *held);
int __wrap_exchange_choose_group(Exchange *exchange, uint16_t group, Reason *reason);
int __wrap_exchange_agree(Exchange *exchange, Bytes request, Bytes response, Reason *reason);
int __wrap_exchange_fork(Exchange *exchange, Exchange **ret, Reason *reason);
int __wrap_exchange_sign_auth(Exchange *exchange, ExchangeSigned done, void *userdata,
                              Reason *reason);
int __wrap_exchange_verify_begin(Exchange *exchange, time_t now, VerifyRequest *ret,
                                 Reason *reason);
int __wrap_exchange_verify_end(Exchange *exchange, const Verdict *verdict, Reason *reason);
int __wrap_exchange_protect(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                            SealedMessage *ret, Reason *reason);
int __wrap_exchange_unprotect(Exchange *exchange, Bytes datagram, bool *ret_complete,
                              OpenedMessage *ret, Reason *reason);
int __wrap_exchange_prepare_create(Exchange *exchange, uint16_t group, CreateOffer *ret,
                                   Reason *reason);
int __wrap_exchange_add_ike_sa(Exchange *exchange, uint64_t spi, Exchange **ret, Reason *reason);
int __wrap_exchange_inherit_children(Exchange *exchange, Exchange **ret, Reason *reason);
const Segw *__wrap_exchange_segw(const Exchange *exchange);
uint64_t __wrap_exchange_spi_i(const Exchange *exchange);
uint64_t __wrap_exchange_spi_r(const Exchange *exchange);
Bytes __wrap_exchange_ke_i(const Exchange *exchange);
const char *__wrap_exchange_suite_name(const Exchange *exchange);
const char *__wrap_exchange_peer_identity(const Exchange *exchange);
uint8_t __wrap_exchange_peer_method(const Exchange *exchange);
time_t __wrap_exchange_peer_vouched(const Exchange *exchange);
Verifier *__wrap_exchange_verifier(const Exchange *exchange);
CallerExchange *__wrap_caller_exchange_of(const Caller *caller, const Exchange *exchange);
void __wrap_rejudge_one(CallerExchange *held);
void __wrap_log_line(int level, const char *format, ...);
void __wrap_caller_exchange_free(CallerExchange *held);
time_t __wrap_clock_now(const Daemon *daemon);
void __wrap_clock_vouched(Daemon *daemon, time_t when);
int __wrap_expiry_watch(CallerExchange *held);
void __wrap_expiry_close_unwatched(CallerExchange *held);
ExchangeState __wrap_exchange_state(const Exchange *exchange);
int __wrap_verifier_ask(Verifier *verifier, const VerifyRequest *request,
                        VerificationCallback callback, void *userdata, Verification **ret);
void __wrap_verification_cancel(Verification *verification);
void __wrap_daemon_tpm_failed(Daemon *daemon, const char *reason);
void __wrap_daemon_integrity_failed(Daemon *daemon, const char *reason);
void __wrap_daemon_key_released(Daemon *daemon);
void __wrap_daemon_key_wanted(Daemon *daemon);
void __wrap_daemon_prepare_exchange(Daemon *daemon);

static int called(Reason *reason)
{
    bench.calls++;
    return bench.result != 0 ? reason_set(reason, bench.result, "no") : 0;
}

int __wrap_bus_check_room(const Caller *caller, Reason *reason)
{
    (void)caller;
    return reason_set(reason, bench.room, "no room");
}

int __wrap_bus_exchange_begun(Caller *caller, Exchange *exchange, const CallerExchange *from,
                              CallerExchange **ret)
{
    (void)caller, (void)exchange, (void)from;
    bench.made++;
    if (bench.begun == 0)
        *ret = &bench.other;
    return bench.begun;
}

void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed)
{
    if (held == &bench.other) {
        bench.other_changed |= changed;
        return;
    }
    bench.changed_times++;
    bench.changed |= changed;
}

void __wrap_bus_exchange_child_resume(CallerExchange *held)
{
    assert_null(held->pending);
    assert_int_equal(bus_calls.answers, 1); /* what it waited for is answered first */
    bench.resumed++;
}

int __wrap_exchange_choose_group(Exchange *exchange, uint16_t group, Reason *reason)
{
    (void)exchange;
    say("%u", group);
    return called(reason);
}

int __wrap_exchange_agree(Exchange *exchange, Bytes request, Bytes response, Reason *reason)
{
    (void)exchange;
    say("%.*s %.*s", OCTETS(request), OCTETS(response));
    return called(reason);
}

int __wrap_exchange_fork(Exchange *exchange, Exchange **ret, Reason *reason)
{
    (void)exchange, (void)ret;
    return called(reason);
}

int __wrap_exchange_sign_auth(Exchange *exchange, ExchangeSigned done, void *userdata,
                              Reason *reason)
{
    (void)exchange;
    bench.signed_done = done;
    bench.userdata = userdata;
    return called(reason);
}

int __wrap_exchange_verify_begin(Exchange *exchange, time_t now, VerifyRequest *ret, Reason *reason)
{
    (void)exchange, (void)ret;
    assert_int_equal(now, 55);
    return reason_set(reason, bench.begin_result, "not to be judged");
}

int __wrap_exchange_verify_end(Exchange *exchange, const Verdict *verdict, Reason *reason)
{
    (void)exchange;
    bench.ends++;
    bench.judged_by = verdict;
    return bench.end_result != 0 ? reason_set(reason, bench.end_result, "not taken") : 0;
}

int __wrap_exchange_protect(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                            SealedMessage *ret, Reason *reason)
{
    (void)exchange;
    say("%u %d %u %.*s %zu", message->exchange_type, message->response, message->first,
        OCTETS(message->payloads), max_datagram);
    if (bench.result == 0) {
        ret->message_id = 3;
        ret->count = 2;
        for (size_t i = 0; i < 2; i++) {
            ret->datagrams[i].data = (uint8_t *)strdup(i == 0 ? "one" : "two");
            ret->datagrams[i].size = 3;
        }
    }
    return called(reason);
}

int __wrap_exchange_unprotect(Exchange *exchange, Bytes datagram, bool *ret_complete,
                              OpenedMessage *ret, Reason *reason)
{
    (void)exchange;
    say("%.*s", OCTETS(datagram));
    *ret_complete = bench.complete;
    if (bench.complete) {
        *ret = (OpenedMessage){.exchange_type = 36,
                               .response = true,
                               .message_id = 6,
                               .first = 41,
                               .plain = (uint8_t *)strdup("plain"),
                               .plain_size = 5};
    }
    return called(reason);
}

int __wrap_exchange_prepare_create(Exchange *exchange, uint16_t group, CreateOffer *ret,
                                   Reason *reason)
{
    (void)exchange;
    say("%u", group);
    *ret = (CreateOffer){.spi = 5, .nonce = TEXT("nonce"), .ke = TEXT("ke")};
    return called(reason);
}

int __wrap_exchange_add_ike_sa(Exchange *exchange, uint64_t spi, Exchange **ret, Reason *reason)
{
    (void)exchange, (void)ret;
    say("%llu", (unsigned long long)spi);
    return called(reason);
}

int __wrap_exchange_inherit_children(Exchange *exchange, Exchange **ret, Reason *reason)
{
    (void)exchange, (void)ret;
    return called(reason);
}

const Segw *__wrap_exchange_segw(const Exchange *exchange)
{
    static const Segw segw;

    (void)exchange;
    bench.logged++;
    return &segw;
}

uint64_t __wrap_exchange_spi_i(const Exchange *exchange)
{
    (void)exchange;
    return 1;
}

uint64_t __wrap_exchange_spi_r(const Exchange *exchange)
{
    (void)exchange;
    return 2;
}

Bytes __wrap_exchange_ke_i(const Exchange *exchange)
{
    (void)exchange;
    return TEXT("new ke");
}

const char *__wrap_exchange_suite_name(const Exchange *exchange)
{
    (void)exchange;
    return "suite";
}

const char *__wrap_exchange_peer_identity(const Exchange *exchange)
{
    (void)exchange;
    return "segw.example.org";
}

uint8_t __wrap_exchange_peer_method(const Exchange *exchange)
{
    (void)exchange;
    return 14;
}

time_t __wrap_exchange_peer_vouched(const Exchange *exchange)
{
    (void)exchange;
    return 44;
}

Verifier *__wrap_exchange_verifier(const Exchange *exchange)
{
    (void)exchange;
    return bench.verifier;
}

void __wrap_rejudge_one(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    bench.rejudged++;
}

void __wrap_log_line(int level, const char *format, ...)
{
    (void)format;
    bench.level = level;
}

CallerExchange *__wrap_caller_exchange_of(const Caller *caller, const Exchange *exchange)
{
    (void)caller, (void)exchange;
    return bench.is_there ? &bench.other : NULL;
}

void __wrap_caller_exchange_free(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    bench.freed++;
}

time_t __wrap_clock_now(const Daemon *daemon)
{
    (void)daemon;
    return 55;
}

void __wrap_clock_vouched(Daemon *daemon, time_t when)
{
    (void)daemon;
    bench.vouched = when;
}

int __wrap_expiry_watch(CallerExchange *held)
{
    (void)held;
    bench.watched++;
    return bench.watch_result;
}

void __wrap_expiry_close_unwatched(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    assert_int_equal(bus_calls.answers, 1);
    bench.unwatched++;
}

ExchangeState __wrap_exchange_state(const Exchange *exchange)
{
    (void)exchange;
    return bench.end_result == 0 ? EXCHANGE_VERIFIED : EXCHANGE_REFUSED;
}

int __wrap_verifier_ask(Verifier *verifier, const VerifyRequest *request,
                        VerificationCallback callback, void *userdata, Verification **ret)
{
    (void)verifier, (void)request, (void)ret;
    bench.verdict_done = callback;
    bench.userdata = userdata;
    return bench.ask_result;
}

void __wrap_verification_cancel(Verification *verification)
{
    (void)verification;
    bench.cancelled++;
}

void __wrap_daemon_tpm_failed(Daemon *daemon, const char *reason)
{
    (void)daemon, (void)reason;
    bench.tpm_failed++;
}

void __wrap_daemon_integrity_failed(Daemon *daemon, const char *reason)
{
    (void)daemon, (void)reason;
    bench.integrity_failed++;
}

void __wrap_daemon_key_released(Daemon *daemon)
{
    (void)daemon;
    bench.released++;
}

void __wrap_daemon_key_wanted(Daemon *daemon)
{
    (void)daemon;
    bench.wanted++;
}

void __wrap_daemon_prepare_exchange(Daemon *daemon)
{
    (void)daemon;
    bench.prepared++;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bus_calls_reset();
    bench.caller.daemon = &bench.daemon;
    bench.held.caller = bench.other.caller = &bench.caller;
    bench.other.number = 8;
    return 0;
}

typedef int (*Method)(CallerExchange *held, sd_bus_message *call, Reason *reason);

static int call(Method method)
{
    Reason reason = {0};

    return method(&bench.held, bus_message_number(1), &reason);
}

static void what_the_exchange_refuses_is_neither_answered_nor_told(void **state)
{
    static const struct {
        Method run;
        bool reads, needs_room, begins;
    } methods[] = {{bus_exchange_choose_group, true, false, false},
                   {bus_exchange_agree, true, false, false},
                   {bus_exchange_fork, false, true, true},
                   {bus_exchange_protect, true, false, false},
                   {bus_exchange_unprotect, true, false, false},
                   {bus_exchange_prepare_create, true, false, false},
                   {bus_exchange_add_ike_sa, true, true, true},
                   {bus_exchange_inherit_children, false, false, false}};

    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        const int errors[] = {0, EXCHANGE_E_UNEXPECTED, -EBADMSG, BUS_E_TOO_MANY_EXCHANGES,
                              -ENOMEM};
        const bool applies[] = {true, true, methods[i].reads, methods[i].needs_room,
                                methods[i].begins};

        for (size_t fault = 0; fault < ELEMENTS(errors); fault++) {
            (void)bench_init(state);
            bench.is_there = true;
            if (fault == 1)
                bench.result = errors[fault];
            if (fault == 2)
                bus_calls.read_result = errors[fault];
            if (fault == 3)
                bench.room = errors[fault];
            if (fault == 4)
                bench.begun = errors[fault];
            int r = call(methods[i].run);
            const bool done = fault == 0 || !applies[fault];
            assert_int_equal(r, done ? 0 : errors[fault]);
            assert_int_equal(bus_calls.replies + bus_messages.sent, done);
            if (!done) {
                assert_int_equal(bench.changed | bench.other_changed, 0);
                assert_int_equal(bench.wanted + bench.prepared, 0);
            }
            if (fault == 2 || fault == 3)
                assert_int_equal(bench.calls, done);
            if (!methods[i].begins || fault == 1)
                assert_int_equal(bench.made, 0);
        }
    }
}

/* Each argument by itself, and each value that is answered: two that are mixed up differ. */
static void what_is_asked_reaches_the_exchange_and_what_it_says_its_caller(void **state)
{
    static const struct {
        Method run;
        uint64_t numbers[CALL_NUMBERS_MAX];
        const char *said, *answer;
    } cases[] = {
        {bus_exchange_choose_group, {19}, "19", "new ke "},
        {bus_exchange_agree, {0}, "first second", "suite "},
        {bus_exchange_fork, {0}, "", BUS_EXCHANGES_PATH "/8 "},
        {bus_exchange_protect, {37, 1, 42, 1280}, "37 1 42 first 1280", NULL},
        {bus_exchange_protect, {35, 0, 35, 576}, "35 0 35 first 576", NULL},
        {bus_exchange_unprotect, {0}, "first", "1 36 1 6 41 plain "},
        {bus_exchange_prepare_create, {20}, "20", "5 nonce ke "},
        {bus_exchange_add_ike_sa, {UINT64_MAX}, "18446744073709551615", BUS_EXCHANGES_PATH "/8 "},
        {bus_exchange_inherit_children, {0}, "", ""},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.complete = true;
        bus_calls.octets[0] = TEXT("first");
        bus_calls.octets[1] = TEXT("second");
        memcpy(bus_calls.numbers, cases[i].numbers, sizeof(bus_calls.numbers));
        assert_int_equal(call(cases[i].run), 0);
        assert_string_equal(bench.said, cases[i].said);
        if (cases[i].answer)
            assert_string_equal(bus_calls.text, cases[i].answer);
        /* A fork goes on to SignAuth at once, new keys have nothing to sign. */
        assert_int_equal(bench.wanted, cases[i].run == bus_exchange_fork);
        assert_int_equal(bench.prepared, cases[i].run == bus_exchange_add_ike_sa);
    }
    /* A fragment: not all of it is there. */
    bench.complete = false;
    assert_int_equal(call(bus_exchange_unprotect), 0);
    assert_string_equal(bus_calls.text, "0 0 0 0 0  ");
}

static void the_datagrams_are_answered_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(call(bus_exchange_protect), 0);
    assert_string_equal(bus_messages.text, "3 aay[one two ]");
    assert_int_equal(bus_messages.references, 0);
    const unsigned steps = bus_messages.step;
    for (unsigned failing = 1; failing <= steps; failing++) {
        bus_messages_reset(failing);
        assert_int_equal(call(bus_exchange_protect), -EIO);
        assert_int_equal(bus_messages.step, failing);
        assert_int_equal(bus_messages.sent, failing == steps);
        assert_int_equal(bus_messages.references, 0);
    }
}

static void what_an_agreement_changes_is_told(void **state)
{
    (void)state;
    assert_int_equal(call(bus_exchange_agree), 0);
    assert_int_equal(bench.changed,
                     EXCHANGE_PROPERTY_STATE | EXCHANGE_PROPERTY_SPI_R | EXCHANGE_PROPERTY_SUITE);
    bus_calls.reply_result = -ENOTCONN;
    assert_int_equal(call(bus_exchange_agree), -ENOTCONN);
}

static void of_the_exchange_that_was_replaced_the_state_is_told_where_it_is_there(void **state)
{
    (void)state;
    assert_int_equal(call(bus_exchange_inherit_children), 0);
    assert_int_equal(bench.other_changed, 0);
    bench.is_there = true;
    assert_int_equal(call(bus_exchange_inherit_children), 0);
    assert_int_equal(bench.other_changed, EXCHANGE_PROPERTY_STATE);
}

static void however_the_tpm_ends_the_caller_is_answered_once(void **state)
{
    static const struct {
        int r, error;
        unsigned tpm, integrity, released, changed;
    } cases[] = {{0, 0, 0, 0, 1, EXCHANGE_PROPERTY_STATE},
                 {EXCHANGE_E_TPM_FAILED, EXCHANGE_E_TPM_FAILED, 1, 0, 1, 0},
                 {EXCHANGE_E_INTEGRITY_FAILED, EXCHANGE_E_INTEGRITY_FAILED, 0, 1, 1, 0},
                 {-EIO, -EIO, 0, 0, 1, 0},
                 {-ECANCELED, EXCHANGE_E_WRONG_STATE, 0, 0, 0, 0}};
    const OwnAuth auth = {.id_type = 2, .method = 14};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        assert_int_equal(call(bus_exchange_sign_auth), 0);
        assert_int_equal(bus_calls.answers, 0);
        assert_int_equal(bus_messages.references, 1);
        bench.signed_done(NULL, cases[i].r, &auth, "so", bench.userdata);
        assert_int_equal(bus_calls.answers, 1);
        assert_int_equal(bus_messages.references, 0);
        assert_int_equal(bus_calls.error, cases[i].error);
        assert_int_equal(bench.tpm_failed, cases[i].tpm);
        assert_int_equal(bench.integrity_failed, cases[i].integrity);
        assert_int_equal(bench.released, cases[i].released);
        assert_int_equal(bench.changed, cases[i].changed);
    }
}

static void a_signature_that_is_refused_at_once_is_no_pending_call(void **state)
{
    static const int errors[] = {EXCHANGE_E_WRONG_STATE, EXCHANGE_E_TPM_FAILED};

    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        (void)bench_init(state);
        bench.result = errors[i];
        assert_int_equal(call(bus_exchange_sign_auth), errors[i]);
        assert_int_equal(bus_messages.references, 0);
        assert_int_equal(bus_calls.answers, 0);
        assert_int_equal(bench.tpm_failed, errors[i] == EXCHANGE_E_TPM_FAILED);
    }
}

static void however_a_peer_is_judged_the_caller_is_answered_once(void **state)
{
    static const Verdict verdict = {.taken = true, .note = "by a CRL"};
    static const struct {
        int end, watch, error;
    } cases[] = {{0, 0, 0},
                 {EXCHANGE_E_PEER_REVOKED, 0, EXCHANGE_E_PEER_REVOKED},
                 {-ENOMEM, 0, -ENOMEM},
                 {0, -ENOMEM, -ENOMEM}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        assert_int_equal(call(bus_exchange_verify_peer), 0);
        assert_non_null(bench.held.pending);
        assert_int_equal(bus_calls.answers, 0);
        assert_int_equal(bench.ends, 0);
        bench.end_result = cases[i].end;
        bench.watch_result = cases[i].watch;
        bench.verdict_done(&verdict, "", bench.userdata);
        assert_ptr_equal(bench.judged_by, &verdict);
        assert_int_equal(bus_calls.answers, 1);
        assert_int_equal(bus_calls.error, cases[i].error);
        assert_int_equal(bus_messages.references, 0);
        assert_null(bench.held.pending);
        /* What would outlive its certificates is closed, and nothing else happens to it. */
        assert_int_equal(bench.unwatched, cases[i].watch < 0);
        assert_int_equal(bench.resumed, cases[i].watch == 0);
        assert_int_equal(bench.changed, cases[i].watch < 0 ? 0
                                                           : EXCHANGE_PROPERTY_STATE |
                                                                 EXCHANGE_PROPERTY_PEER_IDENTITY);
        assert_int_equal(bench.watched, cases[i].end == 0);
        assert_int_equal(bench.vouched, cases[i].end == 0 ? 44 : 0);
        assert_string_equal(bus_calls.text, cases[i].error == 0 ? "segw.example.org " : "");
    }
    /* Without a verdict: why there is none is the reason. */
    (void)bench_init(state);
    assert_int_equal(call(bus_exchange_verify_peer), 0);
    bench.end_result = EXCHANGE_E_VERIFIER_FAILED;
    bench.verdict_done(NULL, "it died", bench.userdata);
    assert_null(bench.judged_by);
    assert_int_equal(bus_calls.error, EXCHANGE_E_VERIFIER_FAILED);
}

/* Whoever was judged by a verifier that has had a successor since, whose lists may say otherwise.
 */
static void a_peer_that_another_verifier_judged_is_judged_anew(void **state)
{
    static const struct {
        bool by_another;
        int end, watch;
        unsigned rejudged;
    } cases[] = {{true, 0, 0, 1},
                 {false, 0, 0, 0},
                 {true, EXCHANGE_E_PEER_REVOKED, 0, 0},
                 {true, 0, -ENOMEM, 0}};
    static const Verdict verdict = {.taken = true};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.verifier = cases[i].by_another ? (Verifier *)(void *)&bench : NULL;
        bench.end_result = cases[i].end;
        bench.watch_result = cases[i].watch;
        assert_int_equal(call(bus_exchange_verify_peer), 0);
        bench.verdict_done(&verdict, "", bench.userdata);
        assert_int_equal(bench.rejudged, cases[i].rejudged);
    }
}

/* A liveness check, and its answer, are no news. */
static void of_sealed_messages_ike_auth_alone_is_told_by_default(void **state)
{
    static const struct {
        uint8_t exchange_type;
        int level;
    } cases[] = {{IKE_AUTH, LOG_INFO}, {IKE_INFORMATIONAL, LOG_DEBUG}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bus_calls.numbers[0] = cases[i].exchange_type;
        assert_int_equal(call(bus_exchange_protect), 0);
        assert_int_equal(bench.level, cases[i].level);
    }
}

static void a_peer_that_can_not_be_shown_to_a_verifier_is_refused(void **state)
{
    (void)state;
    bench.ask_result = -EBUSY;
    bench.end_result = EXCHANGE_E_VERIFIER_FAILED;
    assert_int_equal(call(bus_exchange_verify_peer), EXCHANGE_E_VERIFIER_FAILED);
    assert_int_equal(bench.ends, 1);
    assert_null(bench.held.pending);
    assert_int_equal(bus_messages.references, 0);
    assert_int_equal(bench.changed, EXCHANGE_PROPERTY_STATE);
    /* What is refused before it is shown to anybody is told; a call out of order is not. */
    static const int errors[] = {EXCHANGE_E_PEER_IDENTITY_MISMATCH, EXCHANGE_E_WRONG_STATE};
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        (void)bench_init(state);
        bench.begin_result = errors[i];
        assert_int_equal(call(bus_exchange_verify_peer), errors[i]);
        assert_int_equal(bench.ends, 0);
        assert_int_equal(bench.changed_times, i == 0);
        assert_int_equal(bench.logged, i == 0);
    }
}

static void who_waits_for_a_verdict_is_answered_when_its_exchange_goes(void **state)
{
    (void)state;
    bus_exchange_verify_cancel(&bench.held);
    assert_int_equal(bus_calls.answers + bench.cancelled, 0);
    assert_int_equal(call(bus_exchange_verify_peer), 0);
    bus_exchange_verify_cancel(&bench.held);
    assert_int_equal(bus_calls.answers, 1);
    assert_int_equal(bus_calls.error, EXCHANGE_E_WRONG_STATE);
    assert_int_equal(bench.cancelled, 1);
    assert_int_equal(bus_messages.references, 0);
    assert_null(bench.held.pending);
}

static void an_exchange_is_closed_by_its_owner(void **state)
{
    (void)state;
    assert_int_equal(call(bus_exchange_close), 0);
    assert_int_equal(bench.freed, 1);
    assert_int_equal(bus_calls.replies, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_the_exchange_refuses_is_neither_answered_nor_told, bench_init),
        cmocka_unit_test_setup(what_is_asked_reaches_the_exchange_and_what_it_says_its_caller,
                               bench_init),
        cmocka_unit_test_setup(the_datagrams_are_answered_whole_or_not_at_all, bench_init),
        cmocka_unit_test_setup(what_an_agreement_changes_is_told, bench_init),
        cmocka_unit_test_setup(
            of_the_exchange_that_was_replaced_the_state_is_told_where_it_is_there, bench_init),
        cmocka_unit_test_setup(however_the_tpm_ends_the_caller_is_answered_once, bench_init),
        cmocka_unit_test_setup(a_signature_that_is_refused_at_once_is_no_pending_call, bench_init),
        cmocka_unit_test_setup(however_a_peer_is_judged_the_caller_is_answered_once, bench_init),
        cmocka_unit_test_setup(a_peer_that_another_verifier_judged_is_judged_anew, bench_init),
        cmocka_unit_test_setup(of_sealed_messages_ike_auth_alone_is_told_by_default, bench_init),
        cmocka_unit_test_setup(a_peer_that_can_not_be_shown_to_a_verifier_is_refused, bench_init),
        cmocka_unit_test_setup(who_waits_for_a_verdict_is_answered_when_its_exchange_goes,
                               bench_init),
        cmocka_unit_test_setup(an_exchange_is_closed_by_its_owner, bench_init),
    };

    return cmocka_run_group_tests_name("bus exchange ike", tests, NULL, NULL);
}

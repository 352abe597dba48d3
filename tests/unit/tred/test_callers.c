/* Whose is each exchange, and what is left of a caller that has gone? The bus is played: the linker
 * puts these functions in the place of its own and of tred's (ld --wrap). */
#include "tred/callers.h"

#include "tred/bus.h"
#include "tred/channel.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHILD_SPI = 0xc0ffee01, ANSWERED_MAX = 2 * CALLER_WAITING_MAX };

typedef struct Bench {
    Daemon daemon;
    const Exchange *with_child, *signed_one;
    ExchangeState states[EXCHANGE_STATES]; /* of exchanges that are known by their place in here */
    sd_bus_message_handler_t on_name_lost, on_user;
    void *user_userdata;
    int call_result;
    bool refused;       /* what the bus answers */
    int read_result;    /* of that answer */
    uint32_t uid;       /* in that answer */
    const char *leaver; /* NULL: the signal can't be read, */
    bool empty;         /* or there is nothing in it */
    unsigned asked, references, n_forgotten;
    size_t n_carried_on, n_refused;
    sd_bus_message *carried_on[ANSWERED_MAX], *refused_calls[ANSWERED_MAX];
    unsigned freed, closed, gone, told_changed, verify_cancelled, child_cancelled, released,
        timers_ended;
    char channel_closed[16], forgotten[16];
    unsigned changed;
} Bench;

static Bench bench;

static sd_bus_message *call_number(uintptr_t number)
{
    return (sd_bus_message *)number; /* NOLINT(performance-no-int-to-ptr): nobody looks into it */
}

static Exchange *exchange_number(uintptr_t number)
{
    return (Exchange *)number; /* NOLINT(performance-no-int-to-ptr): nobody looks into it */
}

void __wrap_bus_exchange_gone(CallerExchange *held);
void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed);
void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason);
void __wrap_bus_exchange_verify_cancel(CallerExchange *held);
void __wrap_bus_exchange_child_cancel(CallerExchange *held);
void __wrap_exchange_free(Exchange *exchange);
bool __wrap_exchange_has_child(const Exchange *exchange, uint32_t spi_in);
bool __wrap_exchange_is_unsigned(const Exchange *exchange);
ExchangeState __wrap_exchange_state(const Exchange *exchange);
void __wrap_daemon_key_released(Daemon *daemon);
void __wrap_work_forget_caller(Daemon *daemon, const char *name);
void __wrap_channel_close(Daemon *daemon, const char *name);
void __wrap_bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error);
int __wrap_sd_bus_add_match_async(sd_bus *bus, sd_bus_slot **ret, const char *match,
                                  sd_bus_message_handler_t callback,
                                  sd_bus_message_handler_t installed, void *userdata);
int __wrap_sd_bus_call_method_async(sd_bus *bus, sd_bus_slot **ret, const char *destination,
                                    const char *path, const char *interface, const char *member,
                                    sd_bus_message_handler_t callback, void *userdata,
                                    const char *types, ...);
int __wrap_sd_bus_message_read(sd_bus_message *message, const char *types, ...);
int __wrap_sd_bus_message_is_method_error(sd_bus_message *message, const char *name);
const sd_bus_error *__wrap_sd_bus_message_get_error(sd_bus_message *message);
sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call);
sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call);
sd_bus_slot *__wrap_sd_bus_slot_unref(sd_bus_slot *slot);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

void __wrap_bus_exchange_gone(CallerExchange *held)
{
    assert_ptr_equal(caller_exchange_find(&bench.daemon, held->number), held);
    bench.gone++;
}

void __wrap_bus_exchange_changed(CallerExchange *held, unsigned changed)
{
    (void)held;
    bench.told_changed++;
    bench.changed |= changed;
}

void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    (void)held;
    assert_string_equal(reason, "so");
    bench.closed++;
}

void __wrap_bus_exchange_verify_cancel(CallerExchange *held)
{
    (void)held;
    bench.verify_cancelled++;
}

void __wrap_bus_exchange_child_cancel(CallerExchange *held)
{
    (void)held;
    bench.child_cancelled++;
}

void __wrap_exchange_free(Exchange *exchange)
{
    (void)exchange;
    bench.freed++;
}

bool __wrap_exchange_has_child(const Exchange *exchange, uint32_t spi_in)
{
    return exchange == bench.with_child && spi_in == CHILD_SPI;
}

bool __wrap_exchange_is_unsigned(const Exchange *exchange)
{
    return exchange != bench.signed_one && exchange_state(exchange) < EXCHANGE_SIGNED;
}

ExchangeState __wrap_exchange_state(const Exchange *exchange)
{
    const ExchangeState *state = (const ExchangeState *)(const void *)exchange;

    for (size_t i = 0; i < EXCHANGE_STATES; i++) {
        if (state == &bench.states[i])
            return *state;
    }
    return EXCHANGE_BEGUN;
}

void __wrap_daemon_key_released(Daemon *daemon)
{
    assert_ptr_equal(daemon, &bench.daemon);
    bench.released++;
}

void __wrap_work_forget_caller(Daemon *daemon, const char *name)
{
    (void)daemon;
    bench.n_forgotten++;
    (void)snprintf(bench.forgotten, sizeof(bench.forgotten), "%s", name);
}

void __wrap_channel_close(Daemon *daemon, const char *name)
{
    (void)daemon;
    (void)snprintf(bench.channel_closed, sizeof(bench.channel_closed), "%s", name);
}

void __wrap_bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error)
{
    (void)error;
    assert_true(r < 0);
    bench.refused_calls[bench.n_refused++] = call;
}

int __wrap_sd_bus_add_match_async(sd_bus *bus, sd_bus_slot **ret, const char *match,
                                  sd_bus_message_handler_t callback,
                                  sd_bus_message_handler_t installed, void *userdata)
{
    (void)bus, (void)ret, (void)match, (void)installed;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.on_name_lost = callback;
    return 1;
}

int __wrap_sd_bus_call_method_async(sd_bus *bus, sd_bus_slot **ret, const char *destination,
                                    const char *path, const char *interface, const char *member,
                                    sd_bus_message_handler_t callback, void *userdata,
                                    const char *types, ...)
{
    (void)bus, (void)destination, (void)path, (void)interface, (void)types;
    assert_string_equal(member, "GetConnectionUnixUser");
    bench.asked++;
    if (bench.call_result < 0)
        return bench.call_result;
    bench.on_user = callback;
    bench.user_userdata = userdata;
    *ret = (sd_bus_slot *)&bench;
    return 1;
}

/* The signal says who left, and the answer whose it is. */
int __wrap_sd_bus_message_read(sd_bus_message *message, const char *types, ...)
{
    va_list values;

    (void)message;
    va_start(values, types);
    if (strcmp(types, "s") == 0) {
        if (bench.leaver)
            *va_arg(values, const char **) = bench.leaver;
    } else {
        *va_arg(values, uint32_t *) = bench.uid;
    }
    va_end(values);
    if (strcmp(types, "s") == 0)
        return bench.leaver ? 1 : bench.empty ? 0 : -EBADMSG;
    return bench.read_result;
}

int __wrap_sd_bus_message_is_method_error(sd_bus_message *message, const char *name)
{
    (void)message, (void)name;
    return bench.refused;
}

const sd_bus_error *__wrap_sd_bus_message_get_error(sd_bus_message *message)
{
    (void)message;
    return NULL;
}

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call)
{
    bench.references++;
    return call;
}

sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call)
{
    assert_non_null(call);
    assert_true(bench.references > 0);
    bench.references--;
    return NULL;
}

sd_bus_slot *__wrap_sd_bus_slot_unref(sd_bus_slot *slot)
{
    (void)slot;
    return NULL;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    bench.timers_ended += source != NULL;
    return NULL;
}

static void carry_on(Daemon *daemon, sd_bus_message *call)
{
    assert_ptr_equal(daemon, &bench.daemon);
    bench.carried_on[bench.n_carried_on++] = call;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    users_init(&bench.daemon.users, EXCHANGES_TOTAL_MAX);
    bench.read_result = 1;
    return 0;
}

static Caller *caller_of(const char *name)
{
    Caller *caller = NULL;

    assert_int_equal(caller_get(&bench.daemon, name, &caller), 0);
    assert_non_null(caller);
    assert_string_equal(caller->name, name);
    return caller;
}

/* One whose user is known. */
static Caller *caller_known(const char *name, uid_t uid)
{
    Caller *caller = caller_of(name);

    assert_int_equal(user_take(&bench.daemon.users, uid, &caller->user), 0);
    return caller;
}

static CallerExchange *exchange_of(Caller *caller, uintptr_t number)
{
    CallerExchange *held = NULL;

    assert_int_equal(caller_add_exchange(caller, exchange_number(number), &held), 0);
    return held;
}

static void leaves(const char *name)
{
    if (!bench.on_name_lost)
        assert_true(callers_watch(&bench.daemon) >= 0);
    bench.leaver = name;
    assert_int_equal(bench.on_name_lost(NULL, &bench.daemon, NULL), 0);
}

static void a_name_is_one_caller(void **state)
{
    Caller *first = caller_of(":1.1"), *second = caller_of(":1.2");

    (void)state;
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(caller_of(":1.1"), first);
    assert_ptr_equal(caller_of(":1.2"), second);
    callers_deinit(&bench.daemon);
    assert_null(bench.daemon.callers);
}

static void whoever_leaves_takes_its_exchanges_and_nobody_elses(void **state)
{
    Caller *first = caller_known(":1.1", 1), *second = caller_known(":1.2", 2);
    CallerExchange *kept = exchange_of(second, 3);

    (void)state;
    (void)exchange_of(first, 1);
    (void)exchange_of(first, 2);
    assert_int_equal(bench.changed, EXCHANGE_ADDED);
    assert_int_equal(bench.daemon.users.n_exchanges, 3);
    leaves(":1.3");
    assert_int_equal(bench.freed, 0);
    leaves(NULL);
    bench.empty = true;
    leaves(NULL);
    assert_int_equal(bench.n_forgotten, 1); /* of what can't be read nobody is told */
    assert_string_equal(bench.forgotten, ":1.3");
    leaves(":1.1");
    assert_string_equal(bench.forgotten, ":1.1");
    assert_string_equal(bench.channel_closed, ":1.1");
    assert_int_equal(bench.freed, 2);
    assert_int_equal(bench.gone, 2);
    assert_int_equal(bench.released, 2);
    assert_int_equal(bench.verify_cancelled, 2);
    assert_int_equal(bench.child_cancelled, 2);
    assert_int_equal(bench.daemon.users.n_exchanges, 1);
    assert_ptr_equal(bench.daemon.callers, second);
    assert_null(second->next);
    assert_ptr_equal(caller_exchange_find(&bench.daemon, kept->number), kept);
    leaves(":1.2");
    assert_null(bench.daemon.callers);
    assert_null(bench.daemon.users.first);
    callers_deinit(&bench.daemon);
}

static void an_exchange_that_ends_is_let_go_of_with_its_timers(void **state)
{
    Caller *caller = caller_known(":1.1", 1);
    CallerExchange *first = exchange_of(caller, 1), *second = exchange_of(caller, 2),
                   *third = exchange_of(caller, 3);
    char source;

    (void)state;
    second->expiry = second->expiry_bound = second->deadline = (sd_event_source *)&source;
    caller_exchange_free(second);
    assert_int_equal(bench.timers_ended, 3);
    assert_ptr_equal(caller->exchanges, third);
    assert_ptr_equal(third->next, first);
    assert_int_equal(caller->user->n_exchanges, 2);
    caller_exchange_free(third);
    caller_exchange_free(first);
    assert_null(caller->exchanges);
    assert_int_equal(bench.daemon.users.n_exchanges, 0);
    callers_deinit(&bench.daemon);
}

static void an_exchange_is_found_by_number_child_and_itself(void **state)
{
    Caller *first = caller_known(":1.1", 1), *second = caller_known(":1.2", 2);
    CallerExchange *held[] = {exchange_of(first, 11), exchange_of(first, 12),
                              exchange_of(second, 13)};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(held); i++) {
        assert_int_equal(held[i]->number, i + 1); /* numbers are never used twice */
        assert_ptr_equal(caller_exchange_find(&bench.daemon, i + 1), held[i]);
        assert_null(caller_exchange_find_child(&bench.daemon, CHILD_SPI));
        bench.with_child = held[i]->exchange;
        assert_ptr_equal(caller_exchange_find_child(&bench.daemon, CHILD_SPI), held[i]);
        assert_null(caller_exchange_find_child(&bench.daemon, CHILD_SPI + 1));
        bench.with_child = NULL;
        /* Of its own caller alone. */
        assert_ptr_equal(caller_exchange_of(first, held[i]->exchange), i < 2 ? held[i] : NULL);
        assert_ptr_equal(caller_exchange_of(second, held[i]->exchange), i < 2 ? NULL : held[i]);
    }
    assert_null(caller_exchange_find(&bench.daemon, 0));
    assert_null(caller_exchange_find(&bench.daemon, 4));
    callers_close_all(&bench.daemon, "so");
    callers_deinit(&bench.daemon);
}

static void what_has_signed_outlives_another_identity_and_nothing_the_end(void **state)
{
    Caller *first = caller_known(":1.1", 1), *second = caller_known(":1.2", 2);
    CallerExchange *kept;

    (void)state;
    (void)exchange_of(first, 11);
    kept = exchange_of(first, 12);
    (void)exchange_of(first, 13);
    (void)exchange_of(second, 14);
    bench.signed_one = kept->exchange;
    callers_close_unsigned(&bench.daemon, "so");
    assert_int_equal(bench.closed, 3);
    assert_int_equal(bench.freed, 3);
    assert_ptr_equal(first->exchanges, kept);
    assert_null(second->exchanges);
    callers_close_all(&bench.daemon, "so");
    assert_int_equal(bench.closed, 4);
    assert_int_equal(bench.freed, 4);
    callers_deinit(&bench.daemon);
}

/* One exchange in each state; those in `states` are to be left. */
static void assert_left(void (*closes)(Daemon *daemon, const char *reason), unsigned states)
{
    Caller *caller = caller_known(":1.1", 1);
    unsigned left = 0;

    for (size_t i = 0; i < EXCHANGE_STATES; i++) {
        CallerExchange *held;

        bench.states[i] = (ExchangeState)i;
        assert_int_equal(caller_add_exchange(caller, (Exchange *)(void *)&bench.states[i], &held),
                         0);
    }
    closes(&bench.daemon, "so");
    for (const CallerExchange *held = caller->exchanges; held; held = held->next)
        left |= 1U << exchange_state(held->exchange);
    assert_int_equal(left, states);
    callers_close_all(&bench.daemon, "so");
    callers_deinit(&bench.daemon);
}

static void what_is_closed_goes_by_what_an_exchange_rests_on(void **state)
{
    const unsigned is_unsigned = 1U << EXCHANGE_BEGUN | 1U << EXCHANGE_AGREED,
                   is_unverified = 1U << EXCHANGE_SIGNED | 1U << EXCHANGE_VERIFYING,
                   is_verified = 1U << EXCHANGE_VERIFIED | 1U << EXCHANGE_REPLACED,
                   is_refused = 1U << EXCHANGE_REFUSED;

    (void)state;
    assert_left(callers_close_unsigned, is_unverified | is_verified | is_refused);
    assert_left(callers_close_signed, is_unsigned | is_refused);
    assert_left(callers_close_unverified, is_verified | is_refused);
    assert_left(callers_close_all, 0);
}

static void answered(void)
{
    assert_int_equal(bench.on_user(NULL, bench.user_userdata, NULL), 0);
}

static void whose_a_caller_is_is_asked_once_and_its_calls_go_on_in_order(void **state)
{
    Caller *caller = caller_of(":1.1");

    (void)state;
    for (uintptr_t i = 1; i <= CALLER_WAITING_MAX; i++)
        assert_int_equal(caller_ask_user(caller, call_number(i), carry_on), 0);
    assert_int_equal(caller_ask_user(caller, call_number(9), carry_on), -EBUSY);
    assert_int_equal(bench.asked, 1);
    assert_int_equal(bench.references, CALLER_WAITING_MAX);
    bench.uid = 7;
    answered();
    assert_non_null(caller->user);
    assert_int_equal(caller->user->uid, 7);
    assert_int_equal(bench.n_carried_on, CALLER_WAITING_MAX);
    for (uintptr_t i = 0; i < CALLER_WAITING_MAX; i++)
        assert_ptr_equal(bench.carried_on[i], call_number(i + 1));
    assert_int_equal(bench.references, 0);
    assert_int_equal(bench.n_refused, 0);
    assert_int_equal(caller->n_waiting, 0);
    callers_deinit(&bench.daemon);
}

static void without_a_user_nothing_goes_on_and_it_is_asked_again(void **state)
{
    static const struct {
        bool refused;
        int read_result;
    } cases[] = {{true, 1}, {false, 0}, {false, -EBADMSG}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        Caller *caller = caller_of(":1.1");
        bench.refused = cases[i].refused;
        bench.read_result = cases[i].read_result;
        assert_int_equal(caller_ask_user(caller, call_number(1), carry_on), 0);
        answered();
        assert_null(caller->user);
        assert_int_equal(bench.n_carried_on, 0);
        assert_int_equal(bench.n_refused, 1);
        assert_ptr_equal(bench.refused_calls[0], call_number(1));
        assert_int_equal(bench.references, 0);
        assert_int_equal(caller_ask_user(caller, call_number(2), carry_on), 0);
        assert_int_equal(bench.asked, 2);
        callers_deinit(&bench.daemon);
        assert_int_equal(bench.references, 0);
    }
}

static void where_the_bus_can_not_be_asked_no_call_waits(void **state)
{
    Caller *caller = caller_of(":1.1");

    (void)state;
    bench.call_result = -ENOBUFS;
    assert_int_equal(caller_ask_user(caller, call_number(1), carry_on), -ENOBUFS);
    assert_int_equal(caller->n_waiting, 0);
    assert_int_equal(bench.references, 0);
    callers_deinit(&bench.daemon);
}

static void whoever_leaves_while_it_is_asked_waits_for_nothing(void **state)
{
    Caller *caller = caller_of(":1.1");

    (void)state;
    assert_int_equal(caller_ask_user(caller, call_number(1), carry_on), 0);
    assert_int_equal(caller_ask_user(caller, call_number(2), carry_on), 0);
    leaves(":1.1");
    assert_null(bench.daemon.callers);
    assert_int_equal(bench.references, 0);
    assert_int_equal(bench.n_refused, 0);
    callers_deinit(&bench.daemon);
}

static void a_verdict_is_nobodys_when_its_own_exchange_has_ended(void **state)
{
    Caller *caller = caller_known(":1.1", 1);
    CallerExchange *judged = exchange_of(caller, 1), *other = exchange_of(caller, 2);

    (void)state;
    bench.daemon.judged_again = judged;
    caller_exchange_free(other);
    assert_ptr_equal(bench.daemon.judged_again, judged);
    caller_exchange_free(judged);
    assert_null(bench.daemon.judged_again);
    leaves(":1.1");
    callers_deinit(&bench.daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_name_is_one_caller, bench_init),
        cmocka_unit_test_setup(whoever_leaves_takes_its_exchanges_and_nobody_elses, bench_init),
        cmocka_unit_test_setup(an_exchange_that_ends_is_let_go_of_with_its_timers, bench_init),
        cmocka_unit_test_setup(an_exchange_is_found_by_number_child_and_itself, bench_init),
        cmocka_unit_test_setup(what_has_signed_outlives_another_identity_and_nothing_the_end,
                               bench_init),
        cmocka_unit_test_setup(what_is_closed_goes_by_what_an_exchange_rests_on, bench_init),
        cmocka_unit_test_setup(whose_a_caller_is_is_asked_once_and_its_calls_go_on_in_order,
                               bench_init),
        cmocka_unit_test_setup(without_a_user_nothing_goes_on_and_it_is_asked_again, bench_init),
        cmocka_unit_test_setup(where_the_bus_can_not_be_asked_no_call_waits, bench_init),
        cmocka_unit_test_setup(whoever_leaves_while_it_is_asked_waits_for_nothing, bench_init),
        cmocka_unit_test_setup(a_verdict_is_nobodys_when_its_own_exchange_has_ended, bench_init),
    };

    return cmocka_run_group_tests_name("callers", tests, NULL, NULL);
}

/* Who is given an exchange, who waits for one, and who is told why there is none? The bus, callers,
 * users and what an exchange is made of are played (ld --wrap); the vtable is the real one. */
#include "bus_call_fixture.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/daemon_identity.h"
#include "tred/expiry.h"
#include "tred/key_care.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    Caller caller;
    User user;
    CallerExchange held;
    Segw segw;
    const sd_bus_vtable *vtable;
    CallerKnown known;
    bool by_name;  /* BeginExchangeWith */
    bool has_segw; /* of that name */
    int caller_result, new_result, rewind_result, vtable_result, manager_result;
    unsigned asked_for, asked_user, made, awaited, vtables, managers, looks;
    char reason[256];
} Bench;

static Bench bench;

int __wrap_sd_bus_add_object_vtable(sd_bus *bus, sd_bus_slot **ret, const char *path,
                                    const char *interface, const sd_bus_vtable *vtable,
                                    void *userdata);
int __wrap_sd_bus_add_object_manager(sd_bus *bus, sd_bus_slot **ret, const char *path);
size_t __wrap_bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                                 void *userdata, char **ret);
int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member);
int __wrap_sd_bus_message_rewind(sd_bus_message *call, int complete);
const char *__wrap_call_sender(sd_bus_message *call);
int __wrap_caller_get(Daemon *daemon, const char *name, Caller **ret);
int __wrap_caller_ask_user(Caller *caller, sd_bus_message *call, CallerKnown known);
int __wrap_caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret);
bool __wrap_user_has_room(const Users *users, const User *user);
bool __wrap_user_has_time(User *user);
uint64_t __wrap_user_time_begin(void);
void __wrap_user_time_end(User *user, uint64_t begun);
const Segw *__wrap_segws_find(const Segws *segws, const char *label);
int __wrap_exchange_check_group(uint16_t group, Reason *reason);
int __wrap_exchange_new(ExchangeContext *context, const Segw *segw, uint16_t group, Exchange **ret,
                        Reason *reason);
Bytes __wrap_exchange_nonce_i(const Exchange *exchange);
Bytes __wrap_exchange_ke_i(const Exchange *exchange);
uint64_t __wrap_exchange_spi_i(const Exchange *exchange);
int __wrap_deadline_set(CallerExchange *held);
void __wrap_daemon_key_wanted(Daemon *daemon);
void __wrap_verifier_want(Verifier *verifier);
const AnchorFacts *__wrap_verifier_anchors(const Verifier *verifier);
int __wrap_daemon_await_identity(Daemon *daemon, sd_bus_message *call, WorkAnswer answer);

int __wrap_sd_bus_add_object_vtable(sd_bus *bus, sd_bus_slot **ret, const char *path,
                                    const char *interface, const sd_bus_vtable *vtable,
                                    void *userdata)
{
    (void)bus, (void)ret, (void)path, (void)interface;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.vtables++;
    bench.vtable = vtable;
    return bench.vtable_result;
}

int __wrap_sd_bus_add_object_manager(sd_bus *bus, sd_bus_slot **ret, const char *path)
{
    (void)bus, (void)ret, (void)path;
    bench.managers++;
    return bench.manager_result;
}

size_t __wrap_bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                                 void *userdata, char **ret)
{
    (void)announced, (void)bus, (void)vtable, (void)userdata, (void)ret;
    bench.looks++;
    return 0;
}

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member)
{
    (void)call, (void)interface;
    assert_string_equal(member, "BeginExchangeWith");
    return bench.by_name;
}

int __wrap_sd_bus_message_rewind(sd_bus_message *call, int complete)
{
    (void)call;
    assert_true(complete);
    return bench.rewind_result;
}

const char *__wrap_call_sender(sd_bus_message *call)
{
    (void)call;
    return ":1.1";
}

int __wrap_caller_get(Daemon *daemon, const char *name, Caller **ret)
{
    (void)daemon;
    assert_string_equal(name, ":1.1");
    bench.asked_for++;
    if (bench.caller_result == 0)
        *ret = &bench.caller;
    return bench.caller_result;
}

int __wrap_caller_ask_user(Caller *caller, sd_bus_message *call, CallerKnown known)
{
    (void)call;
    assert_ptr_equal(caller, &bench.caller);
    bench.asked_user++;
    bench.known = known;
    return 0;
}

int __wrap_caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret)
{
    assert_ptr_equal(caller, &bench.caller);
    (void)exchange;
    bench.made++;
    *ret = &bench.held;
    return 0;
}

bool __wrap_user_has_room(const Users *users, const User *user)
{
    (void)users, (void)user;
    return true;
}

bool __wrap_user_has_time(User *user)
{
    (void)user;
    return true;
}

uint64_t __wrap_user_time_begin(void)
{
    return 0;
}

void __wrap_user_time_end(User *user, uint64_t begun)
{
    (void)user, (void)begun;
}

const Segw *__wrap_segws_find(const Segws *segws, const char *label)
{
    (void)segws, (void)label;
    return bench.has_segw ? &bench.segw : NULL;
}

int __wrap_exchange_check_group(uint16_t group, Reason *reason)
{
    (void)group, (void)reason;
    return 0;
}

int __wrap_exchange_new(ExchangeContext *context, const Segw *segw, uint16_t group, Exchange **ret,
                        Reason *reason)
{
    (void)context, (void)group, (void)ret, (void)reason;
    assert_ptr_equal(segw, &bench.segw);
    return bench.new_result;
}

Bytes __wrap_exchange_nonce_i(const Exchange *exchange)
{
    (void)exchange;
    return (Bytes){(const uint8_t *)"nonce", 5};
}

Bytes __wrap_exchange_ke_i(const Exchange *exchange)
{
    (void)exchange;
    return (Bytes){(const uint8_t *)"ke", 2};
}

uint64_t __wrap_exchange_spi_i(const Exchange *exchange)
{
    (void)exchange;
    return 1;
}

int __wrap_deadline_set(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    return 0;
}

void __wrap_daemon_key_wanted(Daemon *daemon)
{
    (void)daemon;
}

void __wrap_verifier_want(Verifier *verifier)
{
    (void)verifier;
}

const AnchorFacts *__wrap_verifier_anchors(const Verifier *verifier)
{
    (void)verifier;
    return NULL;
}

int __wrap_daemon_await_identity(Daemon *daemon, sd_bus_message *call, WorkAnswer answer)
{
    (void)daemon, (void)call;
    assert_non_null(answer);
    bench.awaited++;
    return 0;
}

static char name[] = ":1.1";

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bus_calls_reset();
    bench.caller = (Caller){.daemon = &bench.daemon, .name = name, .user = &bench.user};
    bench.held = (CallerExchange){.caller = &bench.caller, .number = 7};
    bench.daemon.identity = &bench.identity;
    bench.daemon.state = IDENTITY_READY;
    bench.has_segw = true;
    assert_int_equal(bus_manager_register(&bench.daemon), 0);
    return 0;
}

/* As sd-bus calls the handler that stands in the vtable; the error's name, "" for none. */
static const char *begin(void)
{
    const char *member = bench.by_name ? "BeginExchangeWith" : "BeginExchange";
    sd_bus_error error = SD_BUS_ERROR_NULL;
    static char found[96];

    for (const sd_bus_vtable *entry = bench.vtable; entry->type != _SD_BUS_VTABLE_END; entry++) {
        if (entry->type != _SD_BUS_VTABLE_METHOD || strcmp(entry->x.method.member, member) != 0)
            continue;
        const int r = entry->x.method.handler(bus_message_number(1), &bench.daemon, &error);
        (void)snprintf(found, sizeof(found), "%s", error.name ? error.name : "");
        (void)snprintf(bench.reason, sizeof(bench.reason), "%s",
                       error.message ? error.message : "");
        sd_bus_error_free(&error);
        assert_int_equal(r < 0, found[0] != '\0');
        return found;
    }
    fail();
    return "";
}

static void a_caller_whose_user_is_known_is_given_an_exchange_at_once(void **state)
{
    (void)state;
    assert_string_equal(begin(), "");
    assert_int_equal(bench.made, 1);
    assert_int_equal(bus_calls.replies, 1);
    assert_int_equal(bench.asked_user + bench.awaited, 0);
}

/* As text that is no UTF-8: over a channel nobody has looked at it before. */
static void a_call_that_can_not_be_read_begins_nothing(void **state)
{
    (void)state;
    for (int by_name = 0; by_name < 2; by_name++) {
        bench.by_name = by_name;
        bus_calls.read_result = -EBADMSG;
        assert_string_not_equal(begin(), "");
        assert_int_equal(bench.asked_for, 0);
        assert_int_equal(bus_calls.replies, 0);
    }
}

/* What is no name at all is not repeated. */
static void a_segw_that_is_not_configured_is_told_by_its_name(void **state)
{
    static const char *const labels[] = {"management", "a\nb"};

    (void)state;
    bench.by_name = true;
    bench.has_segw = false;
    for (size_t i = 0; i < ELEMENTS(labels); i++) {
        bus_calls.string = labels[i];
        assert_string_equal(begin(), bus_error_name(BUS_E_NO_SUCH_SEGW));
        assert_int_equal(strstr(bench.reason, "[segw management]") != NULL, i == 0);
        assert_null(strstr(bench.reason, "a\nb"));
    }
    assert_int_equal(bench.asked_for, 0);
}

static void what_can_not_be_made_is_answered_by_an_error(void **state)
{
    (void)state;
    bench.caller_result = -ENOMEM;
    assert_string_not_equal(begin(), "");
    bench.caller_result = 0;
    bench.new_result = -ENOMEM;
    assert_string_not_equal(begin(), "");
    assert_int_equal(bench.made, 0);
    assert_int_equal(bus_calls.replies, 0);
}

/* Rewound, the call may have nothing in it: that is for who reads it. */
static void a_call_goes_on_once_its_user_is_known(void **state)
{
    (void)state;
    for (int rewound = 1; rewound >= -1; rewound--) {
        (void)bench_init(state);
        bench.rewind_result = rewound;
        bench.caller.user = NULL;
        assert_string_equal(begin(), "");
        assert_int_equal(bench.asked_user, 1);
        assert_int_equal(bench.made, 0);
        bench.caller.user = &bench.user;
        bench.known(&bench.daemon, bus_message_number(1));
        assert_int_equal(bench.made, rewound >= 0);
        assert_int_equal(bus_calls.replies, rewound >= 0);
        assert_int_equal(bus_calls.answers, rewound < 0);
    }
}

/* As while it is read anew after the connection to the TPM broke. */
static void a_state_that_serves_without_an_identity_begins_nothing(void **state)
{
    (void)state;
    bench.daemon.identity = NULL;
    assert_string_equal(begin(), "");
    assert_int_equal(bench.awaited, 1);
    assert_int_equal(bench.made, 0);
    assert_int_equal(bus_calls.replies, 0);
}

/* The other half of those who may wait is root's. */
static void half_of_those_who_may_wait_are_clients(void **state)
{
    (void)state;
    bench.daemon.state = IDENTITY_LOADING;
    bench.daemon.n_waiters = WORK_WAITERS_MAX / 2 - 1;
    assert_string_equal(begin(), "");
    assert_int_equal(bench.awaited, 1);
    bench.daemon.n_waiters = WORK_WAITERS_MAX / 2;
    assert_string_equal(begin(), bus_error_name(BUS_E_BUSY));
    assert_int_equal(bench.awaited, 1);
    assert_int_equal(bench.made, 0);
}

static void without_any_of_its_parts_the_manager_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(bench.vtables, 1);
    assert_int_equal(bench.managers, 1);
    assert_int_equal(bench.looks, 1);
    bench.manager_result = -EIO;
    assert_int_equal(bus_manager_register(&bench.daemon), -EIO);
    assert_int_equal(bench.looks, 1);
    bench.vtable_result = -ENOMEM;
    assert_int_equal(bus_manager_register(&bench.daemon), -ENOMEM);
    assert_int_equal(bench.managers, 2);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, bench_init)
    const struct CMUnitTest tests[] = {
        TEST(a_caller_whose_user_is_known_is_given_an_exchange_at_once),
        TEST(a_call_that_can_not_be_read_begins_nothing),
        TEST(a_segw_that_is_not_configured_is_told_by_its_name),
        TEST(what_can_not_be_made_is_answered_by_an_error),
        TEST(a_call_goes_on_once_its_user_is_known),
        TEST(a_state_that_serves_without_an_identity_begins_nothing),
        TEST(half_of_those_who_may_wait_are_clients),
        TEST(without_any_of_its_parts_the_manager_is_not_there),
    };

    return cmocka_run_group_tests_name("bus manager", tests, NULL, NULL);
}

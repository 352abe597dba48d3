/* Who is served by an exchange's methods, and what is told of it when? The bus, the methods and the
 * event loop are played (ld --wrap); the vtable is the real one. */
#include "bus_message_fixture.h"
#include "tred/bus_exchange_internal.h"
#include "tred/callers.h"
#include "tred/key_care.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    Caller caller, stranger;
    CallerExchange held, other;
    const char *member, *sender;
    const sd_bus_vtable *vtable;
    sd_bus_object_find_t find;
    sd_bus_node_enumerator_t enumerate;
    sd_event_time_handler_t on_changes;
    bool has_time, managed; /* the call is GetManagedObjects */
    int result, enabled, enabled_result, set_result;
    unsigned run, prepared, time_begun, time_ended, told, gone, announced, armed;
    unsigned failing, step; /* of registering */
    char properties[128];
} Bench;

static Bench bench;
static char changes;

int __wrap_sd_bus_add_fallback_vtable(sd_bus *bus, sd_bus_slot **ret, const char *prefix,
                                      const char *interface, const sd_bus_vtable *vtable,
                                      sd_bus_object_find_t find, void *userdata);
int __wrap_sd_bus_add_filter(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t callback,
                             void *userdata);
int __wrap_sd_bus_add_node_enumerator(sd_bus *bus, sd_bus_slot **ret, const char *path,
                                      sd_bus_node_enumerator_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
int __wrap_sd_event_source_get_enabled(sd_event_source *source, int *ret);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
const char *__wrap_sd_bus_message_get_member(sd_bus_message *call);
sd_bus_message *__wrap_sd_bus_get_current_message(sd_bus *bus);
int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member);
int __wrap_sd_bus_emit_properties_changed_strv(sd_bus *bus, const char *path, const char *interface,
                                               char **names);
const char *__wrap_call_sender(sd_bus_message *call);
int __wrap_bus_exchange_choose_group(CallerExchange *held, sd_bus_message *call, Reason *reason);
int __wrap_bus_exchange_agree(CallerExchange *held, sd_bus_message *call, Reason *reason);
int __wrap_bus_exchange_prepare_create(CallerExchange *held, sd_bus_message *call, Reason *reason);
void __wrap_bus_exchange_object_tell(CallerExchange *held, bool added);
bool __wrap_user_has_time(User *user);
uint64_t __wrap_user_time_begin(void);
void __wrap_user_time_end(User *user, uint64_t begun);
const Segw *__wrap_exchange_segw(const Exchange *exchange);
uint64_t __wrap_exchange_spi_i(const Exchange *exchange);
bool __wrap_daemon_is_ending(const Daemon *daemon);
CallerExchange *__wrap_caller_exchange_find(const Daemon *daemon, uint64_t number);

static int step(void)
{
    return ++bench.step == bench.failing ? -EIO : 0;
}

int __wrap_sd_bus_add_fallback_vtable(sd_bus *bus, sd_bus_slot **ret, const char *prefix,
                                      const char *interface, const sd_bus_vtable *vtable,
                                      sd_bus_object_find_t find, void *userdata)
{
    (void)bus, (void)ret, (void)prefix, (void)interface, (void)userdata;
    bench.vtable = vtable;
    bench.find = find;
    return step();
}

int __wrap_sd_bus_add_filter(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t callback,
                             void *userdata)
{
    (void)bus, (void)ret, (void)callback, (void)userdata;
    return step();
}

int __wrap_sd_bus_add_node_enumerator(sd_bus *bus, sd_bus_slot **ret, const char *path,
                                      sd_bus_node_enumerator_t callback, void *userdata)
{
    (void)bus, (void)ret, (void)path, (void)userdata;
    bench.enumerate = callback;
    return step();
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)clock, (void)usec, (void)accuracy, (void)userdata;
    bench.on_changes = handler;
    *ret = (sd_event_source *)&changes;
    bench.enabled = SD_EVENT_ONESHOT;
    return step();
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    assert_ptr_equal(source, &changes);
    bench.armed += enabled == SD_EVENT_ONESHOT;
    bench.enabled = enabled;
    return step();
}

int __wrap_sd_event_source_get_enabled(sd_event_source *source, int *ret)
{
    (void)source;
    *ret = bench.enabled;
    return bench.enabled_result;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    (void)source, (void)usec;
    return bench.set_result;
}

const char *__wrap_sd_bus_message_get_member(sd_bus_message *call)
{
    (void)call;
    return bench.member;
}

sd_bus_message *__wrap_sd_bus_get_current_message(sd_bus *bus)
{
    (void)bus;
    return bus_message_number(1);
}

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member)
{
    (void)call, (void)interface, (void)member;
    return bench.managed;
}

int __wrap_sd_bus_emit_properties_changed_strv(sd_bus *bus, const char *path, const char *interface,
                                               char **names)
{
    (void)bus, (void)path, (void)interface;
    bench.announced++;
    bench.properties[0] = '\0';
    for (; *names; names++) {
        (void)strncat(bench.properties, *names,
                      sizeof(bench.properties) - strlen(bench.properties) - 1);
        (void)strncat(bench.properties, " ",
                      sizeof(bench.properties) - strlen(bench.properties) - 1);
    }
    return 0;
}

const char *__wrap_call_sender(sd_bus_message *call)
{
    (void)call;
    return bench.sender;
}

int __wrap_bus_exchange_choose_group(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    (void)held, (void)call;
    assert_int_equal(bench.time_begun, 1);
    assert_int_equal(bench.time_ended, 0);
    bench.run++;
    return reason_set(reason, bench.result, "so");
}

int __wrap_bus_exchange_agree(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    (void)held, (void)call;
    bench.run++;
    return reason_set(reason, bench.result, "so");
}

int __wrap_bus_exchange_prepare_create(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    (void)held, (void)call;
    assert_int_equal(bench.time_begun, bench.time_ended + 1);
    bench.prepared++;
    return reason_set(reason, bench.result, "so");
}

void __wrap_bus_exchange_object_tell(CallerExchange *held, bool added)
{
    (void)held;
    bench.told += added;
    bench.gone += !added;
}

bool __wrap_user_has_time(User *user)
{
    (void)user;
    return bench.has_time;
}

uint64_t __wrap_user_time_begin(void)
{
    bench.time_begun++;
    return 33;
}

void __wrap_user_time_end(User *user, uint64_t begun)
{
    (void)user;
    assert_int_equal(begun, 33);
    bench.time_ended++;
}

const Segw *__wrap_exchange_segw(const Exchange *exchange)
{
    static const Segw segw;

    (void)exchange;
    return &segw;
}

uint64_t __wrap_exchange_spi_i(const Exchange *exchange)
{
    (void)exchange;
    return 1;
}

bool __wrap_daemon_is_ending(const Daemon *daemon)
{
    (void)daemon;
    return false;
}

CallerExchange *__wrap_caller_exchange_find(const Daemon *daemon, uint64_t number)
{
    (void)daemon;
    return number == bench.held.number ? &bench.held : NULL;
}

static char name[] = ":1.1", other_name[] = ":1.2";

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bus_messages_reset(0);
    bench.daemon.callers = &bench.caller;
    bench.daemon.users.n_exchanges = 2;
    bench.caller = (Caller){
        .daemon = &bench.daemon, .name = name, .exchanges = &bench.held, .next = &bench.stranger};
    bench.stranger =
        (Caller){.daemon = &bench.daemon, .name = other_name, .exchanges = &bench.other};
    bench.held = (CallerExchange){.caller = &bench.caller, .number = 7};
    bench.other = (CallerExchange){.caller = &bench.stranger, .number = 8};
    bench.has_time = true;
    bench.sender = name;
    bench.member = "Agree";
    assert_int_equal(bus_exchange_register(&bench.daemon), 0);
    bench.step = 0;
    return 0;
}

/* As sd-bus calls the handler that stands in the vtable. */
static int call(const char *member, const char **ret_error)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    static char found[96];

    bench.member = member;
    for (const sd_bus_vtable *entry = bench.vtable; entry->type != _SD_BUS_VTABLE_END; entry++) {
        if (entry->type != _SD_BUS_VTABLE_METHOD || strcmp(entry->x.method.member, member) != 0)
            continue;
        int r = entry->x.method.handler(bus_message_number(1), &bench.held, &error);
        (void)snprintf(found, sizeof(found), "%s", error.name ? error.name : "");
        sd_bus_error_free(&error);
        *ret_error = found;
        return r;
    }
    fail();
    return 0;
}

static void the_owner_alone_is_served(void **state)
{
    const char *error = "";

    (void)state;
    assert_int_equal(call("Agree", &error), 1);
    assert_int_equal(bench.run, 1);
    bench.sender = other_name;
    assert_true(call("Agree", &error) < 0);
    assert_string_equal(error, bus_error_name(BUS_E_NOT_OWNER));
    assert_int_equal(bench.run, 1);
    bench.sender = name;
    bench.result = EXCHANGE_E_MALFORMED;
    assert_true(call("Agree", &error) < 0);
    assert_string_equal(error, bus_error_name(EXCHANGE_E_MALFORMED));
}

/* Whatever the vtable has that the table of methods has not. */
static void a_method_that_nobody_knows_is_none(void **state)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;

    (void)state;
    for (const sd_bus_vtable *entry = bench.vtable; entry->type != _SD_BUS_VTABLE_END; entry++) {
        if (entry->type != _SD_BUS_VTABLE_METHOD)
            continue;
        bench.member = "agree";
        assert_int_equal(entry->x.method.handler(bus_message_number(1), &bench.held, &error),
                         -ENOSYS);
    }
    assert_int_equal(bench.run, 0);
}

static void what_makes_keys_costs_its_users_time(void **state)
{
    const char *error = "";

    (void)state;
    assert_int_equal(call("ChooseGroup", &error), 1);
    assert_int_equal(bench.time_ended, 1);
    bench.has_time = false;
    assert_true(call("ChooseGroup", &error) < 0);
    assert_string_equal(error, bus_error_name(BUS_E_BUSY));
    assert_int_equal(bench.run, 1);
    assert_int_equal(bench.time_begun, 1);
    assert_true(call("PrepareCreateChildSa", &error) < 0);
    assert_string_equal(error, bus_error_name(BUS_E_BUSY));
    assert_int_equal(bench.prepared, 0);
    /* Other methods are taken all the same. */
    assert_int_equal(call("Agree", &error), 1);
    assert_int_equal(bench.time_ended, 1);
    bench.time_begun = bench.time_ended;
    bench.has_time = true;
    assert_int_equal(call("PrepareCreateChildSa", &error), 1);
    assert_int_equal(bench.prepared, 1);
    assert_int_equal(bench.time_ended, 2);
}

/* It may be handed in again and again, and each time keys may have been derived. */
static void a_response_that_is_refused_costs_its_users_time(void **state)
{
    const char *error = "";

    (void)state;
    bench.has_time = false;
    bench.result = EXCHANGE_E_FOREIGN_RESPONSE;
    assert_true(call("Agree", &error) < 0);
    assert_string_equal(error, bus_error_name(EXCHANGE_E_FOREIGN_RESPONSE));
    assert_int_equal(bench.run, 1);
    assert_int_equal(bench.time_begun, 1);
    assert_int_equal(bench.time_ended, 1);
}

static void changes_are_told_together_and_once(void **state)
{
    (void)state;
    bus_exchange_changed(&bench.held, EXCHANGE_PROPERTY_STATE);
    bus_exchange_changed(&bench.held, EXCHANGE_PROPERTY_SUITE);
    assert_int_equal(bench.armed, 1);
    assert_int_equal(bench.announced, 0);
    bench.enabled = SD_EVENT_OFF;
    assert_int_equal(bench.on_changes(NULL, 0, &bench.daemon), 0);
    assert_int_equal(bench.announced, 1);
    assert_string_equal(bench.properties, "State Suite ");
    assert_int_equal(bench.told, 0);
    assert_int_equal(bench.on_changes(NULL, 0, &bench.daemon), 0);
    assert_int_equal(bench.announced, 1);
    bus_exchange_changed(&bench.other, EXCHANGE_PROPERTY_PEER_IDENTITY | EXCHANGE_PROPERTY_SPI_R);
    assert_int_equal(bench.armed, 2);
    assert_int_equal(bench.on_changes(NULL, 0, &bench.daemon), 0);
    assert_string_equal(bench.properties, "SpiR PeerIdentity PeerCertificateExpires ");
}

static void a_new_exchange_is_told_as_an_object(void **state)
{
    (void)state;
    bus_exchange_changed(&bench.held, EXCHANGE_ADDED);
    /* One that goes before that was never there. */
    bus_exchange_gone(&bench.held);
    assert_int_equal(bench.gone, 0);
    assert_int_equal(bench.on_changes(NULL, 0, &bench.daemon), 0);
    assert_int_equal(bench.told, 1);
    assert_int_equal(bench.announced, 0);
    bus_exchange_gone(&bench.held);
    assert_int_equal(bench.gone, 1);
}

static void without_a_timer_changes_are_told_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        bench.announced = 0;
        bench.enabled = SD_EVENT_OFF;
        bench.step = 0;
        bench.enabled_result = i == 0 ? -EIO : 0;
        bench.set_result = i == 1 ? -EIO : 0;
        bench.failing = i == 2 ? 1 : 0;
        bus_exchange_changed(&bench.held, EXCHANGE_PROPERTY_STATE);
        assert_int_equal(bench.announced, 1);
        assert_int_equal(bench.held.changed, 0);
    }
}

static void the_owner_is_told_by_a_signal_whole_or_not_at_all(void **state)
{
    (void)state;
    bus_exchange_closed(&bench.held, "so");
    assert_string_equal(bus_messages.text, BUS_EXCHANGES_PATH "/7 Closed so ");
    bus_messages_reset(0);
    bus_exchange_lifetime_reached(&bench.held, 5, true);
    assert_string_equal(bus_messages.text, BUS_EXCHANGES_PATH "/7 LifetimeReached 5 1 ");
    bus_messages_reset(0);
    bus_exchange_expires_soon(&bench.held, 99);
    assert_string_equal(bus_messages.text, BUS_EXCHANGES_PATH "/7 ExpiresSoon 99 ");
    for (unsigned failing = 1; failing <= 3; failing++) {
        bus_messages_reset(failing);
        bus_exchange_closed(&bench.held, "so");
        assert_int_equal(bus_messages.step, failing);
        assert_int_equal(bus_messages.references, 0);
    }
    bus_messages_reset(0);
    bus_messages.is_closed = true;
    bus_exchange_closed(&bench.held, "so");
    assert_int_equal(bus_messages.step, 0);
}

static void a_path_is_an_exchanges_in_one_spelling(void **state)
{
    static const char *const others[] = {BUS_EXCHANGES_PATH "/07", BUS_EXCHANGES_PATH "/7x",
                                         BUS_EXCHANGES_PATH "/9",  BUS_EXCHANGES_PATH,
                                         BUS_EXCHANGES_PATH "/",   "/7"};
    void *found = NULL;

    (void)state;
    assert_ptr_equal(bus_exchange_of_path(&bench.daemon, BUS_EXCHANGES_PATH "/7"), &bench.held);
    assert_int_equal(bench.find(NULL, BUS_EXCHANGES_PATH "/7", NULL, &bench.daemon, &found, NULL),
                     1);
    assert_ptr_equal(found, &bench.held);
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        assert_null(bus_exchange_of_path(&bench.daemon, others[i]));
        assert_int_equal(bench.find(NULL, others[i], NULL, &bench.daemon, &found, NULL), 0);
    }
}

static void assert_nodes(const char *first, const char *second)
{
    char **nodes = NULL;

    assert_int_equal(bench.enumerate(NULL, BUS_EXCHANGES_PATH, &bench.daemon, &nodes, NULL), 0);
    assert_string_equal(nodes[0], first);
    if (second) {
        assert_string_equal(nodes[1], second);
        assert_null(nodes[2]);
        free(nodes[1]);
    } else {
        assert_null(nodes[1]);
    }
    free(nodes[0]);
    free(nodes);
}

static void a_caller_is_shown_its_own_exchanges(void **state)
{
    (void)state;
    assert_nodes(BUS_EXCHANGES_PATH "/7", BUS_EXCHANGES_PATH "/8"); /* introspection */
    bench.managed = true;
    assert_nodes(BUS_EXCHANGES_PATH "/7", NULL);
    bench.sender = other_name;
    assert_nodes(BUS_EXCHANGES_PATH "/8", NULL);
}

static void without_any_of_its_parts_the_objects_are_not_there(void **state)
{
    (void)state;
    for (unsigned failing = 1; failing <= 6; failing++) {
        bench.step = 0;
        bench.failing = failing;
        assert_int_equal(bus_exchange_register(&bench.daemon), -EIO);
        assert_int_equal(bench.step, failing);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_owner_alone_is_served, bench_init),
        cmocka_unit_test_setup(a_method_that_nobody_knows_is_none, bench_init),
        cmocka_unit_test_setup(what_makes_keys_costs_its_users_time, bench_init),
        cmocka_unit_test_setup(a_response_that_is_refused_costs_its_users_time, bench_init),
        cmocka_unit_test_setup(changes_are_told_together_and_once, bench_init),
        cmocka_unit_test_setup(a_new_exchange_is_told_as_an_object, bench_init),
        cmocka_unit_test_setup(without_a_timer_changes_are_told_at_once, bench_init),
        cmocka_unit_test_setup(the_owner_is_told_by_a_signal_whole_or_not_at_all, bench_init),
        cmocka_unit_test_setup(a_path_is_an_exchanges_in_one_spelling, bench_init),
        cmocka_unit_test_setup(a_caller_is_shown_its_own_exchanges, bench_init),
        cmocka_unit_test_setup(without_any_of_its_parts_the_objects_are_not_there, bench_init),
    };

    return cmocka_run_group_tests_name("bus exchange", tests, NULL, NULL);
}

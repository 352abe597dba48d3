/* Does the program keep what its interface promises: names, ownership, limits, states? */
#include "introspection_fixture.h"
#include "tred_fixture.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#define NAME "org.tred.TrE1"
#define MANAGER_PATH "/org/tred/TrE1"
#define MANAGER NAME ".Manager"
#define EXCHANGE NAME ".Exchange"
#define ERROR NAME ".Error."

enum { TIMEOUT_USEC = 10 * 1000 * 1000, GROUP = 19 };

static TredFixture fixture;
static const char *program; /* tred */
static const char *xml_folder;

typedef struct Method {
    const char *name;
    const char *types;
} Method;

static const Method exchange_methods[] = {
    {"ChooseGroup", "q"},      {"Agree", "ayay"},   {"SignAuth", ""},
    {"Protect", "ybyayu"},     {"Unprotect", "ay"}, {"VerifyPeer", ""},
    {"OpenTransport", "ayqb"}, {"AllocateSpi", ""}, {"AddChild", "u"},
    {"RemoveChild", "u"},      {"Fork", ""},        {"PrepareCreateChildSa", "q"},
    {"UseChild", "u"},         {"AddIkeSa", "t"},   {"InheritChildren", ""},
    {"MoveTransport", "ayqb"}, {"SetDscps", "ut"},  {"Close", ""}, /* last */
};

static int group_init(void **state)
{
    (void)state;
    if (tred_fixture_init(&fixture, program) < 0)
        return -1;
    tred_start(&fixture);
    return 0;
}

static int group_deinit(void **state)
{
    (void)state;
    tred_fixture_deinit(&fixture);
    return 0;
}

/* The error's name into `ret_error` ("" for success). On success the reply is the caller's. */
static sd_bus_message *call_zeros(sd_bus *bus, const char *path, const char *interface,
                                  const Method *method, char *ret_error, char *ret_text)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;

    assert_true(sd_bus_message_new_method_call(bus, &call, NAME, path, interface, method->name) >=
                0);
    /* An array takes one zero as its length, and is empty. */
    assert_true(sd_bus_message_append(call, method->types, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) >= 0);
    (void)sd_bus_call(bus, call, TIMEOUT_USEC, &error, &reply);
    (void)snprintf(ret_error, 128, "%s", error.name ? error.name : "");
    (void)snprintf(ret_text, 1024, "%s", error.message ? error.message : "");
    return reply;
}

static void assert_call(sd_bus *bus, const char *path, const char *interface, const char *name,
                        const char *types, const char *error)
{
    const Method method = {name, types};
    char found[128], text[1024];

    sd_bus_message_unref(call_zeros(bus, path, interface, &method, found, text));
    assert_string_equal(found, error);
}

/* BeginExchange; the error's name, or "" and the path of the exchange (64 octets). */
static void begin(sd_bus *bus, uint16_t group, char *ret_path, char *ret_error)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *path = "";

    if (sd_bus_call_method(bus, NAME, MANAGER_PATH, MANAGER, "BeginExchange", &error, &reply, "q",
                           group) >= 0)
        assert_true(sd_bus_message_read(reply, "o", &path) >= 0);
    (void)snprintf(ret_path, 64, "%s", path);
    (void)snprintf(ret_error, 128, "%s", error.name ? error.name : "");
}

static void assert_begins(sd_bus *bus, char *ret_path)
{
    char error[128];

    begin(bus, GROUP, ret_path, error);
    assert_string_equal(error, "");
}

static void assert_does_not_begin(sd_bus *bus, const char *error_name)
{
    char error[128], path[64];

    begin(bus, GROUP, path, error);
    assert_string_equal(error, error_name);
}

static void assert_property(sd_bus *bus, const char *path, const char *interface, const char *name,
                            const char *value)
{
    _cleanup_(free_charp) char *found = NULL;

    assert_true(sd_bus_get_property_string(bus, NAME, path, interface, name, NULL, &found) >= 0);
    assert_string_equal(found, value);
}

static bool exchange_is_there(sd_bus *bus, const char *path)
{
    _cleanup_(free_charp) char *state = NULL;

    return sd_bus_get_property_string(bus, NAME, path, EXCHANGE, "State", NULL, &state) >= 0;
}

/* Takes messages in until `signal` has come. */
static void assert_signal(sd_bus *bus, const bool *come)
{
    while (!*come) {
        int r = sd_bus_process(bus, NULL);

        assert_true(r >= 0);
        if (r == 0)
            assert_int_equal(sd_bus_wait(bus, TIMEOUT_USEC), 1);
    }
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    bool *come = userdata;

    (void)message, (void)error;
    *come = true;
    return 0;
}

static void assert_as_in_xml(sd_bus *bus, const char *path, const char *interface)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_(free_bytesp) uint8_t *file = NULL;
    static char promised[INTROSPECTION_TEXT_MAX], found[INTROSPECTION_TEXT_MAX];
    char file_path[512];
    const char *live = NULL;
    size_t size = 0;

    assert_true(sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Introspectable",
                                   "Introspect", NULL, &reply, "") >= 0);
    assert_true(sd_bus_message_read(reply, "s", &live) >= 0);
    (void)snprintf(file_path, sizeof(file_path), "%s/%s.xml", xml_folder, interface);
    assert_int_equal(file_read(file_path, 65536, &file, &size), 0);
    interface_describe((const char *)file, interface, promised);
    interface_describe(live, interface, found);
    assert_true(strlen(promised) > 100);
    assert_string_equal(found, promised);
}

static void the_live_interfaces_are_those_of_the_xml(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    char path[64];

    (void)state;
    assert_begins(bus, path);
    assert_as_in_xml(bus, MANAGER_PATH, MANAGER);
    assert_as_in_xml(bus, path, EXCHANGE);
    sd_bus_flush_close_unref(bus);
}

static void the_manager_says_who_this_device_is(void **state)
{
    sd_bus *bus = tred_connect(&fixture);

    (void)state;
    assert_property(bus, MANAGER_PATH, MANAGER, "State", "development");
    assert_property(bus, MANAGER_PATH, MANAGER, "KeyPolicy", "none");
    assert_property(bus, MANAGER_PATH, MANAGER, "Identity", HENB_FQDN);
    assert_property(bus, MANAGER_PATH, MANAGER, "SegwIdentity", SEGW_FQDN);
    assert_property(bus, MANAGER_PATH, MANAGER, "KeyAlgorithm", "ecdsa-p256");
    assert_property(bus, MANAGER_PATH, MANAGER, "DataPlane", "none");
    assert_property(bus, MANAGER_PATH, MANAGER, "Version", TRED_VERSION);
    sd_bus_flush_close_unref(bus);
}

static void another_connection_can_read_an_exchange_but_not_use_it(void **state)
{
    sd_bus *owner = tred_connect(&fixture), *other = tred_connect(&fixture);
    char path[64];

    (void)state;
    assert_begins(owner, path);
    for (size_t i = 0; i < ELEMENTS(exchange_methods); i++) {
        assert_call(other, path, EXCHANGE, exchange_methods[i].name, exchange_methods[i].types,
                    ERROR "NotOwner");
    }
    assert_property(other, path, EXCHANGE, "State", "begun");
    assert_true(exchange_is_there(owner, path));
    sd_bus_flush_close_unref(other);
    sd_bus_flush_close_unref(owner);
}

typedef struct Answers {
    unsigned all, busy;
} Answers;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Answers *answers = userdata;
    const sd_bus_error *said = sd_bus_message_get_error(reply);

    (void)error;
    answers->all++;
    answers->busy += said && strcmp(said->name, ERROR "Busy") == 0;
    return 0;
}

/* tred has to ask the bus whose they are, and the answer comes behind all that have been sent. */
static void of_the_calls_of_an_unknown_caller_four_wait_and_each_is_answered(void **state)
{
    enum { CALLS = 12, WAITING = 4 };
    sd_bus *bus = tred_connect(&fixture);
    Answers answers = {0};

    (void)state;
    assert_int_equal(kill(fixture.tred, SIGSTOP), 0);
    for (unsigned i = 0; i < CALLS; i++) {
        assert_true(sd_bus_call_method_async(bus, NULL, NAME, MANAGER_PATH, MANAGER,
                                             "BeginExchange", on_answer, &answers, "q",
                                             (unsigned)GROUP) >= 0);
    }
    assert_true(sd_bus_flush(bus) >= 0);
    /* The bus has passed them on once it has answered what came after them. */
    assert_true(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", "GetId", NULL, NULL, "") >= 0);
    assert_int_equal(kill(fixture.tred, SIGCONT), 0);
    while (answers.all < CALLS) {
        const int r = sd_bus_process(bus, NULL);

        assert_true(r >= 0);
        if (r == 0)
            assert_true(sd_bus_wait(bus, UINT64_C(3) * TIMEOUT_USEC) > 0);
    }
    assert_int_equal(answers.busy, CALLS - WAITING);
    sd_bus_flush_close_unref(bus);
}

/* "Exchanges" among all that is counted, by Get; the test fails where it is not there. */
static uint64_t exchanges_counted(sd_bus *bus)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *name = NULL;
    uint64_t value = 0, exchanges = UINT64_MAX;

    assert_true(sd_bus_get_property(bus, NAME, MANAGER_PATH, MANAGER, "Totals", NULL, &reply,
                                    "a{st}") >= 0);
    assert_true(sd_bus_message_enter_container(reply, 'a', "{st}") > 0);
    while (sd_bus_message_read(reply, "{st}", &name, &value) > 0) {
        if (strcmp(name, "Exchanges") == 0)
            exchanges = value;
    }
    assert_true(exchanges != UINT64_MAX);
    return exchanges;
}

/* They are counted when they are asked for, and not more often than ten times a second. */
static void counters_are_answered_to_each_who_asks(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    char path[64];

    (void)state;
    const uint64_t before = exchanges_counted(bus);
    assert_begins(bus, path);
    for (size_t i = 0; i < 3; i++) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        assert_int_equal(exchanges_counted(bus), before + 1);
        assert_true(sd_bus_get_property(bus, NAME, path, EXCHANGE, "Children", NULL, &reply,
                                        "aa{sv}") >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") > 0);
        assert_true(sd_bus_message_at_end(reply, false) > 0);
    }
    sd_bus_flush_close_unref(bus);
}

static void calls_out_of_order_and_empty_messages_are_refused_by_name(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    char path[64];

    (void)state;
    assert_begins(bus, path);
    assert_call(bus, path, EXCHANGE, "ChooseGroup", "q", ERROR "GroupNotSupported");
    assert_call(bus, path, EXCHANGE, "Agree", "ayay", ERROR "Malformed");
    for (size_t i = 2; i < ELEMENTS(exchange_methods) - 1; i++) {
        assert_call(bus, path, EXCHANGE, exchange_methods[i].name, exchange_methods[i].types,
                    ERROR "WrongState");
    }
    assert_property(bus, path, EXCHANGE, "State", "begun");
    sd_bus_flush_close_unref(bus);
}

static void wrong_types_are_refused_by_the_bus_and_harm_nothing(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    char path[64];

    (void)state;
    assert_begins(bus, path);
    for (size_t i = 0; i < ELEMENTS(exchange_methods); i++) {
        assert_call(bus, path, EXCHANGE, exchange_methods[i].name, "yyy",
                    "org.freedesktop.DBus.Error.InvalidArgs");
    }
    assert_call(bus, MANAGER_PATH, MANAGER, "BeginExchange", "ay",
                "org.freedesktop.DBus.Error.InvalidArgs");
    assert_property(bus, path, EXCHANGE, "State", "begun");
    sd_bus_flush_close_unref(bus);
}

static void a_user_holds_as_many_exchanges_as_configured_and_no_more(void **state)
{
    sd_bus *bus = tred_connect(&fixture), *other = tred_connect(&fixture);
    char first[64], second[64], path[64];

    (void)state;
    assert_begins(bus, first);
    assert_begins(bus, second);
    assert_begins(other, path);
    assert_does_not_begin(bus, ERROR "TooManyExchanges");
    assert_does_not_begin(other, ERROR "TooManyExchanges");
    assert_call(bus, first, EXCHANGE, "Close", "", "");
    assert_begins(other, path);
    assert_does_not_begin(bus, ERROR "TooManyExchanges");
    sd_bus_flush_close_unref(other);
    sd_bus_flush_close_unref(bus);
}

static void a_path_is_never_used_again(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    char first[64], second[64];

    (void)state;
    assert_begins(bus, first);
    assert_call(bus, first, EXCHANGE, "Close", "", "");
    assert_false(exchange_is_there(bus, first));
    assert_begins(bus, second);
    assert_string_not_equal(first, second);
    sd_bus_flush_close_unref(bus);
}

static void other_spellings_of_a_path_are_no_exchange(void **state)
{
    static const char *const endings[] = {"x", "/1", "_"};
    sd_bus *bus = tred_connect(&fixture);
    char path[64], other[80];

    (void)state;
    assert_begins(bus, path);
    for (size_t i = 0; i < ELEMENTS(endings); i++) {
        (void)snprintf(other, sizeof(other), "%s%s", path, endings[i]);
        assert_false(exchange_is_there(bus, other));
    }
    (void)snprintf(other, sizeof(other), MANAGER_PATH "/exchange/0%s",
                   path + strlen(MANAGER_PATH "/exchange/"));
    assert_false(exchange_is_there(bus, other));
    assert_false(exchange_is_there(bus, MANAGER_PATH "/exchange"));
    sd_bus_flush_close_unref(bus);
}

static void exchanges_go_when_their_caller_leaves_the_bus(void **state)
{
    sd_bus *leaver = tred_connect(&fixture), *watcher = tred_connect(&fixture);
    char first[64], second[64], path[64];

    (void)state;
    assert_begins(leaver, first);
    assert_begins(leaver, second);
    assert_begins(watcher, path);
    sd_bus_flush_close_unref(leaver);
    while (exchange_is_there(watcher, first) || exchange_is_there(watcher, second))
        ; /* the test's own time-out ends this if they stay */
    assert_true(exchange_is_there(watcher, path));
    sd_bus_flush_close_unref(watcher);
}

static void a_reload_closes_exchanges_that_have_not_signed(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    bool closed = false;
    char path[64];

    (void)state;
    assert_begins(bus, path);
    assert_true(
        sd_bus_match_signal(bus, NULL, NAME, path, EXCHANGE, "Closed", on_signal, &closed) >= 0);
    assert_int_equal(kill(fixture.tred, SIGHUP), 0);
    assert_signal(bus, &closed);
    assert_false(exchange_is_there(bus, path));
    assert_begins(bus, path);
    sd_bus_flush_close_unref(bus);
}

/* With `name` away and a reload, tred says so; with it back, BeginExchange is enough. */
static void assert_needs_file(const char *name)
{
    _cleanup_(free_charp) char *reason = NULL;
    sd_bus *bus = tred_connect(&fixture);
    bool changed = false;
    char path[64];

    assert_true(sd_bus_match_signal(bus, NULL, NAME, MANAGER_PATH,
                                    "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                    on_signal, &changed) >= 0);
    tred_file_hide(&fixture, name);
    assert_int_equal(kill(fixture.tred, SIGHUP), 0);
    assert_signal(bus, &changed);
    assert_property(bus, MANAGER_PATH, MANAGER, "State", "unprovisioned");
    assert_property(bus, MANAGER_PATH, MANAGER, "Identity", "");
    assert_true(sd_bus_get_property_string(bus, NAME, MANAGER_PATH, MANAGER, "StateReason", NULL,
                                           &reason) >= 0);
    assert_non_null(strstr(reason, name));
    assert_does_not_begin(bus, ERROR "Unprovisioned");
    tred_file_show(&fixture, name);
    assert_begins(bus, path);
    assert_property(bus, MANAGER_PATH, MANAGER, "State", "development");
    sd_bus_flush_close_unref(bus);
}

static void a_missing_file_is_named_and_looked_for_again(void **state)
{
    (void)state;
    assert_needs_file("device.pem");
    assert_needs_file("device.crt");
    assert_needs_file("anchors.pem");
}

/* The names of what has changed, each with a blank before and after; appended. */
typedef struct Changes {
    bool seen;
    char names[512];
} Changes;

static int on_changes(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Changes *changes = userdata;
    const char *name;

    (void)error;
    assert_true(sd_bus_message_skip(m, "s") >= 0);
    assert_true(sd_bus_message_enter_container(m, 'a', "{sv}") >= 0);
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        assert_true(sd_bus_message_read(m, "s", &name) > 0);
        assert_true(sd_bus_message_skip(m, "v") >= 0);
        assert_true(sd_bus_message_exit_container(m) >= 0);
        (void)snprintf(changes->names + strlen(changes->names),
                       sizeof(changes->names) - strlen(changes->names), " %s ", name);
    }
    changes->seen = true;
    return 0;
}

static void what_has_changed_is_announced_and_nothing_else(void **state)
{
    static const char *const others[] = {" AnchorsGuarded ", " AnchorsVersion ", " LastKnownTime ",
                                         " PcrMismatch ", " Version "};
    sd_bus *bus = tred_connect(&fixture);
    Changes changes = {false, ""};

    (void)state;
    assert_true(sd_bus_match_signal(bus, NULL, NAME, MANAGER_PATH,
                                    "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                    on_changes, &changes) >= 0);
    tred_file_hide(&fixture, "device.crt");
    assert_int_equal(kill(fixture.tred, SIGHUP), 0);
    assert_signal(bus, &changes.seen);
    assert_non_null(strstr(changes.names, " State "));
    assert_non_null(strstr(changes.names, " StateReason "));
    assert_non_null(strstr(changes.names, " Identity "));
    for (size_t i = 0; i < ELEMENTS(others); i++)
        assert_null(strstr(changes.names, others[i]));

    changes = (Changes){false, ""};
    tred_file_show(&fixture, "device.crt");
    assert_int_equal(kill(fixture.tred, SIGHUP), 0);
    assert_signal(bus, &changes.seen);
    assert_non_null(strstr(changes.names, " Identity "));

    /* Read again, and as before: the answer comes, and no signal before it. */
    changes = (Changes){false, ""};
    assert_true(sd_bus_call_method(bus, NAME, MANAGER_PATH, MANAGER, "Reload", NULL, NULL, NULL) >=
                0);
    while (sd_bus_process(bus, NULL) > 0)
        ;
    assert_false(changes.seen);
    sd_bus_flush_close_unref(bus);
}

/* Last, as the TPM does not come back. */
static void without_a_tpm_it_stays_up_and_says_so(void **state)
{
    sd_bus *bus = tred_connect(&fixture);
    bool changed = false;

    (void)state;
    assert_true(sd_bus_match_signal(bus, NULL, NAME, MANAGER_PATH,
                                    "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                    on_signal, &changed) >= 0);
    assert_int_equal(kill(fixture.swtpm.pid, SIGKILL), 0);
    assert_int_equal(kill(fixture.tred, SIGHUP), 0);
    assert_signal(bus, &changed);
    assert_property(bus, MANAGER_PATH, MANAGER, "State", "tpm-unavailable");
    assert_does_not_begin(bus, ERROR "TpmUnavailable");
    sd_bus_flush_close_unref(bus);
}

static void it_ends_well_on_sigterm(void **state)
{
    (void)state;
    assert_int_equal(tred_stop(&fixture), 0);
}

/* systemd is not to start it again and again, as for what others may mend. */
static void with_a_profile_that_is_none_it_ends_as_wrongly_configured(void **state)
{
    (void)state;
    assert_int_equal(tred_run_with_profile(&fixture, "[profile]\nnonsense = 1\n"), EX_CONFIG);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_live_interfaces_are_those_of_the_xml),
        cmocka_unit_test(the_manager_says_who_this_device_is),
        cmocka_unit_test(another_connection_can_read_an_exchange_but_not_use_it),
        cmocka_unit_test(of_the_calls_of_an_unknown_caller_four_wait_and_each_is_answered),
        cmocka_unit_test(counters_are_answered_to_each_who_asks),
        cmocka_unit_test(calls_out_of_order_and_empty_messages_are_refused_by_name),
        cmocka_unit_test(wrong_types_are_refused_by_the_bus_and_harm_nothing),
        cmocka_unit_test(a_user_holds_as_many_exchanges_as_configured_and_no_more),
        cmocka_unit_test(a_path_is_never_used_again),
        cmocka_unit_test(other_spellings_of_a_path_are_no_exchange),
        cmocka_unit_test(exchanges_go_when_their_caller_leaves_the_bus),
        cmocka_unit_test(a_reload_closes_exchanges_that_have_not_signed),
        cmocka_unit_test(a_missing_file_is_named_and_looked_for_again),
        cmocka_unit_test(what_has_changed_is_announced_and_nothing_else),
        cmocka_unit_test(without_a_tpm_it_stays_up_and_says_so),
        cmocka_unit_test(it_ends_well_on_sigterm),
        cmocka_unit_test(with_a_profile_that_is_none_it_ends_as_wrongly_configured),
    };

    if (argc != 3) {
        (void)fprintf(stderr, "Usage: %s TRED XML-FOLDER\n", argv[0]);
        return 2;
    }
    program = argv[1];
    xml_folder = argv[2];
    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

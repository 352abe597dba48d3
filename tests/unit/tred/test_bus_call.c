/* Which calls are taken, whose are they, and what is read from them and answered? sd-bus is played:
 * the linker puts these functions in the place of its own (ld --wrap). */
#include "bus_message_fixture.h"
#include "tred/bus_call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    bool is_call, expects_reply, is_client;
    const char *member; /* of the exchange's interface */
    const char *sender, *description;
    unsigned read, errors;
    int error; /* what was replied, as errno; 0 with a name */
    char name[64];
} Bench;

static Bench bench;

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member);
int __wrap_sd_bus_message_get_expect_reply(sd_bus_message *call);
sd_bus *__wrap_sd_bus_message_get_bus(sd_bus_message *call);
const char *__wrap_sd_bus_message_get_sender(sd_bus_message *call);
const char *__wrap_sd_bus_message_get_member(sd_bus_message *call);
int __wrap_sd_bus_is_bus_client(sd_bus *bus);
int __wrap_sd_bus_get_description(sd_bus *bus, const char **ret);
int __wrap_sd_bus_message_read_array(sd_bus_message *call, char type, const void **ret,
                                     size_t *ret_size);
int __wrap_sd_bus_message_read_basic(sd_bus_message *call, char type, void *ret);
int __wrap_sd_bus_message_append_basic(sd_bus_message *reply, char type, const void *value);
int __wrap_sd_bus_reply_method_error(sd_bus_message *call, const sd_bus_error *error);
int __wrap_sd_bus_reply_method_errno(sd_bus_message *call, int error, const sd_bus_error *ret);

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member)
{
    (void)call;
    if (!bench.is_call)
        return 0;
    return !member || (bench.member && strcmp(interface, BUS_EXCHANGE_INTERFACE) == 0 &&
                       strcmp(member, bench.member) == 0);
}

int __wrap_sd_bus_message_get_expect_reply(sd_bus_message *call)
{
    (void)call;
    return bench.expects_reply;
}

sd_bus *__wrap_sd_bus_message_get_bus(sd_bus_message *call)
{
    (void)call;
    return NULL;
}

const char *__wrap_sd_bus_message_get_sender(sd_bus_message *call)
{
    (void)call;
    return bench.sender;
}

const char *__wrap_sd_bus_message_get_member(sd_bus_message *call)
{
    (void)call;
    return "Agree";
}

int __wrap_sd_bus_is_bus_client(sd_bus *bus)
{
    (void)bus;
    return bench.is_client;
}

int __wrap_sd_bus_get_description(sd_bus *bus, const char **ret)
{
    (void)bus;
    if (!bench.description)
        return -ENXIO;
    *ret = bench.description;
    return 0;
}

int __wrap_sd_bus_message_read_array(sd_bus_message *call, char type, const void **ret,
                                     size_t *ret_size)
{
    (void)call;
    assert_int_equal(type, 'y');
    bench.read++;
    *ret = "octets";
    *ret_size = 6;
    return bus_message_step();
}

int __wrap_sd_bus_message_read_basic(sd_bus_message *call, char type, void *ret)
{
    (void)call;
    bench.read++;
    if (type == 'u')
        *(uint32_t *)ret = 7;
    if (type == 'q')
        *(uint16_t *)ret = 8;
    return bus_message_step();
}

int __wrap_sd_bus_message_append_basic(sd_bus_message *reply, char type, const void *value)
{
    (void)reply;
    if (type == 't') {
        bus_message_write("%llu ", (unsigned long long)*(const uint64_t *)value);
    } else {
        bus_message_write("%s ", (const char *)value);
    }
    return bus_message_step();
}

int __wrap_sd_bus_reply_method_error(sd_bus_message *call, const sd_bus_error *error)
{
    (void)call;
    bench.errors++;
    (void)snprintf(bench.name, sizeof(bench.name), "%s", error->name);
    return 1;
}

int __wrap_sd_bus_reply_method_errno(sd_bus_message *call, int error, const sd_bus_error *ret)
{
    (void)call, (void)ret;
    bench.errors++;
    bench.error = error;
    return 1;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bus_messages_reset(0);
    return 0;
}

/* Of calls without a reply the bus lets a connection have any number. */
static void a_call_that_wants_no_reply_is_dropped_unless_it_gives_something_back(void **state)
{
    static const struct {
        bool is_call, expects_reply;
        const char *member;
        bool dropped;
    } cases[] = {{true, true, NULL, false},     {true, false, NULL, true},
                 {true, false, "Agree", true},  {true, true, "Agree", false},
                 {true, false, "Close", false}, {true, false, "RemoveChild", false},
                 {false, false, NULL, false}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.is_call = cases[i].is_call;
        bench.expects_reply = cases[i].expects_reply;
        bench.member = cases[i].member;
        assert_int_equal(bus_admit_filter(NULL, NULL, NULL), cases[i].dropped);
    }
}

static void over_a_channel_the_caller_is_whom_it_was_made_for(void **state)
{
    (void)state;
    bench.sender = ":1.1";
    bench.description = ":1.2";
    bench.is_client = true;
    assert_string_equal(call_sender(NULL), ":1.1");
    /* What the message says there is what the caller wrote. */
    bench.is_client = false;
    assert_string_equal(call_sender(NULL), ":1.2");
    bench.description = NULL;
    assert_string_equal(call_sender(NULL), "");
    bench.is_client = true;
    bench.sender = NULL;
    assert_string_equal(call_sender(NULL), "");
}

static void arguments_are_read_in_order_up_to_the_first_that_is_another(void **state)
{
    uint32_t number = 0;
    uint16_t port = 0;
    Bytes octets = {0};

    (void)state;
    assert_int_equal(bus_read(NULL, "uAq", &number, &octets, &port), 0);
    assert_int_equal(number, 7);
    assert_int_equal(octets.size, 6);
    assert_int_equal(port, 8);
    for (unsigned failing = 1; failing <= 3; failing++) {
        bus_messages_reset(failing);
        assert_int_equal(bus_read(NULL, "uAq", &number, &octets, &port), -EIO);
        assert_int_equal(bus_messages.step, failing);
    }
}

static void an_answer_is_whole_or_none(void **state)
{
    const Bytes octets = {(const uint8_t *)"octets", 6};

    (void)state;
    assert_int_equal(bus_reply(NULL, "uotAsb", 5, "/path", (uint64_t)9, octets, "text", true), 0);
    assert_string_equal(bus_messages.text, "5 /path 9 octets text 1 ");
    assert_int_equal(bus_messages.sent, 1);
    assert_int_equal(bus_messages.references, 0);
    const unsigned steps = bus_messages.step;
    for (unsigned failing = 1; failing <= steps; failing++) {
        bus_messages_reset(failing);
        assert_int_equal(bus_reply(NULL, "uotAsb", 5, "/path", (uint64_t)9, octets, "text", true),
                         -EIO);
        assert_int_equal(bus_messages.step, failing);
        assert_int_equal(bus_messages.sent, failing == steps);
        assert_int_equal(bus_messages.references, 0);
    }
}

static void a_late_answer_is_values_or_the_refusal_and_never_both(void **state)
{
    sd_bus_error error = SD_BUS_ERROR_MAKE_CONST("org.example.Refused", "so");

    (void)state;
    bus_answer(NULL, 0, "", "u", 5);
    assert_int_equal(bus_messages.sent, 1);
    assert_int_equal(bench.errors, 0);
    bus_answer(NULL, EXCHANGE_E_MALFORMED, "", "u", 5);
    assert_int_equal(bus_messages.sent, 1);
    assert_int_equal(bench.errors, 1);
    assert_string_equal(bench.name, bus_error_name(EXCHANGE_E_MALFORMED));
    bus_answer(NULL, -ENOMEM, "", "u", 5);
    assert_string_equal(bench.name, SD_BUS_ERROR_NO_MEMORY);
    bus_answer_error(NULL, -ECONNRESET, NULL);
    assert_int_equal(bench.error, -ECONNRESET);
    bus_answer_error(NULL, -ECONNRESET, &error);
    assert_string_equal(bench.name, "org.example.Refused");
    assert_int_equal(bench.errors, 4);
}

static void a_list_is_closed_behind_its_last_item_or_fails(void **state)
{
    const Bytes items[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"two", 3}};
    const BusOctetsList list = {ELEMENTS(items), items};

    (void)state;
    assert_int_equal(bus_append_list(NULL, list), 0);
    assert_string_equal(bus_messages.text, "aay[one two ]");
    assert_int_equal(bus_messages.depth, 0);
    for (unsigned failing = 1; failing <= 4; failing++) {
        bus_messages_reset(failing);
        assert_int_equal(bus_append_list(NULL, list), -EIO);
        assert_int_equal(bus_messages.step, failing);
    }
    bus_messages_reset(0);
    assert_int_equal(bus_append_list(NULL, (BusOctetsList){0}), 0);
    assert_string_equal(bus_messages.text, "aay[]");
    bus_messages_reset(0);
    assert_int_equal(bus_reply(NULL, "LA", list, items[1]), 0);
    assert_string_equal(bus_messages.text, "aay[one two ]two ");
}

static int append(sd_bus_message *reply, const void *object)
{
    (void)reply;
    assert_string_equal(object, "object");
    return 5;
}

static void a_property_is_found_by_its_whole_name(void **state)
{
    static const BusProperty properties[] = {{"State", append}, {"Suite", append}, {NULL, NULL}};

    (void)state;
    assert_int_equal(bus_property_append(properties, "State", NULL, "object"), 5);
    assert_int_equal(bus_property_append(properties, "Suite", NULL, "object"), 5);
    assert_int_equal(bus_property_append(properties, "Stat", NULL, "object"), -ENOENT);
    assert_int_equal(bus_property_append(properties, "", NULL, "object"), -ENOENT);
}

static int get_nothing(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)property, (void)reply, (void)error;
    ++*(unsigned *)userdata;
    return -EIO;
}

/* A value that can't be had counts as changed: here that is each one's. */
static void
of_the_properties_that_announce_changes_so_many_are_looked_at_and_none_more(void **state)
{
    static const sd_bus_vtable rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Changes", "s", get_nothing, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Stays", "s", get_nothing, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_SIGNAL("Told", "s", 0),
        SD_BUS_VTABLE_END,
    };
    sd_bus_vtable vtable[BUS_ANNOUNCED_MAX + 6] = {0};
    char *found[BUS_ANNOUNCED_MAX + 2], canary = 0;
    BusAnnounced announced = {0};
    size_t n = 0;

    (void)state;
    vtable[n++] = rows[0];
    vtable[n++] = rows[2];
    vtable[n++] = rows[3];
    for (size_t i = 0; i <= BUS_ANNOUNCED_MAX; i++) {
        unsigned looked_at = 0;

        vtable[n++] = rows[1];
        vtable[n] = rows[4];
        const size_t expected = i < BUS_ANNOUNCED_MAX ? i + 1 : BUS_ANNOUNCED_MAX;
        found[BUS_ANNOUNCED_MAX + 1] = &canary;
        assert_int_equal(bus_announced_look(&announced, NULL, vtable, &looked_at, found), expected);
        assert_int_equal(looked_at, expected);
        assert_string_equal(found[expected - 1], "Changes");
        assert_null(found[expected]);
        assert_ptr_equal(found[BUS_ANNOUNCED_MAX + 1], &canary);
    }
    bus_announced_deinit(&announced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_call_that_wants_no_reply_is_dropped_unless_it_gives_something_back,
                               bench_init),
        cmocka_unit_test_setup(over_a_channel_the_caller_is_whom_it_was_made_for, bench_init),
        cmocka_unit_test_setup(arguments_are_read_in_order_up_to_the_first_that_is_another,
                               bench_init),
        cmocka_unit_test_setup(an_answer_is_whole_or_none, bench_init),
        cmocka_unit_test_setup(a_late_answer_is_values_or_the_refusal_and_never_both, bench_init),
        cmocka_unit_test_setup(a_list_is_closed_behind_its_last_item_or_fails, bench_init),
        cmocka_unit_test_setup(
            of_the_properties_that_announce_changes_so_many_are_looked_at_and_none_more,
            bench_init),
        cmocka_unit_test_setup(a_property_is_found_by_its_whole_name, bench_init),
    };

    return cmocka_run_group_tests_name("bus call", tests, NULL, NULL);
}

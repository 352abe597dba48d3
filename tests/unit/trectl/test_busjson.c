/* D-Bus values as JSON. The bus is nobody's: messages are made and read here. */
#include "trectl/busjson.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

static sd_bus *bus;
static int peer = -1;

static int setup(void **state)
{
    int ends[2];
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer = ends[1];
    assert_true(sd_bus_new(&bus) >= 0);
    assert_true(sd_bus_set_fd(bus, ends[0], ends[0]) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sd_bus_close_unref(bus);
    (void)close(peer);
    return 0;
}

static sd_bus_message *message_new(void)
{
    sd_bus_message *message = NULL;

    assert_true(sd_bus_message_new_signal(bus, &message, "/", "org.example", "Value") >= 0);
    return message;
}

static void assert_json(sd_bus_message *message, const char *expected)
{
    _cleanup_(json_object_putp) json_object *json = NULL;

    assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
    assert_int_equal(bus_json_read(message, &json), 0);
    assert_string_equal(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN), expected);
    sd_bus_message_unref(message);
}

static void each_basic_type_has_its_json(void **state)
{
    static const struct {
        const char *types;
        uint64_t value;
        const char *json;
    } cases[] = {{"y", 255, "255"},
                 {"b", 1, "true"},
                 {"q", 65535, "65535"},
                 {"u", UINT32_MAX, "4294967295"},
                 {"t", UINT64_MAX, "18446744073709551615"},
                 {"n", (uint16_t)-2, "-2"},
                 {"i", (uint32_t)-3, "-3"},
                 {"x", (uint64_t)-4, "-4"}};
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        sd_bus_message *message = message_new();

        assert_true(sd_bus_message_append(message, cases[i].types, cases[i].value) >= 0);
        assert_json(message, cases[i].json);
    }
    sd_bus_message *text = message_new(), *path = message_new();
    assert_true(sd_bus_message_append(text, "s", "a \"b\"") >= 0);
    assert_json(text, "\"a \\\"b\\\"\"");
    assert_true(sd_bus_message_append(path, "o", "/a") >= 0);
    assert_json(path, "\"\\/a\"");
}

static void properties_are_an_object_by_their_names(void **state)
{
    sd_bus_message *message = message_new();
    (void)state;

    assert_true(sd_bus_message_append(message, "a{sv}", 3, "State", "s", "idle", "Addresses", "as",
                                      2, "a", "b", "Crl", "a(stt)", 1, "CN=x", (uint64_t)1,
                                      (uint64_t)2) >= 0);
    assert_json(message,
                "{\"State\":\"idle\",\"Addresses\":[\"a\",\"b\"],\"Crl\":[[\"CN=x\",1,2]]}");
}

static void octets_are_hexadecimal(void **state)
{
    sd_bus_message *message = message_new(), *none = message_new();
    (void)state;

    assert_true(sd_bus_message_append(message, "ay", 3, 0x00, 0x7f, 0xff) >= 0);
    assert_json(message, "\"007fff\"");
    assert_true(sd_bus_message_append(none, "ay", 0) >= 0);
    assert_json(none, "\"\"");
}

static void what_is_too_deep_and_what_is_not_there_is_refused(void **state)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *deep = message_new(), *empty = message_new();
    json_object *json = NULL;
    (void)state;

    for (size_t i = 0; i < 20; i++)
        assert_true(sd_bus_message_open_container(deep, 'v', i < 19 ? "v" : "s") >= 0);
    assert_true(sd_bus_message_append(deep, "s", "x") >= 0);
    for (size_t i = 0; i < 20; i++)
        assert_true(sd_bus_message_close_container(deep) >= 0);
    assert_true(sd_bus_message_seal(deep, 1, 0) >= 0);
    assert_int_equal(bus_json_read(deep, &json), -EMSGSIZE);
    assert_null(json);
    assert_true(sd_bus_message_seal(empty, 1, 0) >= 0);
    assert_int_equal(bus_json_read(empty, &json), -ENODATA);
    assert_null(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_basic_type_has_its_json),
        cmocka_unit_test(properties_are_an_object_by_their_names),
        cmocka_unit_test(octets_are_hexadecimal),
        cmocka_unit_test(what_is_too_deep_and_what_is_not_there_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

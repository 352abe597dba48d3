/* What does PropertiesChanged say of a connection? */
#include "ikeclient/bus_properties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Stage {
    sd_bus *bus; /* nobody is at its other end */
    BusTold told;
    Flow flow;
    Config config;
    ConnectionInfo info;
} Stage;

static int begin(void **state)
{
    Stage *stage = test_calloc(1, sizeof(*stage));
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    assert_int_equal(sd_bus_new(&stage->bus), 0);
    assert_int_equal(sd_bus_set_fd(stage->bus, sockets[0], sockets[0]), 0);
    assert_true(sd_bus_start(stage->bus) >= 0);
    assert_int_equal(close(sockets[1]), 0);
    stage->info = (ConnectionInfo){
        .state_name = "connecting",
        .flow = &stage->flow,
        .config = &stage->config,
        .last_error = "",
        .sa = {.exchange = "", .identity = "", .segw_identity = "", .suite = "", .interface = ""},
    };
    *state = stage;
    return 0;
}

static int end(void **state)
{
    Stage *stage = *state;

    bus_told_deinit(&stage->told);
    sd_bus_close_unref(stage->bus);
    test_free(stage);
    return 0;
}

/* The body of the PropertiesChanged that there would be now, to be read. */
static sd_bus_message *told(Stage *stage)
{
    sd_bus_message *m = NULL;
    const uint32_t changed = bus_told_update(&stage->told, &stage->info);

    assert_true(sd_bus_message_new_signal(stage->bus, &m, "/", "a.b", "C") >= 0);
    assert_true(bus_properties_append(&stage->info, changed, m) >= 0);
    assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
    assert_true(sd_bus_message_rewind(m, 1) >= 0);
    assert_string_equal(sd_bus_message_get_signature(m, 1), "a{sv}as");
    return m;
}

/* All but Steps, whose name alone is told, and Totals. That the table's types are the interface's
 * is for tests/documents to see, and that each value has its type for sd-bus. */
static void what_was_never_told_is_told_whole(void **state)
{
    sd_bus_message *m = told(*state);
    const char *name;
    int n = 0;

    assert_true(sd_bus_message_enter_container(m, 'a', "{sv}") > 0);
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        assert_true(sd_bus_message_skip(m, "sv") > 0);
        assert_true(sd_bus_message_exit_container(m) >= 0);
        n++;
    }
    assert_int_equal(n, BUS_PROPERTIES - 2);
    assert_true(sd_bus_message_exit_container(m) >= 0);
    assert_true(sd_bus_message_read(m, "as", 1, &name) > 0);
    assert_string_equal(name, "Steps");
    sd_bus_message_unref(m);
}

static void what_has_changed_is_told_and_nothing_else(void **state)
{
    Stage *stage = *state;

    sd_bus_message_unref(told(stage));
    assert_int_equal(bus_told_update(&stage->told, &stage->info), 0);
    stage->info.state_name = "waiting";
    stage->info.next_attempt = 1234567890;
    sd_bus_message *m = told(stage);
    const char *first, *state_name, *second;
    uint64_t next;
    assert_true(
        sd_bus_message_read(m, "a{sv}as", 2, &first, "s", &state_name, &second, "t", &next, 0) > 0);
    assert_string_equal(first, "State");
    assert_string_equal(state_name, "waiting");
    assert_string_equal(second, "NextAttempt");
    assert_int_equal(next, 1234567890);
    sd_bus_message_unref(m);
}

static void the_steps_are_to_be_asked_for(void **state)
{
    Stage *stage = *state;
    const char *name;

    sd_bus_message_unref(told(stage));
    stage->flow.begun++;
    sd_bus_message *m = told(stage);
    assert_true(sd_bus_message_skip(m, "a{sv}") > 0);
    assert_true(sd_bus_message_read(m, "as", 1, &name) > 0);
    assert_string_equal(name, "Steps");
    sd_bus_message_unref(m);
}

#define PROPERTIES_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROPERTIES_TEST(what_was_never_told_is_told_whole),
        PROPERTIES_TEST(what_has_changed_is_told_and_nothing_else),
        PROPERTIES_TEST(the_steps_are_to_be_asked_for),
    };

    return cmocka_run_group_tests_name("bus_properties", tests, NULL, NULL);
}

/* Is an exchange's coming and going told to its owner alone, whole or not at all? */
#include "bus_message_fixture.h"
#include "tred/bus_exchange_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Daemon daemon_played;
static char owner[] = ":1.7";
static Caller caller = {.daemon = &daemon_played, .name = owner};
static CallerExchange held = {.caller = &caller, .number = 5};

int __wrap_bus_exchange_get(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error);

int __wrap_bus_exchange_get(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)reply, (void)error;
    assert_ptr_equal(userdata, &held);
    bus_message_write("=%s ", property);
    return bus_message_step();
}

#define PROPERTY(name, type) "esv[" name " v" type "[=" name " ]]"

static const char *const texts[] = {
    BUS_OBJECTS_PATH " InterfacesRemoved " BUS_EXCHANGES_PATH "/5 " BUS_EXCHANGE_INTERFACE " ",
    BUS_OBJECTS_PATH " InterfacesAdded " BUS_EXCHANGES_PATH "/5 "
                     "a{sa{sv}}[esa{sv}[" BUS_EXCHANGE_INTERFACE " a{sv}[" PROPERTY("State", "s")
                         PROPERTY("SpiI", "t") PROPERTY("SpiR", "t") PROPERTY("Suite", "s")
                             PROPERTY("PeerIdentity", "s") PROPERTY("PeerCertificateExpires", "t")
                                 PROPERTY("Children", "aa{sv}") "]]]"};

static void the_owner_is_told_all_of_it(void **state)
{
    (void)state;
    for (int added = 0; added < 2; added++) {
        bus_messages_reset(0);
        bus_exchange_object_tell(&held, added);
        assert_string_equal(bus_messages.text, texts[added]);
        assert_string_equal(bus_messages.destination, owner);
        assert_int_equal(bus_messages.depth, 0);
        assert_int_equal(bus_messages.sent, 1);
        assert_int_equal(bus_messages.references, 0);
    }
}

static void whatever_step_fails_nothing_is_sent_and_no_other_is_taken(void **state)
{
    (void)state;
    for (int added = 0; added < 2; added++) {
        bus_messages_reset(0);
        bus_exchange_object_tell(&held, added);
        const unsigned steps = bus_messages.step;
        for (unsigned failing = 1; failing <= steps; failing++) {
            bus_messages_reset(failing);
            bus_exchange_object_tell(&held, added);
            assert_int_equal(bus_messages.step, failing);
            assert_int_equal(bus_messages.sent, failing == steps); /* which failed then */
            assert_int_equal(bus_messages.references, 0);
        }
    }
}

static void on_a_bus_that_is_gone_nobody_is_told(void **state)
{
    (void)state;
    bus_messages_reset(0);
    bus_messages.is_closed = true;
    bus_exchange_object_tell(&held, true);
    assert_int_equal(bus_messages.step, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_told_all_of_it),
        cmocka_unit_test(whatever_step_fails_nothing_is_sent_and_no_other_is_taken),
        cmocka_unit_test(on_a_bus_that_is_gone_nobody_is_told),
    };

    return cmocka_run_group_tests_name("bus exchange objects", tests, NULL, NULL);
}

/* Does whoever can't have the bus or the name learn what to do? */
#include "tred/bus_connection.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What the bus answers to what is asked next. */
static int answer;

int __wrap_sd_bus_open_system_with_description(sd_bus **ret, const char *description);
int __wrap_sd_bus_request_name(sd_bus *bus, const char *name, uint64_t flags);

int __wrap_sd_bus_open_system_with_description(sd_bus **ret, const char *description)
{
    (void)ret;
    assert_string_equal(description, "tred");
    return answer;
}

int __wrap_sd_bus_request_name(sd_bus *bus, const char *name, uint64_t flags)
{
    (void)bus;
    assert_string_equal(name, BUS_NAME);
    assert_int_equal(flags, 0); /* neither taken from its owner nor waited for */
    return answer;
}

static void assert_name_is_refused(int with, const char *says)
{
    Reason reason = {0};

    answer = with;
    assert_int_equal(bus_connection_take_name(NULL, &reason), with);
    assert_non_null(strstr(reason.text, says));
}

static void a_bus_that_is_there_and_gives_the_name_is_all_there_is_to_it(void **state)
{
    Reason reason = {0};
    sd_bus *bus = NULL;

    (void)state;
    answer = 1;
    assert_int_equal(bus_connection_open(&bus, &reason), 0);
    assert_int_equal(bus_connection_take_name(NULL, &reason), 0);
    assert_string_equal(reason.text, "");
}

static void a_bus_that_is_not_there_is_to_be_started(void **state)
{
    Reason reason = {0};
    sd_bus *bus = NULL;

    (void)state;
    answer = -ENOENT;
    assert_int_equal(bus_connection_open(&bus, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "systemctl start dbus"));
    assert_non_null(strstr(reason.text, strerror(ENOENT)));
}

static void a_name_that_the_policy_refuses_wants_the_policy(void **state)
{
    (void)state;
    assert_name_is_refused(-EACCES, "org.tred.TrE1.conf");
    assert_name_is_refused(-EPERM, "org.tred.TrE1.conf");
}

static void a_name_that_another_has_is_told_apart(void **state)
{
    (void)state;
    assert_name_is_refused(-EEXIST, "Another process has the bus name");
}

static void any_other_refusal_is_said_as_it_is(void **state)
{
    (void)state;
    assert_name_is_refused(-ENOTCONN, strerror(ENOTCONN));
    assert_name_is_refused(-EIO, strerror(EIO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bus_that_is_there_and_gives_the_name_is_all_there_is_to_it),
        cmocka_unit_test(a_bus_that_is_not_there_is_to_be_started),
        cmocka_unit_test(a_name_that_the_policy_refuses_wants_the_policy),
        cmocka_unit_test(a_name_that_another_has_is_told_apart),
        cmocka_unit_test(any_other_refusal_is_said_as_it_is),
    };

    return cmocka_run_group_tests_name("bus connection", tests, NULL, NULL);
}

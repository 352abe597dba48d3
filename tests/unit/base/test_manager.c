/* What is read of a service manager's environment, and what is told to it. */
#include "base/manager.h"

#include "base/cleanup.h"
#include "tests/unit/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void variable_set_to_pid(const char *name, int offset)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%d", (int)getpid() + offset);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void sockets_for_this_process_are_counted_and_others_are_not(void **state)
{
    (void)state;
    assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
    assert_int_equal(unsetenv("LISTEN_PID"), 0);
    assert_int_equal(manager_listeners(), 0);
    variable_set_to_pid("LISTEN_PID", 1);
    assert_int_equal(manager_listeners(), 0);
    variable_set_to_pid("LISTEN_PID", 0);
    assert_int_equal(manager_listeners(), 1);
    assert_int_equal(setenv("LISTEN_FDS", "1x", 1), 0);
    assert_int_equal(manager_listeners(), 0);
    assert_int_equal(setenv("LISTEN_FDS", "4294967296", 1), 0);
    assert_int_equal(manager_listeners(), 0);
}

static void as_many_sockets_as_there_is_room_for_are_counted_in_plain_decimals(void **state)
{
    static const struct {
        const char *text;
        int count;
    } cases[] = {{"0", 0},  {"01", 1}, {"9", 9},  {"16", 16}, {"17", 0},
                 {" 3", 0}, {"+3", 0}, {"-3", 0}, {"", 0}};

    (void)state;
    variable_set_to_pid("LISTEN_PID", 0);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(setenv("LISTEN_FDS", cases[i].text, 1), 0);
        assert_int_equal(manager_listeners(), cases[i].count);
    }
}

static void a_watchdog_is_for_the_process_that_it_names(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    assert_int_equal(manager_watchdog_usec(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "1000000", 1), 0);
    assert_int_equal(manager_watchdog_usec(), 1000000);
    variable_set_to_pid("WATCHDOG_PID", 1);
    assert_int_equal(manager_watchdog_usec(), 0);
    variable_set_to_pid("WATCHDOG_PID", 0);
    assert_int_equal(manager_watchdog_usec(), 1000000);
}

/* `name` begins with '@' for the abstract namespace, and ends where nothing of the address is left.
 */
static int listener_new(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    return fd;
}

static void a_state_reaches_the_manager_at_its_abstract_address(void **state)
{
    char name[64], heard[64] = "";

    (void)state;
    (void)snprintf(name, sizeof(name), "@tred-test-manager-%d", (int)getpid());
    _cleanup_(close_fdp) int fd = listener_new(name);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    manager_notify("READY=1");
    assert_int_equal(recv(fd, heard, sizeof(heard) - 1, 0), strlen("READY=1"));
    assert_string_equal(heard, "READY=1");
}

/* Does what is told to `told` arrive at `name`? */
static bool arrives(const char *name, const char *told)
{
    char heard[64] = "";
    _cleanup_(close_fdp) int fd = listener_new(name);

    assert_int_equal(setenv("NOTIFY_SOCKET", told, 1), 0);
    manager_notify("READY=1");
    return recv(fd, heard, sizeof(heard) - 1, 0) == (ssize_t)strlen("READY=1");
}

/* What the kernel would take, and sd_notify(3) does not say: one with no room for its zero, or one
 * beside the working folder. */
static void an_address_is_taken_whole_and_absolute_or_not_at_all(void **state)
{
    char longest[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    char folder[TEMPORARY_PATH_SIZE];
    const char shortest[] = {'@', (char)('A' + getpid() % 26), '\0'};

    (void)state;
    (void)snprintf(longest, sizeof(longest), "@%0*d", (int)sizeof(longest) - 2, (int)getpid());
    assert_false(arrives(longest, longest));
    longest[sizeof(longest) - 2] = '\0';
    assert_true(arrives(longest, longest));
    assert_true(arrives(shortest, shortest));
    temporary_path("test_manager", folder);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_false(arrives("relative", "relative"));
    assert_int_equal(unlink("relative"), 0);
    (void)strncat(folder, "/n", sizeof(folder) - strlen(folder) - 1);
    assert_true(arrives(folder, folder));
    assert_int_equal(unlink(folder), 0);
    folder[strlen(folder) - strlen("/n")] = '\0';
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void without_an_address_nothing_is_told(void **state)
{
    static const char *const addresses[] = {"", "@", "relative", "/nonexistent/socket"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(addresses); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", addresses[i], 1), 0);
        manager_notify("READY=1");
    }
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    manager_notify("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_for_this_process_are_counted_and_others_are_not),
        cmocka_unit_test(as_many_sockets_as_there_is_room_for_are_counted_in_plain_decimals),
        cmocka_unit_test(an_address_is_taken_whole_and_absolute_or_not_at_all),
        cmocka_unit_test(a_watchdog_is_for_the_process_that_it_names),
        cmocka_unit_test(a_state_reaches_the_manager_at_its_abstract_address),
        cmocka_unit_test(without_an_address_nothing_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

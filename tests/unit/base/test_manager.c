/* What is read of a service manager's environment, and what is told to it. */
#include "base/manager.h"

#include "base/cleanup.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <fcntl.h>
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

static int working_folder = -1;

static int surroundings_keep(void **state)
{
    (void)state;
    working_folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return working_folder < 0 ? -1 : 0;
}

static int surroundings_restore(void **state)
{
    (void)state;
    const int r = fchdir(working_folder);
    close_fdp(&working_folder);
    return unsetenv("NOTIFY_SOCKET") < 0 ? -1 : r;
}

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

static int socket_new(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    return fd;
}

/* bind(2). `name` begins with '@' for the abstract namespace, and ends where nothing of the address
 * is left. */
static int socket_bind(int fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    return bind(fd, (const struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
}

static int listener_new(const char *name)
{
    int fd = socket_new();

    assert_int_equal(socket_bind(fd, name), 0);
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

/* Does what is told to `name` arrive at `fd`, which has that address? */
static bool arrives_at(int fd, const char *name)
{
    char heard[64] = "";

    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    manager_notify("READY=1");
    return recv(fd, heard, sizeof(heard) - 1, 0) == (ssize_t)strlen("READY=1");
}

static bool arrives(const char *name)
{
    _cleanup_(close_fdp) int fd = listener_new(name);

    return arrives_at(fd, name);
}

/* Whoever runs beside this test may have an address as short: the first that is free. */
static int shortest_listener_new(char name[3])
{
    int fd = socket_new();

    memcpy(name, "@A", sizeof("@A"));
    while (socket_bind(fd, name) < 0) {
        assert_int_equal(errno, EADDRINUSE);
        assert_true(++name[1] <= '~');
    }
    return fd;
}

/* What the kernel would take, and sd_notify(3) does not say: one with no room for its zero, or one
 * beside the working folder. */
static void an_address_is_taken_whole_and_absolute_or_not_at_all(void **state)
{
    char longest[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    char folder[TEMPORARY_PATH_SIZE], shortest[3];

    (void)state;
    (void)snprintf(longest, sizeof(longest), "@%-*d", (int)sizeof(longest) - 2, (int)getpid());
    assert_false(arrives(longest));
    longest[sizeof(longest) - 2] = '\0';
    assert_true(arrives(longest));
    _cleanup_(close_fdp) int fd = shortest_listener_new(shortest);
    assert_true(arrives_at(fd, shortest));
    temporary_path("test_manager", folder);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_false(arrives("relative"));
    assert_int_equal(unlink("relative"), 0);
    (void)strncat(folder, "/n", sizeof(folder) - strlen(folder) - 1);
    assert_true(arrives(folder));
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

#define TELLING(test) cmocka_unit_test_setup_teardown(test, surroundings_keep, surroundings_restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_for_this_process_are_counted_and_others_are_not),
        cmocka_unit_test(as_many_sockets_as_there_is_room_for_are_counted_in_plain_decimals),
        TELLING(an_address_is_taken_whole_and_absolute_or_not_at_all),
        cmocka_unit_test(a_watchdog_is_for_the_process_that_it_names),
        TELLING(a_state_reaches_the_manager_at_its_abstract_address),
        TELLING(without_an_address_nothing_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What does tred-net itself do: which arguments does it take, whom does it serve, how does it end?
 * It is given no order, so that it touches no network. */
#include "base/cleanup.h"
#include "base/local.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/local_serve.h"
#include "tests/unit/program.h"

enum { NOBODY = 65534, WORDS_MAX = 8 };

static const char *program;
static char folder[TEMPORARY_PATH_SIZE], path[TEMPORARY_PATH_SIZE + sizeof("/socket")];

/* The program, and the words after it. */
typedef struct Command {
    const char *words[WORDS_MAX];
} Command;

#define COMMAND(...) ((Command){{program, __VA_ARGS__, NULL}})

static int status_of(Command command)
{
    return program_status(program_start(command.words, -1));
}

static int folder_make(void **state)
{
    (void)state;
    temporary_path("tred-net", folder);
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    return 0;
}

/* It takes its socket away itself. */
static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Once it listens; the test's own time limit ends the wait for one that never does. */
static int connection_to_it(void)
{
    int fd = -1;

    while (local_connect(path, &fd) < 0)
        (void)usleep(1000);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0); /* to be waited for */
    return fd;
}

/* It keeps CAP_NET_ADMIN, and locks memory. */
static void skip_without_root(void)
{
    if (geteuid() != 0)
        skip(); /* serving takes root */
}

static void what_is_no_argument_of_its_own_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of(COMMAND("more")), EX_USAGE);
    assert_int_equal(status_of(COMMAND("--colour")), EX_USAGE);
    assert_int_equal(status_of(COMMAND("--socket")), EX_USAGE);
    assert_int_equal(status_of(COMMAND("--user")), EX_USAGE);
}

/* Where it is taken, the next is that there is no socket. */
static void the_seconds_after_which_protection_ends_are_a_number_within_an_hour(void **state)
{
    static const char *const taken[] = {"0", "30", "3600", "0030"};
    static const char *const refused[] = {
        "", "-1", "+1", " 1", "1 ", "1s", "0x10", "3601", "4294967296", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(taken); i++)
        assert_int_equal(status_of(COMMAND("--unprotect-after", taken[i])), EX_CONFIG);
    for (size_t i = 0; i < ELEMENTS(refused); i++)
        assert_int_equal(status_of(COMMAND("--unprotect-after", refused[i])), EX_USAGE);
}

static void without_a_socket_or_its_user_it_serves_nobody(void **state)
{
    (void)state;
    assert_int_equal(status_of(COMMAND("--user", "root")), EX_CONFIG);
    assert_int_equal(status_of(COMMAND("--socket", path, "--user", "there-is-none")), EX_CONFIG);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(status_of(COMMAND("--socket", "/dev/null/socket", "--user", "root")),
                     EX_OSERR);
}

static void
a_connection_that_is_handed_over_is_served_to_its_end_if_its_own_user_made_it(void **state)
{
    const Command connected = COMMAND("--connected");
    static const char no_order[] = "no order";

    (void)state;
    skip_without_root();
    assert_int_equal(status_after(connected.words, NULL, 0), EX_OK);
    assert_int_equal(status_after(connected.words, no_order, sizeof(no_order)), EX_OK);
    /* Whoever makes a pair is at both of its ends. */
    assert_int_equal(seteuid(NOBODY), 0);
    int ends[2];
    channel_make(ends);
    assert_int_equal(seteuid(0), 0);
    const pid_t pid = program_start(connected.words, ends[1]);
    (void)close(ends[1]);
    assert_int_equal(program_status(pid), EX_NOPERM);
    (void)close(ends[0]);
}

static void a_connection_that_is_none_is_not_served(void **state)
{
    const Command connected = COMMAND("--connected");

    (void)state;
    skip_without_root();
    assert_int_equal(status_with_pipe(connected.words), EX_NOPERM);
}

/* The status of one that has lived for as long as `look` took. */
static int status_beside(const char *user, void (*look)(void))
{
    const Command command = COMMAND("--socket", path, "--user", user);
    const pid_t pid = program_start(command.words, -1);

    look();
    assert_int_equal(kill(pid, SIGTERM), 0);
    return program_status(pid);
}

static void nothing_is_heard_on_a_connection(void)
{
    _cleanup_(close_fdp) int fd = connection_to_it();
    uint8_t octet;

    assert_int_equal(recv(fd, &octet, sizeof(octet), 0), 0);
}

static void another_user_is_not_served_and_the_next_who_comes_is_asked_again(void **state)
{
    (void)state;
    skip_without_root();
    void (*const look)(void) = nothing_is_heard_on_a_connection;
    assert_int_equal(status_beside("nobody", look), EX_OK);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_is_no_order_ends_the_connection_alone(void)
{
    for (int i = 0; i < 2; i++) {
        _cleanup_(close_fdp) int fd = connection_to_it();
        uint8_t octet = 0xff;

        assert_int_equal(send(fd, &octet, sizeof(octet), MSG_NOSIGNAL), sizeof(octet));
        assert_int_equal(recv(fd, &octet, sizeof(octet), 0), 0);
    }
}

static void its_own_user_is_served_again_after_what_is_no_order(void **state)
{
    (void)state;
    skip_without_root();
    assert_int_equal(status_beside("root", what_is_no_order_ends_the_connection_alone), EX_OK);
    assert_int_equal(access(path, F_OK), -1);
}

/* At one that never accepts: whoever comes next waits in connect() until it is closed. */
static int listener_that_is_full(void)
{
    int fd = -1, came = -1;

    assert_int_equal(local_listen(path, &fd), 0);
    assert_int_equal(listen(fd, 0), 0);
    while (local_connect(path, &came) == 0)
        (void)close(came);
    return fd;
}

/* Whether it does so as tred-net: between fork() and exec() a C library may block all of them. */
static bool blocks(pid_t pid, int signal)
{
    char name[sizeof("/proc/2147483647/status")], line[256];
    unsigned long long blocked = 0;
    bool is_tred_net = false;

    (void)snprintf(name, sizeof(name), "/proc/%d/status", pid);
    FILE *status = fopen(name, "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status)) {
        is_tred_net = is_tred_net || strcmp(line, "Name:\ttred-net\n") == 0;
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16);
    }
    (void)fclose(status);
    return is_tred_net && (blocked >> (signal - 1) & 1);
}

/* However early it is ended then. The test's own time limit ends the wait for one that does not
 * care. */
static void before_it_makes_its_socket_it_cares_for_taking_it_away(void **state)
{
    (void)state;
    skip_without_root();
    const Command command = COMMAND("--socket", path, "--user", "root");
    const int listener = listener_that_is_full();
    const pid_t pid = program_start(command.words, -1);

    while (!blocks(pid, SIGTERM))
        (void)usleep(1000);
    assert_int_equal(kill(pid, SIGTERM), 0);
    (void)close(listener);
    assert_int_equal(program_status(pid), EX_OK);
    assert_int_equal(access(path, F_OK), -1);
}

static int second_status;

static void a_second_is_begun(void)
{
    (void)close(connection_to_it()); /* it listens */
    second_status = status_of(COMMAND("--socket", path, "--user", "root"));
    assert_int_equal(access(path, F_OK), 0);
}

static void a_second_at_the_same_socket_is_refused_and_leaves_it_where_it_is(void **state)
{
    (void)state;
    skip_without_root();
    assert_int_equal(status_beside("root", a_second_is_begun), EX_OK);
    assert_int_equal(second_status, EX_UNAVAILABLE);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_argument_of_its_own_is_refused),
        cmocka_unit_test(the_seconds_after_which_protection_ends_are_a_number_within_an_hour),
        IN_FOLDER(without_a_socket_or_its_user_it_serves_nobody),
        cmocka_unit_test(
            a_connection_that_is_handed_over_is_served_to_its_end_if_its_own_user_made_it),
        cmocka_unit_test(a_connection_that_is_none_is_not_served),
        IN_FOLDER(another_user_is_not_served_and_the_next_who_comes_is_asked_again),
        IN_FOLDER(its_own_user_is_served_again_after_what_is_no_order),
        IN_FOLDER(before_it_makes_its_socket_it_cares_for_taking_it_away),
        IN_FOLDER(a_second_at_the_same_socket_is_refused_and_leaves_it_where_it_is),
    };

    if (argc != 2)
        return 1;
    program = argv[1];
    return cmocka_run_group_tests_name("tred-net", tests, NULL, NULL);
}

/* What does tred-net itself do: which arguments does it take, whom does it serve, how does it end?
 * No order here opens a plane; and where it is to take rules away, it is in a network of its own.
 */
#include "base/cleanup.h"
#include "base/helper.h"
#include "base/local.h"
#include "dataplane/order.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/local_serve.h"
#include "tests/unit/program.h"

enum { NOBODY = 65534, WORDS_MAX = 8, NOTICE_SIZE = 64 };

static const char *program;
static char folder[TEMPORARY_PATH_SIZE], path[TEMPORARY_PATH_SIZE + sizeof("/socket")];

/* The program, and the words after it. */
typedef struct Command {
    const char *words[WORDS_MAX];
} Command;

#define COMMAND(...) ((Command){{program, __VA_ARGS__, NULL}})
/* In a network of its own, where it may take rules away. */
#define COMMAND_IN_NETWORK(...) ((Command){{UNSHARE_NET, program, __VA_ARGS__, NULL}})
#define UNSHARE_NET "/usr/bin/unshare", "--net"

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

static void skip_without_network(void)
{
    const Command nothing = {{UNSHARE_NET, "/bin/true", NULL}};

    if (status_of(nothing) != EX_OK)
        skip(); /* no network of its own can be made here */
}

static void give(int channel, OrderType type, uint32_t number)
{
    static uint8_t frame[ORDER_SIZE_MAX];
    const Order order = {.type = type, .number = number};
    Writer writer;
    Bytes message;

    writer_init(&writer, frame, sizeof(frame));
    order_encode(&writer, &order);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(channel, message, -1), 0);
}

static void assert_answered(int channel, OrderType type, uint32_t number, int error)
{
    static uint8_t frame[ORDER_SIZE_MAX];
    Report report;
    int fd = -1;

    const int size = helper_receive(channel, frame, sizeof(frame), &fd);
    assert_true(size > 0);
    assert_int_equal(fd, -1);
    assert_int_equal(report_decode((Bytes){frame, (size_t)size}, &report), 0);
    assert_int_equal(report.answer.type, type);
    assert_int_equal(report.answer.number, number);
    assert_int_equal(report.answer.error, error);
}

/* One that needs no plane, and one that does. */
static void assert_served(int channel)
{
    give(channel, ORDER_PROTECTION_COUNTERS, 7);
    give(channel, ORDER_SA_COUNTERS, 8);
    assert_answered(channel, ORDER_PROTECTION_COUNTERS, 7, 0);
    assert_answered(channel, ORDER_SA_COUNTERS, 8, -ENOTCONN);
}

static void stop(pid_t pid)
{
    int status = 0;

    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
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

static void orders_are_answered_in_turn_and_those_that_fail_among_them(void **state)
{
    const Command connected = COMMAND("--connected");

    (void)state;
    skip_without_root();
    const Running running = running_begin(connected.words);
    assert_served(running.channel);
    assert_served(running.channel);
    assert_int_equal(running_end(&running), EX_OK);
}

static void it_has_one_right_locked_memory_and_few_system_calls(void **state)
{
    const Command connected = COMMAND("--connected");

    (void)state;
    skip_without_root();
    if (program_has_sanitizer())
        skip(); /* with a sanitizer all system calls are left */
    const Running running = running_begin(connected.words);
    assert_served(running.channel);
    assert_int_equal(program_field(running.pid, "CapPrm:"), CAP_TO_MASK(CAP_NET_ADMIN));
    assert_int_equal(program_field(running.pid, "NoNewPrivs:"), 1);
    assert_int_equal(program_field(running.pid, "Seccomp:"), SECCOMP_MODE_FILTER);
    assert_int_not_equal(program_field(running.pid, "VmLck:"), 0);
    assert_int_equal(running_end(&running), EX_OK);
}

/* It waits for no order then. */
static void it_ends_well_when_it_is_told_to_however_quiet_its_connection_is(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    const Command connected = COMMAND("--connected");

    (void)state;
    skip_without_root();
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        const Running running = running_begin(connected.words);
        assert_served(running.channel);
        assert_int_equal(kill(running.pid, signals[i]), 0);
        assert_int_equal(program_status(running.pid), EX_OK);
        (void)close(running.channel);
    }
}

/* As systemd starts it, by the socket. */
static void a_socket_that_is_handed_over_is_listened_at(void **state)
{
    const Command command = {{"/bin/sh", "-c",
                              "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --user root", program,
                              NULL}};
    int listener = -1;

    (void)state;
    skip_without_root();
    assert_int_equal(local_listen(path, &listener), 0);
    const pid_t pid = program_start(command.words, listener);
    (void)close(listener);
    for (unsigned i = 0; i < 2; i++) {
        _cleanup_(close_fdp) int fd = connection_to_it();
        assert_served(fd);
    }
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(program_status(pid), EX_OK);
    assert_int_equal(unlink(path), 0); /* it is not its own */
}

/* Until it has closed its end. */
static void leave(int *fd)
{
    uint8_t octet;

    assert_int_equal(shutdown(*fd, SHUT_WR), 0);
    assert_int_equal(recv(*fd, &octet, sizeof(octet), 0), 0);
    (void)close(*fd);
    *fd = -1;
}

/* Whoever is connected, and whoever has just come. */
static void what_was_ordered_before_its_end_is_carried_out(void **state)
{
    const Command command = COMMAND("--socket", path, "--user", "root");

    (void)state;
    skip_without_root();
    for (unsigned connected = 0; connected < 2; connected++) {
        const pid_t pid = program_start(command.words, -1);
        _cleanup_(close_fdp) int fd = connection_to_it();
        assert_served(fd);
        if (!connected)
            leave(&fd);
        stop(pid);
        if (!connected)
            fd = connection_to_it();
        for (uint32_t number = 1; number <= 3; number++)
            give(fd, ORDER_SA_COUNTERS, number);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(kill(pid, SIGCONT), 0);
        for (uint32_t number = 1; number <= 3; number++)
            assert_answered(fd, ORDER_SA_COUNTERS, number, -ENOTCONN);
        assert_int_equal(program_status(pid), EX_OK);
    }
}

/* tred leaves as it likes: nobody need look after that. */
static void whoever_leaves_before_the_answer_is_no_error(void **state)
{
    const Command command = {{"/bin/sh", "-c",
                              "exec \"$0\" --socket \"$1\" --user root 2>\"$1.log\"", program, path,
                              NULL}};
    char log[sizeof(path) + sizeof(".log")], text[1024] = "";

    (void)state;
    skip_without_root();
    (void)snprintf(log, sizeof(log), "%s.log", path);
    const pid_t pid = program_start(command.words, -1);
    int fd = connection_to_it();
    assert_served(fd);
    stop(pid);
    give(fd, ORDER_SA_COUNTERS, 1);
    (void)close(fd);
    assert_int_equal(kill(pid, SIGCONT), 0);
    fd = connection_to_it();
    assert_served(fd);
    (void)close(fd);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(program_status(pid), EX_OK);
    FILE *file = fopen(log, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) < sizeof(text));
    (void)fclose(file);
    assert_null(strstr(text, "closed"));
    assert_int_equal(unlink(log), 0);
}

static void notice_receive(int notices, char notice[NOTICE_SIZE])
{
    const ssize_t size = recv(notices, notice, NOTICE_SIZE - 1, 0);

    assert_true(size > 0);
    notice[size] = 0;
}

static void await_notice(int notices, const char *wanted)
{
    char notice[NOTICE_SIZE] = "";

    while (strcmp(notice, wanted) != 0)
        notice_receive(notices, notice);
}

/* Where what it starts finds systemd. */
static int notices_open(struct sockaddr_un *address)
{
    const int notices = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "%s/notify", folder);
    assert_int_equal(bind(notices, (const struct sockaddr *)address, sizeof(*address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address->sun_path, 1), 0);
    return notices;
}

static void systemd_hears_nothing_between_where_it_waits_for_no_sign_of_life(void **state)
{
    const Command command = COMMAND("--connected");
    struct sockaddr_un address;
    char notice[NOTICE_SIZE] = "";

    (void)state;
    skip_without_root();
    _cleanup_(close_fdp) int notices = notices_open(&address);
    const Running running = running_begin(command.words);
    (void)unsetenv("NOTIFY_SOCKET");
    assert_served(running.channel);
    assert_served(running.channel);
    assert_int_equal(running_end(&running), EX_OK);
    notice_receive(notices, notice);
    assert_string_equal(notice, "READY=1");
    notice_receive(notices, notice);
    assert_string_equal(notice, "STOPPING=1");
    assert_int_equal(unlink(address.sun_path), 0);
}

/* However often, and whether or not there are rules to be taken away in an hour; the test's own
 * time limit ends the wait for a sign that never comes. */
static void systemd_hears_again_and_again_that_it_is_alive(void **state)
{
    enum { SIGNS = 5 };
    const Command command = COMMAND_IN_NETWORK("--connected", "--unprotect-after", "3600");
    struct sockaddr_un address;

    (void)state;
    skip_without_root();
    skip_without_network();
    _cleanup_(close_fdp) int notices = notices_open(&address);
    assert_int_equal(setenv("WATCHDOG_USEC", "100000", 1), 0);
    const Running running = running_begin(command.words);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    await_notice(notices, "READY=1");
    for (unsigned i = 0; i < SIGNS; i++)
        await_notice(notices, "WATCHDOG=1");
    give(running.channel, ORDER_UNPROTECT, 1);
    assert_answered(running.channel, ORDER_UNPROTECT, 1, 0);
    for (unsigned i = 0; i < SIGNS; i++)
        await_notice(notices, "WATCHDOG=1");
    assert_served(running.channel);
    (void)running_end(&running);
    await_notice(notices, "STOPPING=1");
    assert_int_equal(unlink(address.sun_path), 0);
}

static void rules_can_be_taken_away_where_there_are_none(void **state)
{
    (void)state;
    skip_without_root();
    skip_without_network();
    assert_int_equal(status_of(COMMAND_IN_NETWORK("--unprotect")), EX_OK);
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
        cmocka_unit_test(orders_are_answered_in_turn_and_those_that_fail_among_them),
        cmocka_unit_test(it_has_one_right_locked_memory_and_few_system_calls),
        cmocka_unit_test(it_ends_well_when_it_is_told_to_however_quiet_its_connection_is),
        IN_FOLDER(a_socket_that_is_handed_over_is_listened_at),
        IN_FOLDER(what_was_ordered_before_its_end_is_carried_out),
        IN_FOLDER(whoever_leaves_before_the_answer_is_no_error),
        IN_FOLDER(systemd_hears_nothing_between_where_it_waits_for_no_sign_of_life),
        IN_FOLDER(another_user_is_not_served_and_the_next_who_comes_is_asked_again),
        IN_FOLDER(its_own_user_is_served_again_after_what_is_no_order),
        IN_FOLDER(before_it_makes_its_socket_it_cares_for_taking_it_away),
        IN_FOLDER(a_second_at_the_same_socket_is_refused_and_leaves_it_where_it_is),
        IN_FOLDER(systemd_hears_again_and_again_that_it_is_alive),
        cmocka_unit_test(rules_can_be_taken_away_where_there_are_none),
    };

    if (argc != 2)
        return 1;
    program = argv[1];
    return cmocka_run_group_tests_name("tred-net", tests, NULL, NULL);
}

/* What does tred-tpm itself do: whom does it serve, what must come first, and how does it end? No
 * request here reaches a TPM. */
#include "base/cleanup.h"
#include "base/helper.h"
#include "device/frames.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/program.h"

enum { NOBODY = 65534 };

static const char *program;

/* Descriptor 3 is a connection of this user's. */
static const char *connected[] = {NULL, "--connected", "--user", NULL, NULL};

static void send_request(const Running *running, DeviceRequestType type, uint32_t number)
{
    static uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    const DeviceRequest request = {.type = type, .number = number};
    Writer writer;
    Bytes message;

    writer_init(&writer, frame, sizeof(frame));
    device_request_encode(&writer, &request);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(running->channel, message, -1), 0);
}

static void assert_alive(const Running *running, uint32_t number)
{
    static uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    static DeviceAnswer answer;
    int fd = -1;

    send_request(running, DEVICE_PING, number);
    const int size = helper_receive(running->channel, frame, sizeof(frame), &fd);
    assert_true(size > 0);
    assert_int_equal(device_answer_decode((Bytes){frame, (size_t)size}, &answer), 0);
    assert_int_equal(answer.type, DEVICE_ALIVE);
    assert_int_equal(answer.number, number);
}

static Running begin_configured(void)
{
    const Running running = running_begin(connected);

    send_request(&running, DEVICE_CONFIGURE, 0);
    assert_alive(&running, 1);
    return running;
}

static int status_of(const char *word, const char *value)
{
    const char *const words[] = {program, word, value, NULL};

    return program_status(program_start(words, -1));
}

static void it_begins_with_nothing_that_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(status_of("more", NULL), EX_USAGE);
    assert_int_equal(status_of("--user", NULL), EX_USAGE);
    assert_int_equal(status_of("--user", "there-is-none"), EX_CONFIG);
    assert_int_equal(status_of("--user", "root"), EX_CONFIG); /* there is no socket */
}

static void a_connection_of_another_user_or_none_at_all_is_not_served(void **state)
{
    const char *const of_nobody[] = {program, "--connected", "--user", "nobody", NULL};
    const char *const of_no_user[] = {program, "--connected", "--user", "there-is-none", NULL};

    (void)state;
    if (getuid() != NOBODY)
        assert_int_equal(status_after(of_nobody, NULL, 0), EX_NOPERM);
    assert_int_equal(status_with_pipe(connected), EX_NOPERM);
    assert_int_equal(status_after(of_no_user, NULL, 0), EX_CONFIG);
}

/* As systemd starts it: with a socket to listen on, at the descriptor that channels have, too. */
static int listener_new(struct sockaddr_un *ret, socklen_t *ret_size)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    /* The kernel chooses a name in the abstract namespace. */
    assert_int_equal(bind(listener, (const struct sockaddr *)&any, sizeof(any.sun_family)), 0);
    assert_int_equal(listen(listener, 1), 0);
    *ret_size = sizeof(*ret);
    assert_int_equal(getsockname(listener, (struct sockaddr *)ret, ret_size), 0);
    return listener;
}

#define BY_SOCKET "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --user \"$1\""

static void who_connects_to_the_socket_is_served(void **state)
{
    const char *const words[] = {"/bin/sh", "-c", BY_SOCKET, program, connected[3], NULL};
    struct sockaddr_un address;
    socklen_t size = 0;
    _cleanup_(close_fdp) int listener = listener_new(&address, &size);
    const int channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(connect(channel, (const struct sockaddr *)&address, size), 0);
    const Running running = {program_start(words, listener), channel};
    send_request(&running, DEVICE_CONFIGURE, 0);
    assert_alive(&running, 1);
    assert_int_equal(running_end(&running), EX_OK);
}

static void what_is_no_socket_to_listen_on_is_a_wrong_configuration(void **state)
{
    const char *const words[] = {"/bin/sh", "-c", BY_SOCKET, program, connected[3], NULL};
    _cleanup_(close_fdp) int unconnected = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(program_status(program_start(words, unconnected)), EX_CONFIG);
}

/* A load at its end would be a second one at a time. */
static void what_was_asked_last_is_not_done_again_when_tred_ends(void **state)
{
    static uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    const DeviceRequest load = {.type = DEVICE_LOAD, .number = 2, .pause_ms = 60000};
    const Running running = begin_configured();
    Writer writer;
    Bytes message;

    (void)state;
    writer_init(&writer, frame, sizeof(frame));
    device_request_encode(&writer, &load);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(running.channel, message, -1), 0);
    assert_int_equal(running_end(&running), EX_OK);
}

/* The connection that woke it is another user's. */
static void nobody_to_serve_is_no_error_and_nothing_is_read_of_a_stranger(void **state)
{
    const char *const words[] = {"/bin/sh", "-c", BY_SOCKET, program, "nobody", NULL};
    struct sockaddr_un address;
    socklen_t size = 0;
    _cleanup_(close_fdp) int listener = listener_new(&address, &size);
    _cleanup_(close_fdp) int stranger = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    if (getuid() == NOBODY)
        skip();
    assert_int_equal(connect(stranger, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(program_status(program_start(words, listener)), EX_OK);
}

static void it_ends_well_whenever_tred_has_closed_its_end(void **state)
{
    (void)state;
    assert_int_equal(status_after(connected, NULL, 0), EX_OK);

    const Running running = begin_configured();
    assert_int_equal(running_end(&running), EX_OK);
}

static void what_comes_first_says_where_everything_is(void **state)
{
    (void)state;
    for (DeviceRequestType type = DEVICE_LOAD; type < DEVICE_REQUEST_TYPES; type++) {
        if (type == DEVICE_CONFIGURE)
            continue;
        const Running running = running_begin(connected);
        send_request(&running, type, 1);
        assert_int_equal(running_end(&running), EX_PROTOCOL);
    }
    assert_int_equal(status_after(connected, "no request", strlen("no request")), EX_PROTOCOL);
}

static void where_everything_is_is_said_once(void **state)
{
    (void)state;
    const Running running = begin_configured();
    send_request(&running, DEVICE_CONFIGURE, 2);
    assert_ends_unanswered(&running, EX_PROTOCOL);
}

static void it_says_each_time_that_it_is_alive(void **state)
{
    (void)state;
    const Running running = begin_configured();

    for (uint32_t number = 2; number < 20; number++)
        assert_alive(&running, number);
    assert_int_equal(running_end(&running), EX_OK);
}

static void what_is_no_request_ends_it_without_an_answer(void **state)
{
    const uint8_t octet = 0xff;

    (void)state;
    const Running running = begin_configured();
    assert_int_equal(send(running.channel, &octet, sizeof(octet), 0), sizeof(octet));
    assert_ends_unanswered(&running, EX_PROTOCOL);
}

static void it_ends_well_when_it_is_told_to(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        const Running running = begin_configured();

        assert_int_equal(kill(running.pid, signals[i]), 0);
        assert_int_equal(program_status(running.pid), EX_OK);
        (void)close(running.channel);
    }
}

/* However often; the test's own time limit ends the wait for a sign that never comes. */
static void systemd_hears_that_it_is_alive(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_(close_fdp) int notices = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char folder[TEMPORARY_PATH_SIZE], notice[256] = "";

    (void)state;
    temporary_path("tred-tpm", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", folder);
    assert_int_equal(bind(notices, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "100000", 1), 0);
    const Running running = begin_configured();
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    while (strcmp(notice, "WATCHDOG=1") != 0) {
        const ssize_t size = recv(notices, notice, sizeof(notice) - 1, 0);

        assert_true(size > 0);
        notice[size] = 0;
    }
    assert_int_equal(running_end(&running), EX_OK);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_nothing_that_is_wrong),
        cmocka_unit_test(a_connection_of_another_user_or_none_at_all_is_not_served),
        cmocka_unit_test(nobody_to_serve_is_no_error_and_nothing_is_read_of_a_stranger),
        cmocka_unit_test(who_connects_to_the_socket_is_served),
        cmocka_unit_test(what_is_no_socket_to_listen_on_is_a_wrong_configuration),
        cmocka_unit_test(what_was_asked_last_is_not_done_again_when_tred_ends),
        cmocka_unit_test(it_ends_well_whenever_tred_has_closed_its_end),
        cmocka_unit_test(what_comes_first_says_where_everything_is),
        cmocka_unit_test(where_everything_is_is_said_once),
        cmocka_unit_test(it_says_each_time_that_it_is_alive),
        cmocka_unit_test(what_is_no_request_ends_it_without_an_answer),
        cmocka_unit_test(it_ends_well_when_it_is_told_to),
        cmocka_unit_test(systemd_hears_that_it_is_alive),
    };
    const struct passwd *user = getpwuid(getuid());

    if (argc != 2 || !user)
        return 1;
    program = connected[0] = argv[1];
    connected[3] = user->pw_name;
    return cmocka_run_group_tests_name("tred-tpm", tests, NULL, NULL);
}

/* What does a helper process get, and do messages with descriptors cross whole? */
#include "base/helper.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void ends_make(int *ret)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret), 0);
}

static void a_message_crosses_with_its_descriptor(void **state)
{
    _cleanup_(close_fdp) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    _cleanup_(close_fdp) int fd = -1;
    uint8_t buffer[8];
    int ends[2];

    (void)state;
    ends_make(ends);
    assert_int_equal(helper_send(ends[0], (Bytes){(const uint8_t *)"abc", 3}, null), 0);
    assert_int_equal(helper_receive(ends[1], buffer, sizeof(buffer), &fd), 3);
    assert_memory_equal(buffer, "abc", 3);
    assert_true(fd > 2 && fd != null);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_message_larger_than_the_buffer_is_refused_and_its_descriptor_closed(void **state)
{
    _cleanup_(close_fdp) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int ends[2], fd = -1, next;
    uint8_t buffer[2];

    (void)state;
    ends_make(ends);
    assert_int_equal(helper_send(ends[0], (Bytes){(const uint8_t *)"abc", 3}, null), 0);
    assert_int_equal(helper_receive(ends[1], buffer, sizeof(buffer), &fd), -EMSGSIZE);
    assert_int_equal(fd, -1);
    next = dup(null);
    assert_true(next >= 0 && next <= ends[1] + 1); /* no number in between is taken */
    (void)close(next);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static size_t descriptors_open(void)
{
    enum { LOOKED_AT = 256 };
    size_t open = 0;

    for (int fd = 0; fd < LOOKED_AT; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

/* Whoever sends more than is asked for fills nobody's table. */
static void a_message_with_two_descriptors_is_refused_and_both_are_closed(void **state)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(2 * sizeof(int))] = {0};
    const int sent[] = {STDIN_FILENO, STDOUT_FILENO};
    uint8_t octet = 1;
    struct iovec part = {&octet, sizeof(octet)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = CMSG_LEN(sizeof(sent))};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    int ends[2], fd = -1;

    (void)state;
    ends_make(ends);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(sent));
    memcpy(CMSG_DATA(rights), sent, sizeof(sent));
    const size_t before = descriptors_open();
    assert_int_equal(sendmsg(ends[0], &header, 0), 1);
    assert_int_equal(helper_receive(ends[1], &octet, sizeof(octet), &fd), -EMSGSIZE);
    assert_int_equal(fd, -1);
    assert_int_equal(descriptors_open(), before);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void what_comes_until_the_other_end_is_closed_is_dropped(void **state)
{
    const uint8_t octets[] = {1, 2, 3};
    int ends[2];

    (void)state;
    ends_make(ends);
    assert_int_equal(helper_drain(ends[1], 1), -ETIMEDOUT);
    const size_t before = descriptors_open();
    assert_int_equal(helper_send(ends[0], BYTES_OF(octets), STDIN_FILENO), 0);
    assert_int_equal(helper_send(ends[0], BYTES_OF(octets), -1), 0);
    (void)close(ends[0]);
    assert_int_equal(helper_drain(ends[1], 30000), 0);
    assert_int_equal(descriptors_open(), before - 1);
    (void)close(ends[1]);
}

static void a_closed_end_is_told_from_silence(void **state)
{
    int ends[2], fd = -1;
    uint8_t buffer[2];

    (void)state;
    ends_make(ends);
    assert_int_equal(helper_wait(ends[1], 20), -ETIMEDOUT);
    (void)close(ends[0]);
    assert_int_equal(helper_wait(ends[1], 20), 0);
    assert_int_equal(helper_receive(ends[1], buffer, sizeof(buffer), &fd), 0);
    assert_int_equal(helper_send(ends[1], (Bytes){buffer, 1}, -1), -EPIPE);
    (void)close(ends[1]);
}

static void a_program_that_is_not_there_is_said_not_to_be(void **state)
{
    HelperProcess process = {0, -1};

    (void)state;
    assert_int_equal(helper_process_start("/nowhere/helper", NULL, &process), -ENOENT);
    assert_int_equal(process.pid, 0);
    helper_process_end(&process); /* nothing to end */
}

static void a_helper_that_ends_closes_its_channel_and_is_reaped(void **state)
{
    HelperProcess process;
    uint8_t buffer[2];
    int fd = -1;

    (void)state;
    assert_int_equal(helper_process_start("/bin/true", NULL, &process), 0);
    const pid_t pid = process.pid;
    assert_int_equal(helper_wait(process.channel, 5000), 0);
    assert_int_equal(helper_receive(process.channel, buffer, sizeof(buffer), &fd), 0);
    helper_process_end(&process);
    assert_int_equal(process.pid, 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_helper_that_does_not_end_is_ended(void **state)
{
    HelperProcess process;

    (void)state;
    assert_int_equal(helper_process_start("/bin/cat", NULL, &process), 0); /* it waits for nobody */
    const pid_t pid = process.pid;
    helper_process_end(&process);
    assert_int_equal(kill(pid, 0), -1);
}

/* What befalls the calls to come: an error once, or each time; 0: nothing. */
static struct {
    int poll_once, poll, recv_once, recv, wait_once, actions, attributes;
    bool recv_always; /* it has something to read, however often it is asked */
} fault;

static bool is_due(int *once, int always)
{
    const int error = *once ? *once : always;

    *once = 0;
    errno = error;
    return error != 0;
}

int __real_poll(struct pollfd *polled, nfds_t count, int milliseconds);
int __wrap_poll(struct pollfd *polled, nfds_t count, int milliseconds);
int __wrap_poll(struct pollfd *polled, nfds_t count, int milliseconds)
{
    if (is_due(&fault.poll_once, fault.poll))
        return -1;
    return fault.recv_always ? 1 : __real_poll(polled, count, milliseconds);
}

int __wrap___poll_chk(struct pollfd *polled, nfds_t count, int milliseconds, size_t room);
int __wrap___poll_chk(struct pollfd *polled, nfds_t count, int milliseconds, size_t room)
{
    (void)room;
    return __wrap_poll(polled, count, milliseconds);
}

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    if (is_due(&fault.recv_once, fault.recv))
        return -1;
    return fault.recv_always ? 1 : __real_recv(fd, data, size, flags);
}

ssize_t __wrap___recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __wrap___recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
    assert_true(size <= room);
    return __wrap_recv(fd, data, size, flags);
}

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    if (is_due(&fault.wait_once, 0))
        return -1;
    errno = EINTR; /* of a call before: what succeeds does not change it */
    const pid_t found = __real_waitpid(pid, status, options);
    return found;
}

int __real_posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions);
int __wrap_posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions);
int __wrap_posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
    return fault.actions ? fault.actions : __real_posix_spawn_file_actions_init(actions);
}

int __real_posix_spawnattr_init(posix_spawnattr_t *attributes);
int __wrap_posix_spawnattr_init(posix_spawnattr_t *attributes);
int __wrap_posix_spawnattr_init(posix_spawnattr_t *attributes)
{
    return fault.attributes ? fault.attributes : __real_posix_spawnattr_init(attributes);
}

static void a_signal_in_between_ends_no_wait_and_an_error_does(void **state)
{
    int ends[2];

    (void)state;
    ends_make(ends);
    fault.poll_once = EINTR;
    assert_int_equal(helper_wait(ends[1], 1), -ETIMEDOUT);
    fault.poll_once = ENOMEM;
    assert_int_equal(helper_wait(ends[1], 1), -ENOMEM);
    fault.poll = ENOMEM;
    assert_int_equal(helper_drain(ends[1], 1), -ENOMEM);
    fault.poll = 0;
    (void)close(ends[0]);
    fault.recv_once = EINTR;
    assert_int_equal(helper_drain(ends[1], 30000), 0);
    fault.recv_once = EAGAIN;
    assert_int_equal(helper_drain(ends[1], 30000), 0);
    fault.recv = ENOTCONN;
    assert_int_equal(helper_drain(ends[1], 30000), -ENOTCONN);
    fault.recv = 0;
    (void)close(ends[1]);
}

static void who_never_comes_to_an_end_is_drained_for_so_long_and_no_longer(void **state)
{
    (void)state;
    fault.recv_always = true;
    assert_int_equal(helper_drain(STDIN_FILENO, 1), -ETIMEDOUT);
    fault.recv_always = false;
}

static void a_signal_in_between_leaves_no_helper_behind(void **state)
{
    HelperProcess process;

    (void)state;
    assert_int_equal(helper_process_start("/bin/cat", NULL, &process), 0);
    const pid_t pid = process.pid;
    fault.wait_once = EINTR;
    helper_process_end(&process);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void without_memory_no_helper_is_started(void **state)
{
    HelperProcess process = {0, -1};

    (void)state;
    fault.actions = ENOMEM;
    assert_int_equal(helper_process_start("/bin/true", NULL, &process), -ENOMEM);
    fault.actions = 0;
    fault.attributes = ENOMEM;
    assert_int_equal(helper_process_start("/bin/true", NULL, &process), -ENOMEM);
    fault.attributes = 0;
    assert_int_equal(process.pid, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_crosses_with_its_descriptor),
        cmocka_unit_test(a_message_larger_than_the_buffer_is_refused_and_its_descriptor_closed),
        cmocka_unit_test(a_message_with_two_descriptors_is_refused_and_both_are_closed),
        cmocka_unit_test(what_comes_until_the_other_end_is_closed_is_dropped),
        cmocka_unit_test(a_closed_end_is_told_from_silence),
        cmocka_unit_test(a_program_that_is_not_there_is_said_not_to_be),
        cmocka_unit_test(a_helper_that_ends_closes_its_channel_and_is_reaped),
        cmocka_unit_test(a_helper_that_does_not_end_is_ended),
        cmocka_unit_test(a_signal_in_between_ends_no_wait_and_an_error_does),
        cmocka_unit_test(who_never_comes_to_an_end_is_drained_for_so_long_and_no_longer),
        cmocka_unit_test(a_signal_in_between_leaves_no_helper_behind),
        cmocka_unit_test(without_memory_no_helper_is_started),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

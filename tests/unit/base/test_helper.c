/* What does a helper process get, and do messages with descriptors cross whole? */
#include "base/helper.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

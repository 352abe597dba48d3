/* Does a caller's channel carry its calls whole and in order, and nothing that is none? */
#include "tred/channel_gate.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char WORDS[] = "\0AUTH ANONYMOUS 61\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";

enum { WORDS_SIZE = sizeof(WORDS) - 1, HEADER = 16, MUCH = 1024 * 1024 };

typedef struct Bench {
    sd_event *event;
    ChannelGate *gate;
    int caller, input; /* what the caller writes to, and what sd-bus reads */
} Bench;

static Bench bench;
static int recv_error; /* of the next call, if it is not 0 */

ssize_t __real_recv(int fd, void *ret, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *ret, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *ret, size_t size, int flags)
{
    if (recv_error == 0)
        return __real_recv(fd, ret, size, flags);
    errno = recv_error;
    recv_error = 0;
    return -1;
}

static void turn(void)
{
    while (sd_event_run(bench.event, 0) > 0)
        continue;
}

/* What sd-bus finds there; -1: the connection has ended. */
static ssize_t found(uint8_t *ret, size_t size)
{
    turn();
    const ssize_t r = recv(bench.input, ret, size, MSG_DONTWAIT);

    if (r < 0)
        assert_int_equal(errno, EAGAIN);
    return r == 0 ? -1 : r < 0 ? 0 : r;
}

static int bench_init(void **state)
{
    uint8_t greeting[WORDS_SIZE + 1];
    int ends[2];

    (void)state;
    assert_int_equal(sd_event_new(&bench.event), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    bench.caller = ends[1];
    assert_int_equal(channel_gate_open(bench.event, ends[0], ":1.7", &bench.gate, &bench.input), 0);
    assert_int_equal(found(greeting, sizeof(greeting)), WORDS_SIZE);
    assert_memory_equal(greeting, WORDS, WORDS_SIZE);
    return 0;
}

static int bench_deinit(void **state)
{
    (void)state;
    channel_gate_free(bench.gate);
    sd_event_unref(bench.event);
    if (bench.caller >= 0)
        (void)close(bench.caller);
    if (bench.input >= 0)
        (void)close(bench.input);
    return 0;
}

static void say(const void *octets, size_t size)
{
    assert_int_equal(send(bench.caller, octets, size, MSG_NOSIGNAL), size);
}

/* A message's header: its fields have so many octets, and its body. */
static void header_make(char order, uint32_t fields, uint32_t body, uint8_t *ret)
{
    const bool is_little = order == 'l';

    memset(ret, 1, HEADER);
    ret[0] = (uint8_t)order;
    body = is_little ? htole32(body) : htobe32(body);
    fields = is_little ? htole32(fields) : htobe32(fields);
    memcpy(ret + 4, &body, sizeof(body));
    memcpy(ret + 12, &fields, sizeof(fields));
}

static void what_is_said_before_the_first_call_is_not_handed_on(void **state)
{
    static const char words[] = "\0AUTH EXTERNAL 30\r\n\nBEGIN\nBEGIN\r\n";
    static const char more[] = "BEGIN\r\n"; /* the end was the first line that is BEGIN */
    uint8_t seen[64];

    (void)state;
    for (size_t i = 0; i < sizeof(words) - 1; i++) {
        say(&words[i], 1);
        assert_int_equal(found(seen, sizeof(seen)), 0);
    }
    say(more, sizeof(more) - 1);
    assert_int_equal(found(seen, sizeof(seen)), sizeof(more) - 1);
    assert_memory_equal(seen, more, sizeof(more) - 1);
}

static void calls_are_handed_on_in_whatever_pieces_they_come(void **state)
{
    enum { COUNT = 3, SIZE = HEADER + 24 + 5 };
    uint8_t calls[COUNT * SIZE], seen[sizeof(calls)];

    (void)state;
    for (size_t i = 0; i < sizeof(calls); i++)
        calls[i] = (uint8_t)i;
    for (size_t i = 0; i < COUNT; i++)
        header_make(i % 2 == 0 ? 'l' : 'B', 17, 5, &calls[i * SIZE]);
    say(WORDS, WORDS_SIZE);
    for (size_t piece = 1; piece <= sizeof(calls); piece++) {
        size_t there = 0;

        for (size_t at = 0; at < sizeof(calls); at += piece) {
            const size_t left = sizeof(calls) - at;

            say(calls + at, left < piece ? left : piece);
            there += (size_t)found(seen + there, sizeof(seen) - there);
        }
        assert_int_equal(there, sizeof(calls));
        assert_memory_equal(seen, calls, sizeof(calls));
    }
}

/* As soon as its size is known, and no sooner. */
static void a_message_larger_than_a_call_ends_the_channel(void **state)
{
    static const struct {
        char order;
        uint32_t fields, body;
        bool is_taken;
    } cases[] = {
        {'l', 0, CHANNEL_MESSAGE_MAX - HEADER, true},
        {'B', 8, CHANNEL_MESSAGE_MAX - HEADER - 8, true},
        {'l', CHANNEL_MESSAGE_MAX - HEADER, 0, true},
        {'l', 0, CHANNEL_MESSAGE_MAX - HEADER + 1, false},
        {'B', 1, CHANNEL_MESSAGE_MAX - HEADER - 7, false}, /* fields end at a multiple of 8 */
        {'l', CHANNEL_MESSAGE_MAX - HEADER + 1, 0, false},
        {'l', UINT32_MAX, UINT32_MAX, false},
        {'B', UINT32_MAX, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t header[HEADER], seen[HEADER];

        say(WORDS, WORDS_SIZE);
        header_make(cases[i].order, cases[i].fields, cases[i].body, header);
        say(header, HEADER - 1);
        assert_int_equal(found(seen, sizeof(seen)), HEADER - 1);
        say(&header[HEADER - 1], 1);
        assert_int_equal(found(seen, sizeof(seen)), cases[i].is_taken ? 1 : -1);
        (void)bench_deinit(NULL);
        (void)bench_init(NULL);
    }
}

/* Whatever part of it comes along with them; and nothing that comes after it. */
static void calls_before_a_message_that_is_too_large_are_handed_on(void **state)
{
    enum { COUNT = 3, SIZE = HEADER + 8, CALLS = COUNT * SIZE };
    uint8_t said[CALLS + HEADER + SIZE], seen[sizeof(said)];

    (void)state;
    memset(said, 1, sizeof(said));
    for (size_t i = 0; i < COUNT; i++)
        header_make('l', 0, SIZE - HEADER, &said[i * SIZE]);
    header_make('l', 0, CHANNEL_MESSAGE_MAX, &said[CALLS]);
    header_make('l', 0, SIZE - HEADER, &said[CALLS + HEADER]);
    say(WORDS, WORDS_SIZE);
    say(said, sizeof(said));
    assert_int_equal(found(seen, sizeof(seen)), CALLS);
    assert_memory_equal(seen, said, CALLS);
    assert_int_equal(found(seen, sizeof(seen)), -1);
}

/* How many octets wait for sd-bus. */
static size_t waiting(void)
{
    int size;

    turn();
    assert_int_equal(ioctl(bench.input, FIONREAD, &size), 0);
    return (size_t)size;
}

/* Also where the last one has to wait in the gate. */
static void a_call_that_waits_before_a_message_that_is_too_large_is_not_lost(void **state)
{
    enum { SIZE = 1000 };
    static uint8_t seen[MUCH];
    uint8_t said[SIZE + HEADER] = {0};
    size_t fits = 0, there = 0;

    (void)state;
    header_make('l', 0, SIZE - HEADER, said);
    header_make('l', 0, CHANNEL_MESSAGE_MAX, &said[SIZE]);
    say(WORDS, WORDS_SIZE);
    for (say(said, SIZE); waiting() > fits * SIZE; say(said, SIZE))
        fits++;
    (void)bench_deinit(NULL);
    (void)bench_init(NULL);
    say(WORDS, WORDS_SIZE);
    for (size_t i = 0; i < fits; i++) {
        say(said, SIZE);
        turn();
    }
    say(said, sizeof(said));
    assert_int_equal(waiting(), fits * SIZE);
    for (ssize_t n; (n = found(seen, sizeof(seen))) >= 0;)
        there += (size_t)n;
    assert_int_equal(there, (fits + 1) * SIZE);
}

static void what_sd_bus_does_not_read_waits_and_is_not_lost(void **state)
{
    static uint8_t seen[CHANNEL_MESSAGE_MAX];
    uint8_t header[HEADER];
    size_t said = 0, there = 0;
    uint8_t piece[1000];

    (void)state;
    say(WORDS, WORDS_SIZE);
    /* As many whole calls as the sockets on the way hold. */
    header_make('l', 0, sizeof(piece) - HEADER, header);
    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (uint8_t)i;
    memcpy(piece, header, HEADER);
    while (said < MUCH && send(bench.caller, piece, sizeof(piece), MSG_NOSIGNAL) > 0) {
        said += sizeof(piece);
        turn();
    }
    assert_true(said > 2 * sizeof(piece) && said < MUCH);
    assert_int_equal(sd_event_run(bench.event, 0), 0); /* it is not looked at again and again */
    assert_int_equal(shutdown(bench.caller, SHUT_WR), 0);
    for (ssize_t n; (n = found(seen, sizeof(seen))) >= 0;) {
        for (size_t i = 0; i < (size_t)n; i++, there++)
            assert_int_equal(seen[i], piece[there % sizeof(piece)]);
    }
    assert_int_equal(there, said);
}

static void
what_can_not_be_read_for_the_moment_is_read_later_and_any_other_error_is_the_end(void **state)
{
    static const struct {
        int error;
        bool is_over;
    } cases[] = {{EAGAIN, false}, {EINTR, false}, {ECONNRESET, true}, {ENOMEM, true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t header[HEADER], seen[HEADER];

        say(WORDS, WORDS_SIZE);
        assert_int_equal(found(seen, sizeof(seen)), 0);
        header_make('l', 0, 0, header);
        say(header, HEADER);
        recv_error = cases[i].error;
        assert_int_equal(found(seen, sizeof(seen)), cases[i].is_over ? -1 : HEADER);
        (void)bench_deinit(NULL);
        (void)bench_init(NULL);
    }
}

static void what_sd_bus_ends_is_over_for_the_caller(void **state)
{
    uint8_t octet;

    (void)state;
    (void)close(bench.input);
    bench.input = -1;
    turn();
    assert_int_equal(recv(bench.caller, &octet, 1, MSG_DONTWAIT), 0);
    assert_int_equal(sd_event_run(bench.event, 0), 0);
}

/* Its numbers are others' by then: an SA's socket, or another caller's channel. */
static void what_has_ended_closes_no_descriptor_again(void **state)
{
    int others[3]; /* as many as were closed */

    (void)state;
    (void)close(bench.caller);
    bench.caller = -1;
    turn();
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        others[i] = dup(STDERR_FILENO);
        assert_true(others[i] >= 0);
    }
    channel_gate_free(bench.gate);
    bench.gate = NULL;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(close(others[i]), 0);
}

/* A file has no end to wait for: epoll does not take it. */
static void what_the_loop_can_not_wait_for_is_no_channel_and_stays_its_owners(void **state)
{
    FILE *file = tmpfile();
    ChannelGate *gate = NULL;
    int input = -1;

    (void)state;
    assert_non_null(file);
    assert_int_equal(channel_gate_open(bench.event, fileno(file), ":1.8", &gate, &input), -EPERM);
    assert_null(gate);
    assert_int_equal(input, -1);
    assert_int_equal(fclose(file), 0);
}

static void descriptors_are_dropped(void **state)
{
    union {
        struct cmsghdr header;
        uint8_t octets[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    char words[WORDS_SIZE];
    struct iovec part = {words, sizeof(words)};
    const struct msghdr message = {.msg_iov = &part,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof(control)};
    int ends[2];
    uint8_t octet;

    (void)state;
    memcpy(words, WORDS, sizeof(words));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    memcpy(CMSG_DATA(&control.header), &ends[0], sizeof(int));
    assert_int_equal(sendmsg(bench.caller, &message, 0), WORDS_SIZE);
    (void)close(ends[0]);
    assert_int_equal(recv(ends[1], &octet, 1, MSG_DONTWAIT), -1); /* it is on its way */
    turn();
    assert_int_equal(recv(ends[1], &octet, 1, MSG_DONTWAIT), 0); /* nobody has it */
    (void)close(ends[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_init, bench_deinit)
    const struct CMUnitTest tests[] = {
        TEST(what_is_said_before_the_first_call_is_not_handed_on),
        TEST(calls_are_handed_on_in_whatever_pieces_they_come),
        TEST(a_message_larger_than_a_call_ends_the_channel),
        TEST(calls_before_a_message_that_is_too_large_are_handed_on),
        TEST(a_call_that_waits_before_a_message_that_is_too_large_is_not_lost),
        TEST(what_sd_bus_does_not_read_waits_and_is_not_lost),
        TEST(what_can_not_be_read_for_the_moment_is_read_later_and_any_other_error_is_the_end),
        TEST(what_sd_bus_ends_is_over_for_the_caller),
        TEST(what_has_ended_closes_no_descriptor_again),
        TEST(what_the_loop_can_not_wait_for_is_no_channel_and_stays_its_owners),
        TEST(descriptors_are_dropped),
    };

    return cmocka_run_group_tests_name("channel gate", tests, NULL, NULL);
}

/* Do datagrams that are sent together arrive as they were, each with its size? */
#include "dataplane/transport.h"
#include "esp/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { SENT_MAX = 400 };

typedef struct Lab {
    Transport transport;
    int sender;
    Inbox *inbox;
    Outbox *outbox;
} Lab;

static void lab_init(Lab *lab, int joined)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_storage storage = {0};
    memcpy(&storage, &local, sizeof(local));
    assert_int_equal(transport_init(&lab->transport, &storage), 0);
    transport_widen(&lab->transport);
    lab->sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(lab->sender >= 0);
    assert_int_equal(setsockopt(lab->transport.esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)),
                     0);
    assert_int_equal(inbox_new(&lab->inbox), 0);
    assert_int_equal(outbox_new(&lab->outbox), 0);
}

static void lab_deinit(Lab *lab)
{
    transport_deinit(&lab->transport);
    (void)close(lab->sender);
    inbox_free(lab->inbox);
    outbox_free(lab->outbox);
}

static void queue(Lab *lab, size_t number, size_t size)
{
    uint8_t *room = outbox_reserve(lab->outbox, lab->sender, size);
    memset(room, 0xe5, size); /* not the non-ESP marker */
    room[size - 2] = (uint8_t)(number >> 8);
    room[size - 1] = (uint8_t)number;
    outbox_commit(lab->outbox, &lab->transport.local, 0, size);
}

/* Takes what has come; each datagram must be the next of `sizes`. Returns how many have come by
 * now. */
static size_t receive(Lab *lab, const size_t *sizes, size_t n_before)
{
    size_t n = n_before;
    for (;;) {
        int n_runs = inbox_receive(lab->inbox, lab->transport.esp_fd);
        if (n_runs == -EAGAIN)
            return n;
        assert_true(n_runs > 0);
        for (unsigned i = 0; i < (unsigned)n_runs; i++) {
            InboxRun run = inbox_run(lab->inbox, i);
            for (size_t at = 0; at < run.size; at += run.segment_size, n++) {
                size_t size = run.size - at < run.segment_size ? run.size - at : run.segment_size;
                assert_int_equal(size, sizes[n]);
                assert_int_equal(run.data[at + size - 2] << 8 | run.data[at + size - 1], n);
            }
        }
    }
}

static void check_with(int joined, const size_t *sizes, size_t n_sizes)
{
    Lab lab;
    lab_init(&lab, joined);
    size_t received = 0;
    for (size_t i = 0; i < n_sizes; i++) {
        queue(&lab, i, sizes[i]);
        if (i % 50 == 49) { /* before the socket's buffer is full */
            outbox_flush(lab.outbox);
            received = receive(&lab, sizes, received);
        }
    }
    outbox_flush(lab.outbox);
    received = receive(&lab, sizes, received);
    assert_int_equal(received, n_sizes);
    assert_int_equal(outbox_failures(lab.outbox), 0);
    lab_deinit(&lab);
}

/* With and without the kernel's joining of what comes in. */
static void check(const size_t *sizes, size_t n_sizes)
{
    check_with(0, sizes, n_sizes);
    check_with(1, sizes, n_sizes);
}

static void datagrams_of_one_size_arrive_in_order(void **state)
{
    (void)state;
    size_t sizes[SENT_MAX];
    for (size_t i = 0; i < SENT_MAX; i++)
        sizes[i] = 1400;
    check(sizes, SENT_MAX);
}

static void datagrams_of_growing_and_shrinking_sizes_arrive_in_order(void **state)
{
    (void)state;
    size_t sizes[SENT_MAX];
    for (size_t i = 0; i < SENT_MAX; i++)
        sizes[i] = 10 + i * 37 % 1391;
    check(sizes, SENT_MAX);
}

static void a_burst_larger_than_the_outbox_arrives_in_order(void **state)
{
    (void)state;
    size_t sizes[10];
    for (size_t i = 0; i < 10; i++)
        sizes[i] = 60000;
    check(sizes, 10);
}

static void what_can_not_be_sent_is_counted_packet_by_packet(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, 0);
    (void)close(lab.sender);
    lab.sender = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* the address is IPv4's */
    assert_true(lab.sender >= 0);
    const int only = 1;
    assert_int_equal(setsockopt(lab.sender, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
    for (size_t i = 0; i < 7; i++)
        queue(&lab, i, 100);
    outbox_flush(lab.outbox);
    assert_int_equal(outbox_failures(lab.outbox), 7);
    lab_deinit(&lab);
}

static int refusal; /* what sendmmsg() says; 0: it sends */

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (refusal == 0)
        return __real_sendmmsg(fd, messages, count, flags);
    errno = refusal;
    return -1;
}

/* A device, a path or a kernel that can't cut a run has each datagram sent by itself; what refuses
 * the datagram itself is not asked again for each. */
static void only_what_can_not_be_cut_is_sent_singly(void **state)
{
    static const struct {
        int error;
        bool singly;
    } refusals[] = {
        {EIO, true}, {EINVAL, true}, {EMSGSIZE, true}, {ENOBUFS, false}, {EPERM, false},
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(refusals); i++) {
        const size_t sizes[] = {100, 100, 100};
        Lab lab;
        lab_init(&lab, 0);
        for (size_t j = 0; j < ELEMENTS(sizes); j++)
            queue(&lab, j, sizes[j]);
        refusal = refusals[i].error;
        outbox_flush(lab.outbox);
        refusal = 0;
        assert_int_equal(receive(&lab, sizes, 0), refusals[i].singly ? ELEMENTS(sizes) : 0);
        assert_int_equal(outbox_failures(lab.outbox), refusals[i].singly ? 0 : ELEMENTS(sizes));
        lab_deinit(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_one_size_arrive_in_order),
        cmocka_unit_test(datagrams_of_growing_and_shrinking_sizes_arrive_in_order),
        cmocka_unit_test(a_burst_larger_than_the_outbox_arrives_in_order),
        cmocka_unit_test(what_can_not_be_sent_is_counted_packet_by_packet),
        cmocka_unit_test(only_what_can_not_be_cut_is_sent_singly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

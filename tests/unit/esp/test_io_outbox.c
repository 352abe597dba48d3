/* Do datagrams that are sent together arrive as they were, each with its size? */
#include "dataplane/transport.h"
#include "esp/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

/* What it was asked to send. */
static struct {
    size_t n_messages;
    size_t n_cut;   /* into segments */
    size_t largest; /* message, octets */
    size_t most;    /* segments of a message */
} asked;

static size_t segments_of(struct msghdr *message)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    uint16_t size = 0;
    if (!control)
        return 1;
    assert_int_equal(control->cmsg_type, UDP_SEGMENT);
    memcpy(&size, CMSG_DATA(control), sizeof(size));
    return (message->msg_iov->iov_len + size - 1) / size;
}

static void note(struct msghdr *message)
{
    const size_t size = message->msg_iov->iov_len, n_segments = segments_of(message);
    asked.n_messages++;
    asked.n_cut += message->msg_controllen > 0;
    asked.largest = size > asked.largest ? size : asked.largest;
    asked.most = n_segments > asked.most ? n_segments : asked.most;
}

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    for (unsigned i = 0; i < count; i++)
        note(&messages[i].msg_hdr);
    if (refusal == 0)
        return __real_sendmmsg(fd, messages, count, flags);
    errno = refusal;
    return -1;
}

/* Flushes so many datagrams of one size, whose last is shorter where `shorter` says so. */
static void ask(Lab *lab, size_t n, size_t size, bool shorter)
{
    memset(&asked, 0, sizeof(asked));
    for (size_t i = 0; i < n; i++)
        queue(lab, i, shorter && i + 1 == n ? size - 1 : size);
    outbox_flush(lab->outbox);
}

static void a_run_has_at_most_64_datagrams_and_65000_octets(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, 0);
    ask(&lab, 64, 100, false);
    assert_int_equal(asked.n_messages, 1);
    assert_int_equal(asked.most, 64);
    ask(&lab, 65, 100, false);
    assert_int_equal(asked.n_messages, 2);
    assert_int_equal(asked.most, 64);
    ask(&lab, 13, 5000, false);
    assert_int_equal(asked.n_messages, 1);
    assert_int_equal(asked.largest, 65000);
    ask(&lab, 13, 5001, false);
    assert_int_equal(asked.n_messages, 2);
    assert_int_equal(asked.largest, 12 * 5001);
    lab_deinit(&lab);
}

static void the_outbox_is_filled_to_its_last_octet_and_its_last_run(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, 0);
    memset(&asked, 0, sizeof(asked));
    for (size_t i = 0; i < 4; i++)
        queue(&lab, i, OUTBOX_SIZE / 4);
    assert_int_equal(asked.n_messages, 0);
    queue(&lab, 4, 2);
    assert_int_equal(asked.n_messages, 4);
    outbox_flush(lab.outbox);
    memset(&asked, 0, sizeof(asked));
    for (size_t i = 0; i < OUTBOX_RUNS_MAX; i++)
        queue(&lab, i, 100 + i); /* each larger, and so a run of its own */
    assert_int_equal(asked.n_messages, 0);
    queue(&lab, 0, 10); /* might be the last one's end, but nobody looks */
    assert_int_equal(asked.n_messages, OUTBOX_RUNS_MAX);
    outbox_flush(lab.outbox);
    lab_deinit(&lab);
}

static void what_waits_for_another_socket_goes_first(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, 0);
    memset(&asked, 0, sizeof(asked));
    queue(&lab, 0, 100);
    const int other = dup(lab.sender), own = lab.sender;
    lab.sender = other;
    queue(&lab, 1, 100);
    assert_int_equal(asked.n_messages, 1);
    queue(&lab, 2, 100);
    assert_int_equal(asked.n_messages, 1);
    outbox_flush(lab.outbox);
    (void)close(other);
    lab.sender = own;
    lab_deinit(&lab);
}

static void only_the_last_datagram_of_a_run_may_be_shorter_and_one_alone_is_not_cut(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, 0);
    ask(&lab, 1, 100, false);
    assert_int_equal(asked.n_messages, 1);
    assert_int_equal(asked.n_cut, 0);
    ask(&lab, 3, 100, true);
    assert_int_equal(asked.n_messages, 1);
    assert_int_equal(asked.n_cut, 1);
    memset(&asked, 0, sizeof(asked));
    queue(&lab, 0, 100);
    queue(&lab, 1, 99);
    queue(&lab, 2, 99);
    outbox_flush(lab.outbox);
    assert_int_equal(asked.n_messages, 2);
    assert_int_equal(asked.n_cut, 1);
    lab_deinit(&lab);
}

/* EIO is the device's word, and holds for the next, too; the others are the run's or the path's. */
static void a_device_that_can_not_cut_is_not_asked_again(void **state)
{
    static const int errors[] = {EIO, EINVAL, EMSGSIZE};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        Lab lab;
        lab_init(&lab, 0);
        refusal = errors[i];
        ask(&lab, 1, 100, false); /* which is no cut that was refused */
        assert_int_equal(outbox_failures(lab.outbox), 1);
        ask(&lab, 3, 100, false);
        refusal = 0;
        ask(&lab, 3, 100, false);
        assert_int_equal(asked.n_messages, errors[i] == EIO ? 3 : 1);
        assert_int_equal(outbox_failures(lab.outbox), 1);
        lab_deinit(&lab);
    }
}

static bool forging; /* recvmmsg() says that segments have no octets */

int __real_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout);

int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout)
{
    const int n = __real_recvmmsg(fd, messages, count, flags, timeout);
    for (int i = 0; forging && i < n; i++) {
        struct cmsghdr *control = CMSG_FIRSTHDR(&messages[i].msg_hdr);
        assert_non_null(control);
        memset(CMSG_DATA(control), 0, sizeof(int));
    }
    return n;
}

static void segments_of_no_octets_are_not_believed(void **state)
{
    Lab lab;
    (void)state;
    lab_init(&lab, 1);
    ask(&lab, 3, 100, false);
    forging = true;
    assert_int_equal(inbox_receive(lab.inbox, lab.transport.esp_fd), 1);
    forging = false;
    assert_int_equal(inbox_run(lab.inbox, 0).size, 300);
    assert_int_equal(inbox_run(lab.inbox, 0).segment_size, 300);
    lab_deinit(&lab);
}

static void a_tun_that_gives_no_whole_packet_is_told_from_one_that_fails(void **state)
{
    uint8_t packet[TUN_PACKET_MAX], octets[sizeof(struct virtio_net_hdr) + 1] = {0};
    struct virtio_net_hdr header;
    struct iovec parts[2] = {{0}, {octets, 1}};
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(tun_read(ends[0], &header, packet), -EAGAIN);
    assert_int_equal(write(ends[1], octets, sizeof(octets)), sizeof(octets));
    assert_int_equal(tun_read(ends[0], &header, packet), 1);
    assert_int_equal(write(ends[1], octets, sizeof(header)), sizeof(header));
    assert_int_equal(tun_read(ends[0], &header, packet), 0);
    assert_int_equal(write(ends[1], octets, sizeof(header) - 1), sizeof(header) - 1);
    assert_int_equal(tun_read(ends[0], &header, packet), -EIO);
    assert_int_equal(tun_write(ends[0], &header, parts, 1), -EBADF);
    assert_int_equal(tun_write(ends[1], &header, parts, 1), 0);
    assert_int_equal(tun_read(ends[0], &header, packet), 1);
    (void)close(ends[1]);
    errno = EINTR; /* of something before */
    assert_int_equal(tun_read(ends[0], &header, packet), -EIO);
    (void)close(ends[0]);
    assert_int_equal(tun_read(ends[0], &header, packet), -EBADF);
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
        cmocka_unit_test(a_run_has_at_most_64_datagrams_and_65000_octets),
        cmocka_unit_test(the_outbox_is_filled_to_its_last_octet_and_its_last_run),
        cmocka_unit_test(what_waits_for_another_socket_goes_first),
        cmocka_unit_test(only_the_last_datagram_of_a_run_may_be_shorter_and_one_alone_is_not_cut),
        cmocka_unit_test(a_device_that_can_not_cut_is_not_asked_again),
        cmocka_unit_test(segments_of_no_octets_are_not_believed),
        cmocka_unit_test(a_tun_that_gives_no_whole_packet_is_told_from_one_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Is each answer of the kernel's told from all others, each failure told, and what carries keys
 * wiped? The socket is played: it gives one prepared datagram after the other. */
#include "net/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/wipe_watch.h"

enum { PORT = 77, DATAGRAMS_MAX = 16, DATAGRAM_SIZE = 512, OPENED = 3, WIPES_MAX = 64 };

typedef struct Datagram {
    int error;      /* instead of it */
    unsigned after; /* so many requests: it is there from then on */
    size_t size;
    _Alignas(max_align_t) uint8_t octets[DATAGRAM_SIZE];
} Datagram;

static struct {
    int open_error, bind_error, send_error, join_error;
    unsigned n_open, n_joined, n_sent;
    size_t n_datagrams, next;
    Datagram datagrams[DATAGRAMS_MAX];
    const void *sent;
    size_t sent_size;
    const void *received; /* where the last datagram was put */
    size_t drained;
    size_t n_wiped;
    struct {
        const void *at;
        size_t size;
    } wiped[WIPES_MAX];
} played;

/* The socket's functions, in the place of libmnl's (--wrap). */
struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags);
int __wrap_mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid);
unsigned __wrap_mnl_socket_get_portid(const struct mnl_socket *socket);
int __wrap_mnl_socket_get_fd(const struct mnl_socket *socket);
int __wrap_mnl_socket_close(struct mnl_socket *socket);
int __wrap_mnl_socket_setsockopt(const struct mnl_socket *socket, int type, void *buffer,
                                 socklen_t size);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *socket, const void *data, size_t size);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer, size_t size);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __wrap___recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);

/* Whatever succeeds leaves errno as it likes (errno(3)). */
static int fail_with(int error)
{
    errno = error ? error : EDOM;
    return error ? -1 : 0;
}

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
    static int one;

    assert_true(flags & SOCK_CLOEXEC);
    assert_int_equal(bus, NETLINK_ROUTE);
    if (fail_with(played.open_error) < 0)
        return NULL;
    played.n_open++;
    return (struct mnl_socket *)(void *)&one;
}

int __wrap_mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid)
{
    (void)socket, (void)groups, (void)pid;
    return fail_with(played.bind_error);
}

unsigned __wrap_mnl_socket_get_portid(const struct mnl_socket *socket)
{
    (void)socket;
    return PORT;
}

int __wrap_mnl_socket_get_fd(const struct mnl_socket *socket)
{
    (void)socket;
    return OPENED;
}

int __wrap_mnl_socket_close(struct mnl_socket *socket)
{
    (void)socket;
    assert_true(played.n_open > 0);
    played.n_open--;
    return 0;
}

int __wrap_mnl_socket_setsockopt(const struct mnl_socket *socket, int type, void *buffer,
                                 socklen_t size)
{
    (void)socket, (void)buffer, (void)size;
    assert_int_equal(type, NETLINK_ADD_MEMBERSHIP);
    played.n_joined++;
    return fail_with(played.n_joined == 2 ? played.join_error : 0);
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *socket, const void *data, size_t size)
{
    (void)socket;
    played.sent = data;
    played.sent_size = size;
    played.n_sent++;
    return fail_with(played.send_error) < 0 ? -1 : (ssize_t)size;
}

static ssize_t receive(void *buffer, size_t size)
{
    if (played.next == played.n_datagrams || played.datagrams[played.next].after > played.n_sent)
        return fail_with(EAGAIN);
    const Datagram *datagram = &played.datagrams[played.next++];
    if (fail_with(datagram->error) < 0)
        return -1;
    assert_true(datagram->size <= size);
    memcpy(buffer, datagram->octets, datagram->size);
    played.received = buffer;
    return (ssize_t)datagram->size;
}

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *buffer, size_t size)
{
    (void)socket;
    return receive(buffer, size);
}

ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags)
{
    assert_int_equal(fd, OPENED);
    assert_int_equal(flags, MSG_DONTWAIT);
    const ssize_t got = receive(buffer, size);
    played.drained += got >= 0;
    return got;
}

ssize_t __wrap___recv_chk(int fd, void *buffer, size_t size, size_t room, int flags)
{
    (void)room;
    return __wrap_recv(fd, buffer, size, flags);
}

static void note_wiped(const void *at, size_t size)
{
    if (size == 0)
        return;
    assert_true(played.n_wiped < WIPES_MAX);
    played.wiped[played.n_wiped].at = at;
    played.wiped[played.n_wiped++].size = size;
}

static bool was_wiped(const void *at, size_t size)
{
    for (size_t i = 0; i < played.n_wiped; i++) {
        if (played.wiped[i].at == at && played.wiped[i].size >= size)
            return true;
    }
    return false;
}

static Datagram *datagram_new(void)
{
    assert_true(played.n_datagrams < DATAGRAMS_MAX);
    return &played.datagrams[played.n_datagrams++];
}

static struct nlmsghdr *message_add(Datagram *datagram, uint16_t type, uint16_t flags,
                                    uint32_t sequence, size_t payload)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(datagram->octets + datagram->size);

    header->nlmsg_type = type;
    header->nlmsg_flags = flags;
    header->nlmsg_seq = sequence;
    header->nlmsg_pid = PORT;
    (void)mnl_nlmsg_put_extra_header(header, payload);
    datagram->size += header->nlmsg_len;
    return header;
}

/* An acknowledgement, or where `error` is negative a refusal. */
static void acknowledge(Datagram *datagram, uint32_t sequence, int error)
{
    struct nlmsghdr *header =
        message_add(datagram, NLMSG_ERROR, 0, sequence, sizeof(struct nlmsgerr));

    ((struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error = error;
}

static Netlink *netlink;
static unsigned requests_before; /* what links_add() and done_add() add is there */

static int setup(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    return netlink_new(NETLINK_ROUTE, &netlink);
}

static int teardown(void **state)
{
    (void)state;
    netlink_free(netlink);
    return played.n_open == 0 ? 0 : -1;
}

static uint32_t begin_with(uint16_t flags)
{
    struct ifinfomsg *info;

    played.n_datagrams = played.next = played.n_wiped = played.n_sent = 0;
    requests_before = 0;
    memset(played.datagrams, 0, sizeof(played.datagrams));
    return netlink_begin(netlink, RTM_GETLINK, flags, sizeof(*info), &info)->nlmsg_seq;
}

static uint32_t begin(void)
{
    return begin_with(0);
}

static void a_call_has_the_kernels_word(void **state)
{
    static const int words[] = {0, -EPERM, -EEXIST};

    (void)state;
    assert_int_equal(netlink_port(netlink), PORT);
    for (size_t i = 0; i < ELEMENTS(words); i++) {
        acknowledge((begin(), datagram_new()), (uint32_t)i + 1, words[i]);
        assert_int_equal(netlink_call(netlink), words[i]);
        assert_true(was_wiped(played.sent, played.sent_size));
        assert_true(was_wiped(played.received, played.datagrams[0].size));
    }
}

/* Answers to something else are no answer. */
static void an_answer_to_another_request_is_a_failure(void **state)
{
    (void)state;
    const uint32_t sequence = begin();
    acknowledge(datagram_new(), sequence + 1, 0);
    assert_true(netlink_call(netlink) < 0);
}

static void a_socket_that_fails_is_told_and_the_request_wiped(void **state)
{
    (void)state;
    (void)begin();
    played.send_error = ENOBUFS;
    assert_int_equal(netlink_call(netlink), -ENOBUFS);
    assert_true(was_wiped(played.sent, played.sent_size));
    assert_int_equal(netlink_send(netlink, "", 1, 1), -ENOBUFS);
    played.send_error = 0;
    (void)begin();
    datagram_new()->error = ENOMEM;
    assert_int_equal(netlink_call(netlink), -ENOMEM);
    assert_true(was_wiped(played.sent, played.sent_size));
    (void)begin();
    datagram_new()->error = ENOMEM;
    assert_int_equal(netlink_send(netlink, "", 1, 1), -ENOMEM);
}

/* Nothing comes behind an empty datagram that is not read. */
static void an_empty_datagram_is_no_answer_and_no_end(void **state)
{
    static const int words[] = {0, -EPERM};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(words); i++) {
        const uint32_t sequence = begin();
        (void)datagram_new();
        acknowledge(datagram_new(), sequence, words[i]);
        (void)datagram_new();
        acknowledge(datagram_new(), sequence, 0);
        assert_int_equal(netlink_call(netlink), words[i]);
        assert_int_equal(played.next, words[i] == 0 ? 2 : 4);
    }
    (void)begin();
    (void)datagram_new();
    acknowledge(datagram_new(), 9, -EPERM);
    (void)datagram_new();
    acknowledge(datagram_new(), 10, 0);
    assert_int_equal(netlink_send(netlink, "", 1, 9), -EPERM);
    assert_int_equal(played.next, 4);
}

static int count(const struct nlmsghdr *header, void *userdata)
{
    size_t *n = userdata;

    assert_int_equal(header->nlmsg_type, RTM_NEWLINK);
    ++*n;
    return MNL_CB_OK;
}

/* So many datagrams of three messages each. */
static void links_add(size_t n, uint32_t sequence, uint16_t flags_of_last)
{
    for (size_t i = 0; i < n; i++) {
        Datagram *datagram = datagram_new();
        datagram->after = requests_before;
        for (size_t j = 0; j < 2; j++)
            (void)message_add(datagram, RTM_NEWLINK, NLM_F_MULTI, sequence, 16);
        (void)message_add(datagram, RTM_NEWLINK, NLM_F_MULTI | flags_of_last, sequence, 16);
    }
}

static void done_add(uint32_t sequence)
{
    Datagram *datagram = datagram_new();
    datagram->after = requests_before;
    (void)message_add(datagram, NLMSG_DONE, NLM_F_MULTI, sequence, 4);
}

static void a_dump_is_read_over_several_datagrams_to_its_end(void **state)
{
    (void)state;
    size_t n = 0;
    const uint32_t sequence = begin_with(NLM_F_DUMP);
    links_add(2, sequence, 0);
    done_add(sequence);
    assert_int_equal(netlink_dump(netlink, count, &n), 0);
    assert_int_equal(n, 6);
    assert_int_equal(played.next, 3);
    assert_int_equal(played.n_wiped, 3 + 3 + 1); /* read, kept, and asked */
    for (size_t i = 0; i < 3; i++)
        assert_true(was_wiped(played.received, played.datagrams[i].size));
}

/* What it handed on before would be handed on twice. */
static void a_dump_that_a_change_interrupted_is_asked_for_again_and_handed_on_once(void **state)
{
    (void)state;
    size_t n = 0;
    const uint32_t sequence = begin_with(NLM_F_DUMP);
    requests_before = 1;
    links_add(1, sequence, NLM_F_DUMP_INTR);
    links_add(1, sequence, 0);
    done_add(sequence);
    requests_before = 2;
    links_add(2, sequence + 1, 0);
    done_add(sequence + 1);
    assert_int_equal(netlink_dump(netlink, count, &n), 0);
    assert_int_equal(n, 6);
    assert_int_equal(played.n_sent, 2);
    assert_int_equal(played.next, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(was_wiped(played.received, played.datagrams[i].size));
    assert_true(was_wiped(played.sent, played.sent_size));
    acknowledge((begin(), datagram_new()), sequence + 2, 0);
    assert_int_equal(netlink_call(netlink), 0);
}

static void a_dump_that_is_interrupted_again_and_again_is_told(void **state)
{
    (void)state;
    size_t n = 0;
    const uint32_t sequence = begin_with(NLM_F_DUMP);
    for (unsigned i = 0; i < NETLINK_DUMPS_MAX; i++) {
        requests_before = i + 1;
        links_add(1, sequence + i, NLM_F_DUMP_INTR);
        done_add(sequence + i);
    }
    assert_int_equal(netlink_dump(netlink, count, &n), -EINTR);
    assert_int_equal(played.n_sent, NETLINK_DUMPS_MAX);
    assert_int_equal(played.next, played.n_datagrams);
    assert_int_equal(n, 0);
    assert_true(was_wiped(played.sent, played.sent_size));
}

static void a_dump_that_fails_leaves_nothing_for_the_next_request_to_read(void **state)
{
    (void)state;
    size_t n = 0;
    const uint32_t sequence = begin_with(NLM_F_DUMP);
    links_add(1, sequence, 0);
    acknowledge(datagram_new(), sequence, -EPERM);
    links_add(1, sequence, 0);
    assert_int_equal(netlink_dump(netlink, count, &n), -EPERM);
    assert_int_equal(n, 0);
    assert_int_equal(played.n_sent, 1);
    assert_int_equal(played.next, 3);
    assert_int_equal(played.n_wiped, 3 + 1 + 1); /* read, kept, and asked */
}

static void what_an_earlier_request_left_is_passed_over(void **state)
{
    static const uint16_t flags[] = {0, NLM_F_DUMP};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(flags); i++) {
        size_t n = 0;
        const uint32_t sequence = begin_with(flags[i]);
        links_add(1, sequence - 1, NLM_F_DUMP_INTR);
        acknowledge(datagram_new(), sequence - 1, -EPERM);
        links_add(1, sequence, 0);
        done_add(sequence);
        assert_int_equal(netlink_dump(netlink, count, &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(played.n_sent, 1);
        assert_true(was_wiped(played.received, played.datagrams[0].size));
    }
}

/* A batch is done with the answer to its last message, or with the first refusal; what else was
 * answered does not stay for the next request to read. */
static void a_batch_ends_with_its_last_answer_or_the_first_refusal(void **state)
{
    (void)state;
    (void)begin();
    Datagram *datagram = datagram_new();
    (void)message_add(datagram, NLMSG_ERROR, 0, 9, 0); /* too short to be one */
    (void)message_add(datagram, NLMSG_NOOP, 0, 9, sizeof(struct nlmsgerr));
    acknowledge(datagram, 8, 0);
    acknowledge(datagram_new(), 9, 0);
    acknowledge(datagram_new(), 10, -EPERM);
    assert_int_equal(netlink_send(netlink, "", 1, 9), 0);
    assert_int_equal(played.drained, 1);
    (void)begin();
    played.drained = 0;
    datagram = datagram_new();
    acknowledge(datagram, 8, -EINVAL);
    acknowledge(datagram, 9, -EPERM);
    acknowledge(datagram_new(), 9, 0);
    assert_int_equal(netlink_send(netlink, "", 1, 9), -EINVAL);
    assert_int_equal(played.drained, 1);
}

static void a_socket_that_can_not_be_had_is_told_and_nothing_left_open(void **state)
{
    (void)state;
    Netlink *another = NULL;
    const unsigned before = played.n_open;
    played.open_error = EMFILE;
    assert_int_equal(netlink_new(NETLINK_ROUTE, &another), -EMFILE);
    played.open_error = 0;
    played.bind_error = EADDRINUSE;
    assert_int_equal(netlink_new(NETLINK_ROUTE, &another), -EADDRINUSE);
    assert_null(another);
    assert_int_equal(played.n_open, before);
    netlink_free(another);
}

static void what_is_left_of_a_request_goes_with_its_socket(void **state)
{
    (void)state;
    Netlink *another = NULL;
    assert_int_equal(netlink_new(NETLINK_ROUTE, &another), 0);
    played.n_wiped = 0;
    netlink_free(another);
    assert_true(was_wiped(another, 5 * NETLINK_MESSAGE_MAX));
}

static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR};

static void a_watch_that_can_not_listen_is_none(void **state)
{
    (void)state;
    NetlinkWatch *watch = NULL;
    const unsigned before = played.n_open;
    played.open_error = EMFILE;
    assert_int_equal(netlink_watch_new(NETLINK_ROUTE, groups, 2, &watch), -EMFILE);
    played.open_error = 0;
    played.bind_error = EADDRINUSE;
    assert_int_equal(netlink_watch_new(NETLINK_ROUTE, groups, 2, &watch), -EADDRINUSE);
    played.bind_error = 0;
    played.join_error = EPERM;
    assert_int_equal(netlink_watch_new(NETLINK_ROUTE, groups, 2, &watch), -EPERM);
    assert_int_equal(played.n_joined, 2);
    assert_null(watch);
    assert_int_equal(played.n_open, before);
    netlink_watch_free(watch);
}

static void a_watch_reads_all_that_is_there_and_says_what_was_lost(void **state)
{
    static const int overflows[] = {0, ENOBUFS, ENOSPC};

    (void)state;
    NetlinkWatch *watch = NULL;
    assert_int_equal(netlink_watch_new(NETLINK_ROUTE, groups, 2, &watch), 0);
    assert_int_equal(netlink_watch_fd(watch), OPENED);
    for (size_t i = 0; i < ELEMENTS(overflows); i++) {
        size_t n = 0;
        (void)begin();
        (void)message_add(datagram_new(), RTM_NEWLINK, 0, 0, 16);
        if (overflows[i])
            datagram_new()->error = overflows[i];
        (void)datagram_new(); /* an empty one is none that was lost */
        Datagram *datagram = datagram_new();
        (void)message_add(datagram, RTM_NEWLINK, 0, 0, 16);
        (void)message_add(datagram, RTM_NEWLINK, 0, 0, 16);
        assert_int_equal(netlink_watch_read(watch, count, &n), overflows[i] != 0);
        assert_int_equal(n, 3);
        assert_int_equal(played.n_wiped, 2);
        assert_true(was_wiped(played.received, datagram->size));
    }
    netlink_watch_free(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_has_the_kernels_word, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_to_another_request_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(a_socket_that_fails_is_told_and_the_request_wiped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_empty_datagram_is_no_answer_and_no_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dump_is_read_over_several_datagrams_to_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_dump_that_a_change_interrupted_is_asked_for_again_and_handed_on_once, setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_dump_that_is_interrupted_again_and_again_is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_dump_that_fails_leaves_nothing_for_the_next_request_to_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_earlier_request_left_is_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_ends_with_its_last_answer_or_the_first_refusal,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_socket_that_can_not_be_had_is_told_and_nothing_left_open,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_of_a_request_goes_with_its_socket, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_watch_that_can_not_listen_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_reads_all_that_is_there_and_says_what_was_lost,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

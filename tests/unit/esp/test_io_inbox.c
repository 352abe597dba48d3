/* What the kernel says of a datagram beside its octets: DSCP and ECN are those of the outer header,
 * and nothing else is taken for them. */
#include "esp/io.h"

#include "base/cleanup.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MARK = 0xb9 }; /* EF, and ECT(1) */

static void set(int fd, int level, int option, int value)
{
    assert_int_equal(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

/* The traffic class that is read of a datagram over loopback, where the receiver has asked to be
 * told `told`. */
static uint8_t read_of(int family, int told)
{
    _cleanup_(close_fdp) int from = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    _cleanup_(close_fdp) int to = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    static const uint8_t octets[] = {1, 2, 3, 4, 5};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = family == AF_INET ? (void *)&ipv4 : (void *)&ipv6;
    socklen_t size = family == AF_INET ? sizeof(ipv4) : sizeof(ipv6);
    Inbox *inbox = NULL;

    if (from < 0 || bind(to, address, size) != 0)
        skip(); /* no IPv6 here */
    assert_int_equal(getsockname(to, address, &size), 0);
    set(to, level, told, 1);
    set(from, level, family == AF_INET ? IP_TOS : IPV6_TCLASS, MARK);
    assert_int_equal(sendto(from, octets, sizeof(octets), 0, address, size), sizeof(octets));
    assert_int_equal(inbox_new(&inbox), 0);
    assert_int_equal(inbox_receive(inbox, to), 1);
    const InboxRun run = inbox_run(inbox, 0);
    assert_int_equal(run.size, sizeof(octets));
    assert_int_equal(run.segment_size, sizeof(octets));
    assert_memory_equal(run.data, octets, sizeof(octets));
    assert_int_equal(inbox_receive(inbox, to), -EAGAIN);
    inbox_free(inbox);
    return run.traffic_class;
}

static void the_outer_headers_dscp_and_ecn_are_read(void **state)
{
    (void)state;
    assert_int_equal(read_of(AF_INET, IP_RECVTOS), MARK);
}

static void those_of_ipv6_are_read(void **state)
{
    (void)state;
    assert_int_equal(read_of(AF_INET6, IPV6_RECVTCLASS), MARK);
}

static void a_time_to_live_is_no_dscp(void **state)
{
    (void)state;
    assert_int_equal(read_of(AF_INET, IP_RECVTTL), 0);
}

static void a_hop_limit_is_no_dscp(void **state)
{
    (void)state;
    assert_int_equal(read_of(AF_INET6, IPV6_RECVHOPLIMIT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_outer_headers_dscp_and_ecn_are_read),
        cmocka_unit_test(those_of_ipv6_are_read),
        cmocka_unit_test(a_time_to_live_is_no_dscp),
        cmocka_unit_test(a_hop_limit_is_no_dscp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

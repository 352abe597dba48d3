/* Does the kernel hand each datagram to the socket that it is for? */
#include "dataplane/transport.h"

#include "dataplane/dataplane_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

enum { DATAGRAMS = 1000, SIZE_MAX_SENT = 64 };

typedef struct Lab {
    Transport transport;
    int peer;
} Lab;

static struct sockaddr_storage loopback(sa_family_t family, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    if (family == AF_INET) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&storage, &address, sizeof(address));
    } else {
        struct sockaddr_in6 address = {
            .sin6_family = AF_INET6,
            .sin6_port = port,
            .sin6_addr = IN6ADDR_LOOPBACK_INIT,
        };
        memcpy(&storage, &address, sizeof(address));
    }
    return storage;
}

static void lab_init(Lab *lab, sa_family_t family)
{
    struct sockaddr_storage local = loopback(family, 0);
    assert_int_equal(transport_init(&lab->transport, &local), 0);
    lab->peer = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(lab->peer >= 0);
    assert_int_equal(bind(lab->peer, (struct sockaddr *)&local, address_size(&local)), 0);
}

static void lab_deinit(Lab *lab)
{
    transport_deinit(&lab->transport);
    (void)close(lab->peer);
}

static void send_datagram(const Lab *lab, const uint8_t *data, size_t size)
{
    assert_int_equal(sendto(lab->peer, data, size, 0,
                            (const struct sockaddr *)&lab->transport.local,
                            address_size(&lab->transport.local)),
                     size);
}

/* Receives one datagram at `fd` and checks that it is the one; nothing may be at `other`. */
static void expect_datagram(int fd, int other, const uint8_t *data, size_t size)
{
    uint8_t buffer[SIZE_MAX_SENT];
    assert_int_equal(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), size);
    assert_memory_equal(buffer, data, size);
    assert_int_equal(recv(other, buffer, sizeof(buffer), MSG_DONTWAIT), -1);
}

static void check_sorting(sa_family_t family)
{
    Lab lab;
    lab_init(&lab, family);
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        bool ike = i % 3 == 0;
        uint8_t data[SIZE_MAX_SENT] = {0};
        memset(data + 4, (int)i, sizeof(data) - 4);
        if (!ike)
            data[i % 4] = (uint8_t)(1 + i % 255);
        size_t size = 4 + i % (sizeof(data) - 4);
        send_datagram(&lab, data, size);
        expect_datagram(ike ? lab.transport.ike_fd : lab.transport.esp_fd,
                        ike ? lab.transport.esp_fd : lab.transport.ike_fd, data, size);
    }
    lab_deinit(&lab);
}

static void each_of_1000_datagrams_over_ipv4_reaches_its_socket(void **state)
{
    (void)state;
    check_sorting(AF_INET);
}

static void each_of_1000_datagrams_over_ipv6_reaches_its_socket(void **state)
{
    (void)state;
    check_sorting(AF_INET6);
}

static void a_keepalive_and_what_is_too_short_never_disturb_ike(void **state)
{
    (void)state;
    const uint8_t keepalive[] = {0xff}, zeros[] = {0, 0, 0};
    Lab lab;
    lab_init(&lab, AF_INET);
    send_datagram(&lab, keepalive, sizeof(keepalive));
    expect_datagram(lab.transport.esp_fd, lab.transport.ike_fd, keepalive, sizeof(keepalive));
    send_datagram(&lab, zeros, sizeof(zeros));
    expect_datagram(lab.transport.esp_fd, lab.transport.ike_fd, zeros, sizeof(zeros));
    send_datagram(&lab, NULL, 0);
    expect_datagram(lab.transport.esp_fd, lab.transport.ike_fd, NULL, 0);
    lab_deinit(&lab);
}

/* True if what the peer sends reaches the ESP socket when only `remote` may. */
static bool is_taken_from(const struct sockaddr_storage *remote)
{
    const uint8_t esp[] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t buffer[SIZE_MAX_SENT];
    Lab lab;
    lab_init(&lab, remote->ss_family);
    assert_int_equal(transport_take_from(&lab.transport, remote), 0);
    send_datagram(&lab, esp, sizeof(esp));
    bool taken = recv(lab.transport.esp_fd, buffer, sizeof(buffer), MSG_DONTWAIT) == sizeof(esp);
    lab_deinit(&lab);
    return taken;
}

static void esp_comes_from_the_peers_address_alone(void **state)
{
    (void)state;
    const size_t offset_v4 = offsetof(struct sockaddr_in, sin_addr);
    const size_t offset_v6 = offsetof(struct sockaddr_in6, sin6_addr);
    struct sockaddr_storage v4 = loopback(AF_INET, 0), v6 = loopback(AF_INET6, 0);
    assert_true(is_taken_from(&v4));
    assert_true(is_taken_from(&v6));
    for (size_t i = 0; i < sizeof(struct in_addr); i++) {
        struct sockaddr_storage other = v4;
        ((uint8_t *)&other)[offset_v4 + i] ^= 1;
        assert_false(is_taken_from(&other));
    }
    for (size_t i = 0; i < sizeof(struct in6_addr); i++) {
        struct sockaddr_storage other = v6;
        ((uint8_t *)&other)[offset_v6 + i] ^= 1;
        assert_false(is_taken_from(&other));
    }
}

/* How many datagrams the ESP socket keeps of 1,000 that come before it is read. */
static unsigned kept(bool widened)
{
    const uint8_t esp[SIZE_MAX_SENT] = {1};
    uint8_t buffer[SIZE_MAX_SENT];
    unsigned count = 0;
    Lab lab;
    lab_init(&lab, AF_INET);
    if (widened)
        transport_widen(&lab.transport);
    for (unsigned i = 0; i < DATAGRAMS; i++)
        send_datagram(&lab, esp, sizeof(esp));
    while (recv(lab.transport.esp_fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
        count++;
    lab_deinit(&lab);
    return count;
}

static void little_is_kept_before_there_is_an_sa(void **state)
{
    (void)state;
    unsigned before = kept(false), with = kept(true);
    assert_in_range(before, 10, 200);
    assert_in_range(with, 2 * before, DATAGRAMS);
}

static void both_sockets_send_from_the_one_port(void **state)
{
    (void)state;
    Lab lab;
    lab_init(&lab, AF_INET);
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    assert_int_equal(getsockname(lab.peer, (struct sockaddr *)&peer, &size), 0);
    const int fds[] = {lab.transport.ike_fd, lab.transport.esp_fd};
    for (size_t i = 0; i < ELEMENTS(fds); i++) {
        uint8_t octet = 0;
        struct sockaddr_in from, local;
        socklen_t from_size = sizeof(from);
        assert_int_equal(sendto(fds[i], &octet, 1, 0, (struct sockaddr *)&peer, size), 1);
        assert_int_equal(
            recvfrom(lab.peer, &octet, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size), 1);
        memcpy(&local, &lab.transport.local, sizeof(local));
        assert_int_equal(from.sin_port, local.sin_port);
        assert_int_not_equal(from.sin_port, 0);
    }
    lab_deinit(&lab);
}

/* Why neither may be connected: this is what would happen. */
static void a_connected_socket_would_take_the_other_ones_datagrams(void **state)
{
    (void)state;
    const uint8_t esp[] = {1, 2, 3, 4, 5, 6, 7, 8};
    Lab lab;
    lab_init(&lab, AF_INET);
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    assert_int_equal(getsockname(lab.peer, (struct sockaddr *)&peer, &size), 0);
    assert_int_equal(connect(lab.transport.ike_fd, (struct sockaddr *)&peer, size), 0);
    send_datagram(&lab, esp, sizeof(esp));
    expect_datagram(lab.transport.ike_fd, lab.transport.esp_fd, esp, sizeof(esp));
    lab_deinit(&lab);
}

static void a_copy_of_the_ike_socket_may_close_without_harm(void **state)
{
    (void)state;
    const uint8_t ike[] = {0, 0, 0, 0, 9}, esp[] = {1, 0, 0, 0, 9};
    Lab lab;
    lab_init(&lab, AF_INET);
    int copy = dup(lab.transport.ike_fd);
    assert_true(copy >= 0);
    (void)close(copy);
    send_datagram(&lab, esp, sizeof(esp));
    expect_datagram(lab.transport.esp_fd, lab.transport.ike_fd, esp, sizeof(esp));
    send_datagram(&lab, ike, sizeof(ike));
    expect_datagram(lab.transport.ike_fd, lab.transport.esp_fd, ike, sizeof(ike));
    lab_deinit(&lab);
}

static void the_payload_that_fits_the_loopback_is_its_mtu_less_the_headers(void **state)
{
    (void)state;
    /* The interface's is 65536; the largest that IP knows is one less. */
    struct sockaddr_storage ipv4 = loopback(AF_INET, htons(4500));
    assert_int_equal(transport_payload_max(&ipv4), 65535 - 28);
    struct sockaddr_storage ipv6 = loopback(AF_INET6, htons(4500));
    assert_int_equal(transport_payload_max(&ipv6), 65536 - 48);
}

/* Of a call that succeeds nothing is read of what errno was before. */
static void what_is_diverted_goes_to_the_kernel_and_comes_no_more(void **state)
{
    (void)state;
    const uint8_t esp[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    uint8_t buffer[SIZE_MAX_SENT];
    Lab lab;
    lab_init(&lab, AF_INET);
    errno = EIO;
    assert_int_equal(plane_transport_divert(&lab.transport), 0);
    send_datagram(&lab, esp, sizeof(esp));
    assert_int_equal(recv(lab.transport.esp_fd, buffer, sizeof(buffer), MSG_DONTWAIT), -1);
    lab_deinit(&lab);
    const Transport none = {.ike_fd = -1, .esp_fd = -1};
    assert_int_equal(plane_transport_divert(&none), -EBADF);
}

static void what_is_handed_the_ike_socket_can_not_change_the_sorting(void **state)
{
    (void)state;
    struct sock_filter all_to_ike[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {.len = ELEMENTS(all_to_ike), .filter = all_to_ike};
    const uint8_t ike[] = {0, 0, 0, 0, 9}, esp[] = {1, 0, 0, 0, 9};
    Lab lab;
    lab_init(&lab, AF_INET);
    int fd = lab.transport.ike_fd, off = 0;
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)), -1);
    assert_int_equal(errno, EPERM);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
    send_datagram(&lab, esp, sizeof(esp));
    expect_datagram(lab.transport.esp_fd, lab.transport.ike_fd, esp, sizeof(esp));
    send_datagram(&lab, ike, sizeof(ike));
    expect_datagram(lab.transport.ike_fd, lab.transport.esp_fd, ike, sizeof(ike));
    lab_deinit(&lab);
}

/* ---- where there are but two ports; these come last, as they leave the network of the others ----
 */

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* A network of its own, in which the kernel chooses among two ports. */
static bool enter_network(void)
{
    struct ifreq loopback_up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK};

    if (unshare(getuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback_up) == 0;
    (void)close(fd);
    return up && write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001");
}

static int setup_two_ports(void **state)
{
    static bool entered;

    if (!entered)
        entered = enter_network();
    *state = entered ? &entered : NULL;
    return 0;
}

static uint16_t port_of(const Transport *transport)
{
    struct sockaddr_in local;
    memcpy(&local, &transport->local, sizeof(local));
    return ntohs(local.sin_port);
}

static void two_transports_never_share_a_port(void **state)
{
    if (!*state)
        skip(); /* no namespace can be made here */
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_storage local = loopback(AF_INET, 0);
        Transport first, second, third;
        assert_int_equal(transport_init(&first, &local), 0);
        assert_int_equal(transport_init(&second, &local), 0);
        assert_int_not_equal(port_of(&first), port_of(&second));
        assert_int_equal(transport_init(&third, &local), -EADDRINUSE);
        transport_deinit(&first);
        transport_deinit(&second);
    }
}

/* A client may keep its copy of the IKE socket beyond the exchange. */
static void a_port_whose_ike_socket_was_kept_is_not_given_out_again(void **state)
{
    if (!*state)
        skip(); /* no namespace can be made here */
    struct sockaddr_storage local = loopback(AF_INET, 0);
    Transport first;
    assert_int_equal(transport_init(&first, &local), 0);
    int kept = dup(first.ike_fd);
    assert_true(kept >= 0);
    transport_deinit(&first);
    for (unsigned i = 0; i < 64; i++) {
        Transport second;
        assert_int_equal(transport_init(&second, &local), 0);
        assert_int_not_equal(port_of(&first), port_of(&second));
        transport_deinit(&second);
    }
    (void)close(kept);
}

static void our_address_is_the_routes_unless_it_is_given(void **state)
{
    (void)state;
    static const sa_family_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < ELEMENTS(families); i++) {
        const struct sockaddr_storage remote = loopback(families[i], htons(4500));
        const struct sockaddr_storage own = loopback(families[i], htons(1000));
        struct sockaddr_storage any = {.ss_family = families[i]};
        memcpy((uint8_t *)&any + 2, (const uint8_t *)&own + 2, 2); /* the port alone */
        assert_int_equal(transport_source(&any, &remote), 0);
        assert_memory_equal(&any, &own, address_size(&own));
    }
    struct sockaddr_storage given = loopback(AF_INET, 0);
    const struct sockaddr_storage remote = loopback(AF_INET, htons(4500));
    ((struct sockaddr_in *)&given)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    const struct sockaddr_storage as_it_was = given;
    assert_int_equal(transport_source(&given, &remote), 0);
    assert_memory_equal(&given, &as_it_was, sizeof(given));
    const struct sockaddr_storage nowhere = {.ss_family = AF_UNIX};
    assert_true(transport_source(&given, &nowhere) < 0);
    assert_true(transport_payload_max(&nowhere) < 0);
}

static void ipv6_is_ipv6_alone_on_both_sockets(void **state)
{
    (void)state;
    /* One that is bound to an address of IPv6 is so by itself. */
    const struct sockaddr_storage any = {.ss_family = AF_INET6};
    Transport transport;
    assert_int_equal(transport_init(&transport, &any), 0);
    const int fds[] = {transport.ike_fd, transport.esp_fd};
    for (size_t i = 0; i < ELEMENTS(fds); i++) {
        int only = 0;
        socklen_t size = sizeof(only);
        assert_int_equal(getsockopt(fds[i], IPPROTO_IPV6, IPV6_V6ONLY, &only, &size), 0);
        assert_int_equal(only, 1);
    }
    transport_deinit(&transport);
}

/* Which setting of an option fails, from now on; 1: the next; 0: none. */
static unsigned option_fails_at;

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    if (option_fails_at > 0 && --option_fails_at == 0) {
        errno = ENOBUFS;
        return -1;
    }
    return __real_setsockopt(fd, level, option, value, size);
}

/* Two of SO_REUSEPORT, two of the sorting, two of the ESP socket; and with IPv6 two more. */
static void sockets_that_lack_an_option_are_none(void **state)
{
    static const struct {
        sa_family_t family;
        unsigned n;
    } cases[] = {{AF_INET, 6}, {AF_INET6, 8}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const struct sockaddr_storage local = loopback(cases[i].family, 0);
        Transport transport;
        for (unsigned nth = 1; nth <= cases[i].n; nth++) {
            option_fails_at = nth;
            assert_int_equal(transport_init(&transport, &local), -ENOBUFS);
            assert_int_equal(transport.ike_fd, -1);
            assert_int_equal(transport.esp_fd, -1);
        }
        option_fails_at = cases[i].n + 1;
        assert_int_equal(transport_init(&transport, &local), 0);
        assert_int_equal(option_fails_at, 1);
        option_fails_at = 0;
        transport_deinit(&transport);
    }
}

/* In a network of its own, which has but its loopback. */
static void where_no_route_goes_nothing_fits_and_no_address_is_ours(void **state)
{
    enum { TEST_NET_1 = 0xc0000201 }; /* 192.0.2.1, RFC 5737 */
    struct sockaddr_storage local = {.ss_family = AF_INET}, remote = loopback(AF_INET, htons(4500));
    const struct sockaddr_storage as_it_was = local;

    if (!*state)
        skip(); /* no namespace can be made here */
    ((struct sockaddr_in *)&remote)->sin_addr.s_addr = htonl(TEST_NET_1);
    assert_int_equal(transport_payload_max(&remote), -ENETUNREACH);
    assert_int_equal(transport_source(&local, &remote), -ENETUNREACH);
    assert_memory_equal(&local, &as_it_was, sizeof(local));
}

static void what_is_held_has_the_kernel_look_for_joined_datagrams(void **state)
{
    (void)state;
    _cleanup_(close_fdp) int fd = transport_hold_encapsulation();
    int joins = 0;
    socklen_t size = sizeof(joins);
    assert_true(fd >= 0);
    assert_int_equal(getsockopt(fd, IPPROTO_UDP, UDP_GRO, &joins, &size), 0);
    assert_int_equal(joins, 1);
    /* Of IPv6, where there is any: it holds both. */
    const int ipv6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int family = 0;
    size = sizeof(family);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size), 0);
    assert_int_equal(family, ipv6 < 0 ? AF_INET : AF_INET6);
    (void)close(ipv6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_1000_datagrams_over_ipv4_reaches_its_socket),
        cmocka_unit_test(each_of_1000_datagrams_over_ipv6_reaches_its_socket),
        cmocka_unit_test(a_keepalive_and_what_is_too_short_never_disturb_ike),
        cmocka_unit_test(esp_comes_from_the_peers_address_alone),
        cmocka_unit_test(little_is_kept_before_there_is_an_sa),
        cmocka_unit_test(both_sockets_send_from_the_one_port),
        cmocka_unit_test(a_connected_socket_would_take_the_other_ones_datagrams),
        cmocka_unit_test(a_copy_of_the_ike_socket_may_close_without_harm),
        cmocka_unit_test(the_payload_that_fits_the_loopback_is_its_mtu_less_the_headers),
        cmocka_unit_test(what_is_diverted_goes_to_the_kernel_and_comes_no_more),
        cmocka_unit_test(what_is_handed_the_ike_socket_can_not_change_the_sorting),
        cmocka_unit_test(our_address_is_the_routes_unless_it_is_given),
        cmocka_unit_test(ipv6_is_ipv6_alone_on_both_sockets),
        cmocka_unit_test(sockets_that_lack_an_option_are_none),
        cmocka_unit_test(what_is_held_has_the_kernel_look_for_joined_datagrams),
        cmocka_unit_test_setup(where_no_route_goes_nothing_fits_and_no_address_is_ours,
                               setup_two_ports),
        cmocka_unit_test_setup(two_transports_never_share_a_port, setup_two_ports),
        cmocka_unit_test_setup(a_port_whose_ike_socket_was_kept_is_not_given_out_again,
                               setup_two_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

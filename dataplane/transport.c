/* One UDP port that IKE and ESP share without sharing a process. */
#include "dataplane/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

enum {
    ESP_BUFFER_SIZE = 8 * 1024 * 1024, /* some ms of traffic at the speed of a network card */
    /* Without a Child SA: the SeGW's first packets, which may come before ours is there. */
    ESP_IDLE_BUFFER_SIZE = 32 * 1024,
    ESP_SEND_TIMEOUT_US = 100000,
    UDP_HEADER_SIZE = 8,
    IPV4_HEADER_SIZE = 20,
    IPV6_HEADER_SIZE = 40,
    IPV4_SOURCE_OFFSET = 12, /* RFC 791 3.1 */
    IPV6_SOURCE_OFFSET = 8,  /* RFC 8200 3 */
    WORD_SIZE = 4,
    ADDRESS_WORDS_MAX = 4,
};

enum { SOCKET_IKE = 0, SOCKET_ESP = 1 }; /* in the order of binding */

socklen_t address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The port of a socket that has SO_REUSEPORT may be chosen for another one that has it, too: only
 * one that is bound without gets a port that nobody has. From then on a second one may join it. */
static int bind_socket(const struct sockaddr_storage *local, bool join, int *ret)
{
    _cleanup_(close_fdp) int fd = socket(local->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    int r = 0;

    if (fd < 0)
        return -errno;
    if (join)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r >= 0 && local->ss_family == AF_INET6)
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (r >= 0 && bind(fd, (const struct sockaddr *)local, address_size(local)) < 0)
        r = -errno;
    if (r >= 0 && !join)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r < 0)
        return r;
    *ret = steal_fd(&fd);
    return 0;
}

/* Classic BPF over the UDP payload; what it returns is the number of the socket. A load beyond the
 * payload's end would end it with 0, so short datagrams are sorted by their length first. */
static int attach_sorting(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 4, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), /* SPI 0 is no ESP packet: RFC 4303 2.1 */
        BPF_STMT(BPF_RET | BPF_K, SOCKET_IKE),
        BPF_STMT(BPF_RET | BPF_K, SOCKET_ESP),
    };
    const struct sock_fprog program = {.len = ELEMENTS(code), .filter = code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
        return -errno;
    return set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1); /* against who the socket is handed to */
}

void transport_widen(const Transport *transport)
{
    (void)set_option(transport->esp_fd, SOL_SOCKET, SO_RCVBUF, ESP_BUFFER_SIZE);
    (void)set_option(transport->esp_fd, SOL_SOCKET, SO_SNDBUF, ESP_BUFFER_SIZE);
}

/* Room for little, and an end to waiting on the way out. */
static int prepare_esp(int fd)
{
    int r = set_option(fd, SOL_SOCKET, SO_RCVBUF, ESP_IDLE_BUFFER_SIZE);
    if (r < 0)
        return r;
    const struct timeval timeout = {.tv_usec = ESP_SEND_TIMEOUT_US};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
        return -errno;
    return 0;
}

int transport_hold_encapsulation(void)
{
    _cleanup_(close_fdp) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);

    if (fd < 0)
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0 || set_option(fd, SOL_UDP, UDP_GRO, 1) < 0)
        return -1;
    return steal_fd(&fd);
}

int transport_init(Transport *transport, const struct sockaddr_storage *local)
{
    *transport = (Transport){.ike_fd = -1, .esp_fd = -1, .local = *local};
    socklen_t size = sizeof(transport->local);
    int r = bind_socket(local, false, &transport->ike_fd);
    if (r >= 0 && getsockname(transport->ike_fd, (struct sockaddr *)&transport->local, &size) < 0)
        r = -errno;
    if (r >= 0)
        r = bind_socket(&transport->local, true, &transport->esp_fd);
    if (r >= 0) /* there is something to sort from the second one on */
        r = attach_sorting(transport->ike_fd);
    if (r >= 0)
        r = prepare_esp(transport->esp_fd);
    if (r < 0)
        transport_deinit(transport);
    return r;
}

/* Classic BPF that is run for what the socket is about to queue. Loads at SKF_NET_OFF begin with
 * the IP header; one that fails drops the datagram. */
int transport_take_from(const Transport *transport, const struct sockaddr_storage *remote)
{
    struct sock_filter code[2 * ADDRESS_WORDS_MAX + 2];
    struct sock_fprog program = {.filter = code};
    uint32_t words[ADDRESS_WORDS_MAX];
    bool ipv4 = remote->ss_family == AF_INET;
    unsigned n_words = ipv4 ? 1 : ADDRESS_WORDS_MAX;
    unsigned offset = ipv4 ? IPV4_SOURCE_OFFSET : IPV6_SOURCE_OFFSET;

    if (ipv4) {
        memcpy(words, &((const struct sockaddr_in *)remote)->sin_addr, sizeof(words[0]));
    } else {
        memcpy(words, &((const struct sockaddr_in6 *)remote)->sin6_addr, sizeof(words));
    }
    for (unsigned i = 0; i < n_words; i++) {
        unsigned to_drop = 2 * (n_words - 1 - i) + 1; /* instructions that are passed over */
        code[program.len++] = (struct sock_filter)BPF_STMT(
            BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + offset + i * WORD_SIZE);
        code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                           ntohl(words[i]), 0, (uint8_t)to_drop);
    }
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    if (setsockopt(transport->esp_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int transport_show_ecn(const Transport *transport)
{
    return transport->local.ss_family == AF_INET
               ? set_option(transport->esp_fd, IPPROTO_IP, IP_RECVTOS, 1)
               : set_option(transport->esp_fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
}

void transport_deinit(Transport *transport)
{
    close_fdp(&transport->ike_fd);
    close_fdp(&transport->esp_fd);
}

/* A socket that is connected only to have the kernel look the route up: that sends nothing. */
static int connect_probe(const struct sockaddr_storage *remote, int *ret)
{
    _cleanup_(close_fdp) int fd = socket(remote->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)remote, address_size(remote)) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

int transport_payload_max(const struct sockaddr_storage *remote)
{
    bool ipv4 = remote->ss_family == AF_INET;
    _cleanup_(close_fdp) int fd = -1;
    int r = connect_probe(remote, &fd);
    if (r < 0)
        return r;
    int mtu = 0;
    socklen_t size = sizeof(mtu);
    if (getsockopt(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_MTU : IPV6_MTU, &mtu, &size) < 0)
        return -errno;
    int headers = UDP_HEADER_SIZE + (ipv4 ? IPV4_HEADER_SIZE : IPV6_HEADER_SIZE);
    return mtu > headers ? mtu - headers : -EMSGSIZE;
}

int transport_source(struct sockaddr_storage *local, const struct sockaddr_storage *remote)
{
    _cleanup_(close_fdp) int fd = -1;
    int r = connect_probe(remote, &fd);
    if (r < 0)
        return r;
    struct sockaddr_storage found;
    socklen_t size = sizeof(found);
    if (getsockname(fd, (struct sockaddr *)&found, &size) < 0)
        return -errno;
    if (local->ss_family == AF_INET) {
        struct sockaddr_in ipv4, source;
        memcpy(&ipv4, local, sizeof(ipv4));
        memcpy(&source, &found, sizeof(source));
        if (ipv4.sin_addr.s_addr == htonl(INADDR_ANY))
            ipv4.sin_addr = source.sin_addr;
        memcpy(local, &ipv4, sizeof(ipv4));
    } else {
        struct sockaddr_in6 ipv6, source;
        memcpy(&ipv6, local, sizeof(ipv6));
        memcpy(&source, &found, sizeof(source));
        if (IN6_IS_ADDR_UNSPECIFIED(&ipv6.sin6_addr))
            ipv6.sin6_addr = source.sin6_addr;
        memcpy(local, &ipv6, sizeof(ipv6));
    }
    return 0;
}

/* A UDP socket towards a SeGW: how it is opened, what goes out by it, and its errors. */
#include "ikeclient/udp_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/uio.h>

enum {
    IPV4_HEADER_SIZE = 20,
    IPV6_HEADER_SIZE = 40,
    UDP_HEADER_SIZE = 8,
};

void udp_socket_close(UdpSocket *socket_)
{
    socket_->source = sd_event_source_disable_unref(socket_->source);
    close_fdp(&socket_->fd);
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* IKE_SA_INIT can't be fragmented by IKE, so IP must be free to do it: no DF. And ICMP errors are
 * told, which a socket that is not connected has to ask for. */
static int prepare(int fd, const Endpoint *remote)
{
    bool v6 = remote->any.sa_family == AF_INET6;

    int r = v6 ? set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT)
               : set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    if (r < 0)
        return r;
    return v6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
              : set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
}

static int socket_new(const Endpoint *remote, int *ret)
{
    *ret = socket(remote->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
    return *ret < 0 ? -errno : 0;
}

int udp_source(const Endpoint *remote, Endpoint *ret)
{
    _cleanup_(close_fdp) int fd = -1;
    socklen_t size = sizeof(*ret);

    int r = socket_new(remote, &fd);
    if (r == 0 && (connect(fd, &remote->any, endpoint_size(remote)) < 0 ||
                   getsockname(fd, &ret->any, &size) < 0))
        r = -errno;
    if (r == 0)
        endpoint_set_port(ret, 0);
    return r;
}

/* Bound to one address, as NAT detection needs to know which that is. */
int udp_socket_open(const Endpoint *remote, UdpSocket *ret)
{
    UdpSocket new = {.fd = -1, .remote = *remote};
    socklen_t size = sizeof(new.local);

    int r = udp_source(remote, &new.local);
    if (r == 0)
        r = socket_new(remote, &new.fd);
    if (r == 0)
        r = prepare(new.fd, remote);
    if (r == 0 && (bind(new.fd, &new.local.any, endpoint_size(&new.local)) < 0 ||
                   getsockname(new.fd, &new.local.any, &size) < 0))
        r = -errno;
    if (r < 0) {
        udp_socket_close(&new);
    } else {
        *ret = new;
    }
    return r;
}

int udp_socket_adopt(int fd, const Endpoint *remote, UdpSocket *ret)
{
    UdpSocket new = {.remote = *remote, .marker = true};
    socklen_t size = sizeof(new.local);

    new.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (new.fd < 0)
        return -errno;
    int r = prepare(new.fd, &new.remote);
    if (r == 0 && getsockname(new.fd, &new.local.any, &size) < 0)
        r = -errno;
    if (r < 0) {
        udp_socket_close(&new);
    } else {
        *ret = new;
    }
    return r;
}

bool udp_socket_strip(const UdpSocket *socket_, Bytes *datagram)
{
    Reader reader;
    uint32_t marker = 0;

    if (!socket_->marker)
        return true;
    reader_init(&reader, *datagram);
    if (reader_u32(&reader, &marker) < 0 || marker != 0)
        return false;
    *datagram = reader_rest(&reader);
    return true;
}

int udp_socket_error(int fd)
{
    _Alignas(struct cmsghdr)
        uint8_t control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
    struct msghdr header = {.msg_control = control, .msg_controllen = sizeof(control)};
    int error = 0;

    while (recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
        struct cmsghdr *message = CMSG_FIRSTHDR(&header);
        struct sock_extended_err reported;
        if (message && message->cmsg_len >= CMSG_LEN(sizeof(reported))) {
            memcpy(&reported, CMSG_DATA(message), sizeof(reported));
            error = (int)reported.ee_errno;
        }
        header = (struct msghdr){.msg_control = control, .msg_controllen = sizeof(control)};
    }
    return error;
}

static ssize_t send_parts(const UdpSocket *socket_, struct iovec *parts, size_t count,
                          const Endpoint *to)
{
    Endpoint name = *to;
    const struct msghdr header = {
        .msg_name = &name, .msg_namelen = endpoint_size(to), .msg_iov = parts, .msg_iovlen = count};

    return sendmsg(socket_->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t udp_socket_send(const UdpSocket *way, Bytes message, const Endpoint *to)
{
    static const uint8_t marker[UDP_SOCKET_MARKER_SIZE];
    struct iovec parts[2] = {{.iov_len = way->marker ? UDP_SOCKET_MARKER_SIZE : 0},
                             {.iov_len = message.size}};

    /* iovec has no const; sendmsg() only reads. */
    memcpy(&parts[0].iov_base, &(const void *){marker}, sizeof(void *));
    memcpy(&parts[1].iov_base, &message.data, sizeof(void *));
    ssize_t n = send_parts(way, parts, ELEMENTS(parts), to);
    if (n < 0) /* it may be an ICMP error of the last one, reported now: this one is unsent */
        n = send_parts(way, parts, ELEMENTS(parts), to);
    return n;
}

void udp_socket_keep_alive(const UdpSocket *way)
{
    uint8_t keepalive = 0xff;
    struct iovec part = {&keepalive, sizeof(keepalive)};

    (void)send_parts(way, &part, 1, &way->remote);
}

size_t udp_socket_overhead(const UdpSocket *way)
{
    bool v6 = way->remote.any.sa_family == AF_INET6;

    return (size_t)(v6 ? IPV6_HEADER_SIZE : IPV4_HEADER_SIZE) + UDP_HEADER_SIZE +
           (way->marker ? UDP_SOCKET_MARKER_SIZE : 0);
}

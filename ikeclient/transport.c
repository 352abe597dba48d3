/* The UDP sockets to one SeGW, before and after the move to its port 4500. */
#include "ikeclient/transport.h"

#include "ikewire/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

enum {
    MARKER_SIZE = 4, /* RFC 7296 2.23: four zero octets, where ESP has its SPI */
    IPV4_HEADER_SIZE = 20,
    IPV6_HEADER_SIZE = 40,
    UDP_HEADER_SIZE = 8,
    USEC_PER_SEC = 1000000,
    ACCURACY_USEC = 100000,
    DATAGRAM_MAX =
        MARKER_SIZE + IKE_MESSAGE_MAX + 1, /* one more than is taken, to see what is not */
};

void datagrams_deinit(Datagrams *datagrams)
{
    for (size_t i = 0; i < datagrams->count; i++)
        free(datagrams->items[i].data);
    datagrams->count = 0;
}

int datagrams_set(Datagrams *datagrams, const Bytes *views, size_t count)
{
    datagrams_deinit(datagrams);
    if (count > DATAGRAMS_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = malloc(views[i].size > 0 ? views[i].size : 1);
        if (!copy) {
            datagrams_deinit(datagrams);
            return -ENOMEM;
        }
        if (views[i].size > 0)
            memcpy(copy, views[i].data, views[i].size);
        datagrams->items[datagrams->count].data = copy;
        datagrams->items[datagrams->count].size = views[i].size;
        datagrams->count++;
    }
    return 0;
}

/* ---- sockets ---- */

typedef struct Socket {
    int fd;
    bool connected; /* else the sender of each datagram is looked at here */
    sd_event_source *source;
    Endpoint local;
    Endpoint remote;
} Socket;

struct Transport {
    sd_event *event;
    Socket socket;
    bool marker;
    TransportReceive receive;
    TransportHint hint;
    void *userdata;
    sd_event_source *keepalive;
    uint64_t keepalive_usec;
    uint64_t last_sent; /* CLOCK_MONOTONIC, µs */
    uint8_t *datagram;  /* DATAGRAM_MAX octets; not zeroed, so that what no datagram needs is not
                           touched */
};

static void socket_close(Socket *socket_)
{
    socket_->source = sd_event_source_disable_unref(socket_->source);
    close_fdp(&socket_->fd);
    socket_->fd = -1;
}

/* IKE_SA_INIT can't be fragmented by IKE, so IP must be free to do it: no DF. */
static int allow_fragments(int fd, const Endpoint *remote)
{
    bool v6 = remote->any.sa_family == AF_INET6;
    int v4_value = IP_PMTUDISC_DONT, v6_value = IPV6_PMTUDISC_DONT;

    int r = v6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6_value, sizeof(v6_value))
               : setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4_value, sizeof(v4_value));
    return r < 0 ? -errno : 0;
}

/* Connected, so that the kernel drops what others send, and hands us ICMP errors. */
static int socket_open(const Endpoint *remote, Socket *ret)
{
    Socket new = {.remote = *remote, .connected = true};
    socklen_t size = sizeof(new.local);

    new.fd = socket(remote->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
    if (new.fd < 0)
        return -errno;
    int r = allow_fragments(new.fd, remote);
    if (r == 0 && (connect(new.fd, &remote->any, endpoint_size(remote)) < 0 ||
                   getsockname(new.fd, &new.local.any, &size) < 0))
        r = -errno;
    if (r < 0) {
        socket_close(&new);
    } else {
        *ret = new;
    }
    return r;
}

/* Takes the marker off. False for what is not IKE: keepalives, ESP. */
static bool strip_marker(const Transport *transport, Bytes *datagram)
{
    Reader reader;
    uint32_t marker = 0;

    if (!transport->marker)
        return true;
    reader_init(&reader, *datagram);
    if (reader_u32(&reader, &marker) < 0 || marker != 0)
        return false;
    *datagram = reader_rest(&reader);
    return true;
}

static bool is_from(const Socket *socket_, const Endpoint *sender)
{
    return socket_->connected ||
           (endpoint_port(sender) == endpoint_port(&socket_->remote) &&
            bytes_equal(endpoint_address(sender), endpoint_address(&socket_->remote)));
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Transport *transport = userdata;
    (void)source;
    (void)events;

    /* One datagram a turn: the handler may free us. */
    Endpoint sender = {0};
    socklen_t sender_size = sizeof(sender);
    ssize_t size =
        recvfrom(fd, transport->datagram, DATAGRAM_MAX, MSG_DONTWAIT, &sender.any, &sender_size);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            transport->hint(transport->userdata, errno);
        return 0;
    }
    Bytes datagram = {transport->datagram, (size_t)size};
    if (is_from(&transport->socket, &sender) && strip_marker(transport, &datagram))
        transport->receive(transport->userdata, datagram);
    return 0;
}

int transport_new(sd_event *event, const Endpoint *segw, TransportReceive receive,
                  TransportHint hint, void *userdata, Transport **ret)
{
    _cleanup_(transport_freep) Transport *transport = calloc(1, sizeof(*transport));

    if (!transport)
        return -ENOMEM;
    transport->event = sd_event_ref(event);
    transport->receive = receive;
    transport->hint = hint;
    transport->userdata = userdata;
    transport->socket.fd = -1;
    transport->datagram = malloc(DATAGRAM_MAX);
    if (!transport->datagram)
        return -ENOMEM;

    int r = socket_open(segw, &transport->socket);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &transport->socket.source, transport->socket.fd, EPOLLIN,
                        on_readable, transport);
    if (r < 0)
        return r;
    *ret = steal_pointer(transport);
    return 0;
}

void transport_free(Transport *transport)
{
    sd_event_source_disable_unref(transport->keepalive);
    socket_close(&transport->socket);
    sd_event_unref(transport->event);
    free(transport->datagram);
    free(transport);
}

int transport_float(Transport *transport, int fd, uint16_t port)
{
    Socket new = {.remote = transport->socket.remote};
    socklen_t size = sizeof(new.local);
    int r;

    endpoint_set_port(&new.remote, port);
    new.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (new.fd < 0)
        return -errno;
    r = allow_fragments(new.fd, &new.remote);
    if (r == 0 && getsockname(new.fd, &new.local.any, &size) < 0)
        r = -errno;
    if (r == 0)
        r = sd_event_add_io(transport->event, &new.source, new.fd, EPOLLIN, on_readable, transport);
    if (r < 0) {
        socket_close(&new);
        return r;
    }
    socket_close(&transport->socket);
    transport->socket = new;
    transport->marker = true;
    return 0;
}

/* To the SeGW; a socket that is not connected has to be told. */
static ssize_t socket_send(Socket *socket_, struct iovec *parts, size_t count)
{
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = count};

    if (!socket_->connected) {
        header.msg_name = &socket_->remote;
        header.msg_namelen = endpoint_size(&socket_->remote);
    }
    return sendmsg(socket_->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int on_keepalive(sd_event_source *source, uint64_t usec, void *userdata)
{
    uint8_t keepalive = 0xff;
    struct iovec part = {&keepalive, sizeof(keepalive)};
    Transport *transport = userdata;
    uint64_t due = transport->last_sent + transport->keepalive_usec;

    if (usec >= due) {
        /* A keepalive that is lost is like one that was sent: nobody answers it. */
        (void)socket_send(&transport->socket, &part, 1);
        transport->last_sent = usec;
        due = usec + transport->keepalive_usec;
    }
    int r = sd_event_source_set_time(source, due);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int transport_keep_alive(Transport *transport, uint64_t seconds)
{
    transport->keepalive = sd_event_source_disable_unref(transport->keepalive);
    transport->keepalive_usec = seconds * USEC_PER_SEC;
    if (seconds == 0)
        return 0;
    return sd_event_add_time_relative(transport->event, &transport->keepalive, CLOCK_MONOTONIC,
                                      transport->keepalive_usec, ACCURACY_USEC, on_keepalive,
                                      transport);
}

void transport_send(Transport *transport, Bytes message)
{
    static const uint8_t marker[MARKER_SIZE];
    struct iovec parts[2] = {{.iov_len = transport->marker ? MARKER_SIZE : 0},
                             {.iov_len = message.size}};

    /* iovec has no const; sendmsg() only reads. */
    memcpy(&parts[0].iov_base, &(const void *){marker}, sizeof(void *));
    memcpy(&parts[1].iov_base, &message.data, sizeof(void *));
    ssize_t n = socket_send(&transport->socket, parts, ELEMENTS(parts));
    if (n < 0 &&
        errno == ECONNREFUSED) /* an ICMP error of the last one, reported now: this one is unsent */
        n = socket_send(&transport->socket, parts, ELEMENTS(parts));
    if (n < 0)
        transport->hint(transport->userdata, errno);
    (void)sd_event_now(transport->event, CLOCK_MONOTONIC, &transport->last_sent);
}

void transport_send_all(Transport *transport, const Datagrams *datagrams)
{
    for (size_t i = 0; i < datagrams->count; i++)
        transport_send(transport, (Bytes){datagrams->items[i].data, datagrams->items[i].size});
}

const Endpoint *transport_local(const Transport *transport)
{
    return &transport->socket.local;
}

const Endpoint *transport_remote(const Transport *transport)
{
    return &transport->socket.remote;
}

uint32_t transport_max_message(const Transport *transport, uint64_t packet)
{
    bool v6 = transport->socket.remote.any.sa_family == AF_INET6;
    uint64_t overhead = (uint64_t)(v6 ? IPV6_HEADER_SIZE : IPV4_HEADER_SIZE) + UDP_HEADER_SIZE +
                        (transport->marker ? MARKER_SIZE : 0);

    return (uint32_t)(packet - overhead);
}

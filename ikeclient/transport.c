/* The UDP sockets to one SeGW, before and after the move to its port 4500. */
#include "ikeclient/transport.h"

#include "ikewire/message.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
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

/* None is connected: what comes from another port or address of the SeGW's is worth a look. */
typedef struct Socket {
    int fd; /* -1: there is none */
    bool marker;
    sd_event_source *source;
    Endpoint local;
    Endpoint remote;
} Socket;

typedef struct Listener Listener;
struct Listener {
    Listener *next;
    TransportReceive receive;
    TransportHint hint;
    void *userdata;
};

struct Transport {
    sd_event *event;
    Socket first;   /* of IKE_SA_INIT */
    Socket floated; /* from IKE_AUTH on, where there is one */
    Socket tries[TRIES_MAX];
    Listener *listeners;
    sd_event_source *keepalive;
    uint64_t keepalive_usec;
    uint64_t last_sent; /* CLOCK_MONOTONIC, µs */
    uint8_t *datagram;  /* DATAGRAM_MAX octets; not zeroed, so that what no datagram needs is not
                           touched */
};

static const Socket *way_of(const Transport *transport)
{
    return transport->floated.fd >= 0 ? &transport->floated : &transport->first;
}

static void socket_close(Socket *socket_)
{
    socket_->source = sd_event_source_disable_unref(socket_->source);
    close_fdp(&socket_->fd);
    socket_->fd = -1;
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

int transport_source(const Endpoint *remote, Endpoint *ret)
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
static int socket_open(const Endpoint *remote, Socket *ret)
{
    Socket new = {.fd = -1, .remote = *remote};
    socklen_t size = sizeof(new.local);

    int r = transport_source(remote, &new.local);
    if (r == 0)
        r = socket_new(remote, &new.fd);
    if (r == 0)
        r = prepare(new.fd, remote);
    if (r == 0 && (bind(new.fd, &new.local.any, endpoint_size(&new.local)) < 0 ||
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
static bool strip_marker(const Socket *socket_, Bytes *datagram)
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

/* Reads the queue of errors empty, or the socket would stay readable for them. The last one counts.
 */
static int read_errors(int fd)
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

static void tell_hint(const Transport *transport, int error)
{
    for (const Listener *listener = transport->listeners; listener; listener = listener->next)
        listener->hint(listener->userdata, error);
}

static const Socket *socket_of(const Transport *transport, int fd)
{
    for (size_t i = 0; i < TRIES_MAX; i++) {
        if (transport->tries[i].fd == fd)
            return &transport->tries[i];
    }
    return fd == transport->floated.fd ? &transport->floated : &transport->first;
}

/* Of a way that is only tried nothing follows. */
static bool is_tried(const Transport *transport, int fd)
{
    return fd != transport->floated.fd && fd != transport->first.fd;
}

/* What the socket would fail with at the next call is of the same errors. */
static int on_error(Transport *transport, int fd)
{
    int pending = 0, error = read_errors(fd);
    socklen_t size = sizeof(pending);

    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &size);
    if ((error != 0 || pending != 0) && !is_tried(transport, fd))
        tell_hint(transport, error != 0 ? error : pending);
    return 0;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Transport *transport = userdata;
    (void)source;

    if (events & EPOLLERR)
        return on_error(transport, fd);
    /* One datagram a turn: the handler may free us. */
    Endpoint sender = {0};
    socklen_t sender_size = sizeof(sender);
    ssize_t size =
        recvfrom(fd, transport->datagram, DATAGRAM_MAX, MSG_DONTWAIT, &sender.any, &sender_size);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR && !is_tried(transport, fd))
            tell_hint(transport, errno);
        return 0;
    }
    const Socket *socket_ = socket_of(transport, fd);
    Bytes datagram = {transport->datagram, (size_t)size};
    if (sender.any.sa_family != socket_->remote.any.sa_family || !strip_marker(socket_, &datagram))
        return 0;
    const Listener *listener = transport->listeners;
    while (listener && !listener->receive(listener->userdata, datagram, &sender))
        listener = listener->next;
    return 0;
}

int transport_share(Transport *transport, TransportReceive receive, TransportHint hint,
                    void *userdata)
{
    Listener *listener = malloc(sizeof(*listener));

    if (!listener)
        return -ENOMEM;
    *listener = (Listener){transport->listeners, receive, hint, userdata};
    transport->listeners = listener;
    return 0;
}

void transport_leave(Transport *transport, const void *userdata)
{
    Listener **place = &transport->listeners;

    while (*place) {
        Listener *listener = *place;
        if (listener->userdata != userdata) {
            place = &listener->next;
            continue;
        }
        *place = listener->next;
        free(listener);
    }
    if (!transport->listeners)
        transport_free(transport);
}

int transport_new(sd_event *event, const Endpoint *segw, TransportReceive receive,
                  TransportHint hint, void *userdata, Transport **ret)
{
    _cleanup_(transport_freep) Transport *transport = calloc(1, sizeof(*transport));

    if (!transport)
        return -ENOMEM;
    transport->event = sd_event_ref(event);
    transport->first.fd = transport->floated.fd = -1;
    for (size_t i = 0; i < TRIES_MAX; i++)
        transport->tries[i].fd = -1;
    transport->datagram = malloc(DATAGRAM_MAX);
    if (!transport->datagram)
        return -ENOMEM;

    int r = transport_share(transport, receive, hint, userdata);
    if (r == 0)
        r = socket_open(segw, &transport->first);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &transport->first.source, transport->first.fd, EPOLLIN, on_readable,
                        transport);
    if (r < 0)
        return r;
    *ret = steal_pointer(transport);
    return 0;
}

void transport_free(Transport *transport)
{
    while (transport->listeners) {
        Listener *listener = transport->listeners;
        transport->listeners = listener->next;
        free(listener);
    }
    sd_event_source_disable_unref(transport->keepalive);
    transport_end_tries(transport);
    socket_close(&transport->first);
    socket_close(&transport->floated);
    sd_event_unref(transport->event);
    free(transport->datagram);
    free(transport);
}

int transport_float(Transport *transport, int fd, const Endpoint *remote)
{
    Socket new = {.remote = *remote, .marker = true};
    socklen_t size = sizeof(new.local);
    int r;

    new.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (new.fd < 0)
        return -errno;
    r = prepare(new.fd, &new.remote);
    if (r == 0 && getsockname(new.fd, &new.local.any, &size) < 0)
        r = -errno;
    if (r == 0)
        r = sd_event_add_io(transport->event, &new.source, new.fd, EPOLLIN, on_readable, transport);
    if (r < 0) {
        socket_close(&new);
        return r;
    }
    socket_close(&transport->floated);
    transport->floated = new;
    return 0;
}

void transport_settle(Transport *transport)
{
    if (transport->floated.fd >= 0)
        socket_close(&transport->first);
}

static ssize_t socket_send(const Socket *socket_, struct iovec *parts, size_t count,
                           const Endpoint *to)
{
    Endpoint name = *to;
    const struct msghdr header = {
        .msg_name = &name, .msg_namelen = endpoint_size(to), .msg_iov = parts, .msg_iovlen = count};

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
        const Socket *way = way_of(transport);
        (void)socket_send(way, &part, 1, &way->remote);
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

static ssize_t send_by(const Socket *way, Bytes message, const Endpoint *to)
{
    static const uint8_t marker[MARKER_SIZE];
    struct iovec parts[2] = {{.iov_len = way->marker ? MARKER_SIZE : 0}, {.iov_len = message.size}};

    /* iovec has no const; sendmsg() only reads. */
    memcpy(&parts[0].iov_base, &(const void *){marker}, sizeof(void *));
    memcpy(&parts[1].iov_base, &message.data, sizeof(void *));
    ssize_t n = socket_send(way, parts, ELEMENTS(parts), to);
    if (n < 0) /* it may be an ICMP error of the last one, reported now: this one is unsent */
        n = socket_send(way, parts, ELEMENTS(parts), to);
    return n;
}

static void send_to(Transport *transport, Bytes message, const Endpoint *to)
{
    if (send_by(way_of(transport), message, to) < 0)
        tell_hint(transport, errno);
    (void)sd_event_now(transport->event, CLOCK_MONOTONIC, &transport->last_sent);
}

void transport_send_all_to(Transport *transport, const Datagrams *datagrams, const Endpoint *to)
{
    for (size_t i = 0; i < datagrams->count; i++)
        send_to(transport, (Bytes){datagrams->items[i].data, datagrams->items[i].size}, to);
}

void transport_send_all(Transport *transport, const Datagrams *datagrams)
{
    const Endpoint to = *transport_remote(transport);

    transport_send_all_to(transport, datagrams, &to);
}

/* ---- other ways ---- */

/* NULL: there is no room, or it can't be opened. */
static const Socket *try_open(Transport *transport, const Endpoint *to, const Endpoint *source)
{
    Socket *place = NULL;

    for (size_t i = 0; i < TRIES_MAX; i++) {
        Socket *try = &transport->tries[i];
        if (try->fd >= 0 && endpoint_same_address(&try->local, source))
            return try;
        if (try->fd < 0 && !place)
            place = try;
    }
    if (!place || socket_open(to, place) < 0)
        return NULL;
    place->marker = true;
    if (sd_event_add_io(transport->event, &place->source, place->fd, EPOLLIN, on_readable,
                        transport) < 0) {
        socket_close(place);
        return NULL;
    }
    return place;
}

void transport_try(Transport *transport, const Datagrams *datagrams, const Endpoint *to,
                   const Endpoint *source)
{
    const Socket *way = way_of(transport);

    if (!way->marker || !endpoint_same_address(&way->local, source))
        way = try_open(transport, to, source);
    for (size_t i = 0; way && i < datagrams->count; i++)
        (void)send_by(way, (Bytes){datagrams->items[i].data, datagrams->items[i].size}, to);
}

void transport_end_tries(Transport *transport)
{
    for (size_t i = 0; i < TRIES_MAX; i++)
        socket_close(&transport->tries[i]);
}

/* ---- where it leads ---- */

const Endpoint *transport_local(const Transport *transport)
{
    return &way_of(transport)->local;
}

const Endpoint *transport_remote(const Transport *transport)
{
    return &way_of(transport)->remote;
}

TransportLook transport_look(const Transport *transport, Endpoint *ret_source)
{
    *ret_source = (Endpoint){0};
    if (transport_source(transport_remote(transport), ret_source) < 0)
        return TRANSPORT_NOWHERE;
    return endpoint_same_address(ret_source, transport_local(transport)) ? TRANSPORT_SAME
                                                                         : TRANSPORT_ELSEWHERE;
}

uint32_t transport_max_message(const Transport *transport, uint64_t packet)
{
    const Socket *way = way_of(transport);
    bool v6 = way->remote.any.sa_family == AF_INET6;
    uint64_t overhead = (uint64_t)(v6 ? IPV6_HEADER_SIZE : IPV4_HEADER_SIZE) + UDP_HEADER_SIZE +
                        (way->marker ? MARKER_SIZE : 0);

    return (uint32_t)(packet - overhead);
}

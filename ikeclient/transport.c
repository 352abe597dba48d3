/* The way to one SeGW: by which of its sockets, before and after the move to its port 4500; who is
 * told what comes in; keepalives; and other ways that are tried. */
#include "ikeclient/transport.h"

#include "ikeclient/udp_socket.h"
#include "ikewire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    USEC_PER_SEC = 1000000,
    ACCURACY_USEC = 100000,
    DATAGRAM_MAX = UDP_SOCKET_MARKER_SIZE + IKE_MESSAGE_MAX +
                   1, /* one more than is taken, to see what is not */
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

/* ---- who is told ---- */

typedef struct Listener Listener;
struct Listener {
    Listener *next;
    TransportReceive receive;
    TransportHint hint;
    void *userdata;
};

struct Transport {
    sd_event *event;
    UdpSocket first;   /* of IKE_SA_INIT */
    UdpSocket floated; /* from IKE_AUTH on, where there is one */
    UdpSocket tries[TRIES_MAX];
    Listener *listeners;
    sd_event_source *keepalive;
    uint64_t keepalive_usec;
    uint64_t last_sent; /* CLOCK_MONOTONIC, µs */
    uint8_t *datagram;  /* DATAGRAM_MAX octets; not zeroed, so that what no datagram needs is not
                           touched */
};

static const UdpSocket *way_of(const Transport *transport)
{
    return transport->floated.fd >= 0 ? &transport->floated : &transport->first;
}

static void tell_hint(const Transport *transport, int error)
{
    for (const Listener *listener = transport->listeners; listener; listener = listener->next)
        listener->hint(listener->userdata, error);
}

static const UdpSocket *socket_of(const Transport *transport, int fd)
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
    int pending = 0, error = udp_socket_error(fd);
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
    const UdpSocket *socket_ = socket_of(transport, fd);
    Bytes datagram = {transport->datagram, (size_t)size};
    if (sender.any.sa_family != socket_->remote.any.sa_family ||
        !udp_socket_strip(socket_, &datagram))
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
        r = udp_socket_open(segw, &transport->first);
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
    udp_socket_close(&transport->first);
    udp_socket_close(&transport->floated);
    sd_event_unref(transport->event);
    free(transport->datagram);
    free(transport);
}

int transport_float(Transport *transport, int fd, const Endpoint *remote)
{
    UdpSocket new;

    int r = udp_socket_adopt(fd, remote, &new);
    if (r < 0)
        return r;
    r = sd_event_add_io(transport->event, &new.source, new.fd, EPOLLIN, on_readable, transport);
    if (r < 0) {
        udp_socket_close(&new);
        return r;
    }
    udp_socket_close(&transport->floated);
    transport->floated = new;
    return 0;
}

void transport_settle(Transport *transport)
{
    if (transport->floated.fd >= 0)
        udp_socket_close(&transport->first);
}

static int on_keepalive(sd_event_source *source, uint64_t usec, void *userdata)
{
    Transport *transport = userdata;
    uint64_t due = transport->last_sent + transport->keepalive_usec;

    if (usec >= due) {
        udp_socket_keep_alive(way_of(transport));
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

static void send_to(Transport *transport, Bytes message, const Endpoint *to)
{
    if (udp_socket_send(way_of(transport), message, to) < 0)
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
static const UdpSocket *try_open(Transport *transport, const Endpoint *to, const Endpoint *source)
{
    UdpSocket *place = NULL;

    for (size_t i = 0; i < TRIES_MAX; i++) {
        UdpSocket *try = &transport->tries[i];
        if (try->fd >= 0 && endpoint_same_address(&try->local, source))
            return try;
        if (try->fd < 0 && !place)
            place = try;
    }
    if (!place || udp_socket_open(to, place) < 0)
        return NULL;
    place->marker = true;
    if (sd_event_add_io(transport->event, &place->source, place->fd, EPOLLIN, on_readable,
                        transport) < 0) {
        udp_socket_close(place);
        return NULL;
    }
    return place;
}

void transport_try(Transport *transport, const Datagrams *datagrams, const Endpoint *to,
                   const Endpoint *source)
{
    const UdpSocket *way = way_of(transport);

    if (!way->marker || !endpoint_same_address(&way->local, source))
        way = try_open(transport, to, source);
    for (size_t i = 0; way && i < datagrams->count; i++)
        (void)udp_socket_send(way, (Bytes){datagrams->items[i].data, datagrams->items[i].size}, to);
}

void transport_end_tries(Transport *transport)
{
    for (size_t i = 0; i < TRIES_MAX; i++)
        udp_socket_close(&transport->tries[i]);
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
    if (udp_source(transport_remote(transport), ret_source) < 0)
        return TRANSPORT_NOWHERE;
    return endpoint_same_address(ret_source, transport_local(transport)) ? TRANSPORT_SAME
                                                                         : TRANSPORT_ELSEWHERE;
}

uint32_t transport_max_message(const Transport *transport, uint64_t packet)
{
    return (uint32_t)(packet - udp_socket_overhead(way_of(transport)));
}

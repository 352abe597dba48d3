/* The list of connections: what tred and the kernel say is handed to each, and what each becomes is
 * told to the bus and to systemd. A netlink socket is told of changes, and reads none of them. */
#include "ikeclient/connections.h"

#include "base/log.h"
#include "base/manager.h"
#include "base/rest.h"
#include "ikeclient/bus.h"
#include "ikeclient/trebus.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum {
    STATUS_SIZE = 1024,
    STARTS_AT_ONCE = 4,   /* tred makes keys for one user in half of its time at the most */
    SETTLE_USEC = 200000, /* an address that changes goes and comes, and its routes after it */
    LOOKS_AT_ONCE = 16,   /* each may call tred, of whose answers there are TRE_PENDING_MAX … */
    LOOK_USEC = 20000,    /* … to come at the most, and 64 unread: so long it has for these */
    ACCURACY_USEC = 10000,
    MESSAGE_MAX = 8192,
};

/* ---- the kernel's word that addresses, links or routes of this host have changed ---- */

/* Something has changed, and since a fifth of a second nothing else has to be waited for. What it
 * is, is for who is told to look at: a lost message costs nothing. */
typedef void (*NetwatchHandler)(void *userdata);

typedef struct Netwatch {
    sd_event *event;
    sd_event_source *source;
    sd_event_source *timer;
    NetwatchHandler handler;
    void *userdata;
    int fd;
} Netwatch;

static void netwatch_free(Netwatch *watch)
{
    sd_event_source_disable_unref(watch->source);
    sd_event_source_disable_unref(watch->timer);
    if (watch->fd >= 0)
        close_fdp(&watch->fd);
    free(watch);
}

DEFINE_POINTER_CLEANUP(Netwatch, netwatch_free);

/* ENOBUFS is as good as any message. */
static void read_all(int fd)
{
    static char message[MESSAGE_MAX];
    ssize_t size;

    do {
        size = recv(fd, message, sizeof(message), MSG_DONTWAIT);
    } while (size >= 0 || errno == ENOBUFS || errno == EINTR);
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    Netwatch *watch = userdata;
    (void)source, (void)usec;

    watch->timer = sd_event_source_disable_unref(watch->timer);
    read_all(watch->fd);
    int r = sd_event_source_set_enabled(watch->source, SD_EVENT_ON);
    watch->handler(watch->userdata);
    return r;
}

/* The first of many, most often: a tunnel that comes up brings a dozen. The others are left until
 * the look, which is for them as well. */
static int on_change(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Netwatch *watch = userdata;
    (void)fd, (void)events;

    int r = sd_event_add_time_relative(watch->event, &watch->timer, CLOCK_MONOTONIC, SETTLE_USEC,
                                       ACCURACY_USEC, on_settled, watch);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int netwatch_new(sd_event *event, NetwatchHandler handler, void *userdata, Netwatch **ret)
{
    const struct sockaddr_nl name = {.nl_family = AF_NETLINK,
                                     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                  RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                                  RTMGRP_IPV6_ROUTE};
    _cleanup_(netwatch_freep) Netwatch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    watch->event = event;
    watch->handler = handler;
    watch->userdata = userdata;
    watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (watch->fd < 0 || bind(watch->fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
        return -errno;
    int r = sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_change, watch);
    if (r < 0)
        return r;
    *ret = steal_pointer(watch);
    return 0;
}

/* ---- the list ---- */

typedef struct Member {
    Connections *connections;
    Connection *connection;
    BusObject *object;
    ConnectionState state; /* the last one that it told */
} Member;

struct Connections {
    const ConnectionsHandlers *handlers;
    void *userdata;
    TreBus *tre;
    BusFace *face;
    Netwatch *netwatch;     /* NULL: there is none */
    sd_event_source *start; /* of those that are still to be started */
    sd_event_source *rest;  /* base/rest.h */
    sd_event_source *look;  /* for those that are still to look around */
    size_t n_to_look;       /* … which are so many, … */
    size_t next_look;       /* … from this one on, around the list */
    size_t count;
    Member *members;
    size_t n_started;
    size_t in_state[CONNECTION_STATES];
};

/* ---- what each has become ---- */

static void tell_manager(const Connections *connections, const Member *member)
{
    char text[STATUS_SIZE];
    ConnectionInfo info;

    if (connections->count == 1) {
        connection_info(member->connection, &info);
        (void)snprintf(text, sizeof(text), "STATUS=%s%s%s", info.state_name,
                       info.last_error[0] != 0 ? ": " : "", info.last_error);
    } else {
        (void)snprintf(text, sizeof(text), "STATUS=%zu of %zu connections are established",
                       connections->in_state[CONNECTION_ESTABLISHED], connections->count);
    }
    manager_notify(text);
}

static void note_state(Member *member)
{
    Connections *connections = member->connections;
    ConnectionInfo info;

    connection_info(member->connection, &info);
    connections->in_state[member->state]--;
    member->state = info.state;
    connections->in_state[member->state]++;
    if (connections->n_started < connections->count)
        (void)sd_event_source_set_enabled(connections->start, SD_EVENT_ONESHOT);
}

static void on_changed(void *userdata)
{
    Member *member = userdata;

    if (!member->object)
        return;
    note_state(member);
    bus_object_changed(member->object);
    tell_manager(member->connections, member);
    rest_after(member->connections->rest);
}

static void on_established(void *userdata)
{
    const Member *member = userdata;
    const Connections *connections = member->connections;

    bus_object_established(member->object);
    connections->handlers->established(connections->userdata, member->connection);
}

static void on_closed(void *userdata, const char *reason)
{
    const Member *member = userdata;
    const Connections *connections = member->connections;

    bus_object_closed(member->object, reason);
    connections->handlers->closed(connections->userdata, member->connection, reason);
}

static bool on_is_inner(void *userdata, const Endpoint *address)
{
    const Member *member = userdata;
    const Connections *connections = member->connections;

    for (size_t i = 0; i < connections->count; i++) {
        if (connection_has_inner(connections->members[i].connection, address))
            return true;
    }
    return false;
}

static bool others_have_sa_with(void *userdata, const Endpoint *segw)
{
    const Member *member = userdata;
    const Connections *connections = member->connections;

    for (size_t i = 0; i < connections->count; i++) {
        const Member *other = &connections->members[i];
        if (other != member && connection_has_sa_with(other->connection, segw))
            return true;
    }
    return false;
}

static const ConnectionHandlers handlers = {on_changed, on_established, on_closed, on_is_inner,
                                            others_have_sa_with};

/* ---- what is for all ---- */

/* Of exchanges and SPIs each knows its own, and passes over the others'. */

static void on_lost(void *userdata, const char *exchange, const char *reason)
{
    const Connections *connections = userdata;

    for (size_t i = 0; i < connections->count; i++)
        connection_lose(connections->members[i].connection, exchange, reason);
}

static void on_lifetime(void *userdata, const char *exchange, uint32_t spi_in, bool hard)
{
    const Connections *connections = userdata;

    (void)exchange; /* which has the Child SA may have changed since */
    for (size_t i = 0; i < connections->count; i++)
        connection_child_due(connections->members[i].connection, spi_in, hard);
}

static void on_expires(void *userdata, const char *exchange, uint64_t when)
{
    const Connections *connections = userdata;
    const time_t now = time(NULL);
    const uint64_t left = when > (uint64_t)now ? when - (uint64_t)now : 0;

    for (size_t i = 0; i < connections->count; i++)
        connection_expires(connections->members[i].connection, exchange, left);
}

/* Some of those that are still to look around; the others have their turn later. */
static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    Connections *connections = userdata;
    (void)usec;

    for (size_t i = 0; i < LOOKS_AT_ONCE && connections->n_to_look > 0; i++) {
        const Member *member = &connections->members[connections->next_look];
        connections->next_look = (connections->next_look + 1) % connections->count;
        connections->n_to_look--;
        connection_look_around(member->connection);
    }
    if (connections->n_to_look == 0)
        return 0;
    int r = sd_event_source_set_time_relative(source, LOOK_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* All of them, also where some have just looked. */
static void on_network(void *userdata)
{
    Connections *connections = userdata;

    connections->n_to_look = connections->count;
    (void)sd_event_source_set_time(connections->look, 0);
    (void)sd_event_source_set_enabled(connections->look, SD_EVENT_ONESHOT);
}

/* ---- the life of all ---- */

/* As many as may be under way at a time; each that leads to something makes room for the next. */
static int on_start(sd_event_source *source, void *userdata)
{
    Connections *connections = userdata;
    (void)source;

    while (connections->n_started < connections->count &&
           connections->in_state[CONNECTION_CONNECTING] < STARTS_AT_ONCE)
        connection_start(connections->members[connections->n_started++].connection);
    return 0;
}

static int add_members(Connections *connections, sd_event *event, const Configs *configs)
{
    for (size_t i = 0; i < configs->count; i++) {
        Member *member = &connections->members[i];

        *member = (Member){.connections = connections, .state = CONNECTION_IDLE};
        int r = connection_new(event, tre_bus_tre(connections->tre), configs->list[i], &handlers,
                               member, &member->connection);
        if (r < 0)
            return r;
        connections->count++;
        connections->in_state[CONNECTION_IDLE]++;
        r = bus_face_add(connections->face, member->connection, &member->object);
        if (r < 0)
            return r;
    }
    return 0;
}

static void watch_network(Connections *connections, sd_event *event)
{
    int r = netwatch_new(event, on_network, connections, &connections->netwatch);

    if (r < 0) {
        log_warning("changes of this host's addresses are not noticed, as no netlink socket can be "
                    "had (%s): allow AF_NETLINK in the unit",
                    strerror(-r));
    }
}

int connections_new(sd_event *event, sd_bus *bus, const Configs *configs,
                    const ConnectionsHandlers *told, void *userdata, Connections **ret)
{
    _cleanup_(connections_freep) Connections *connections = calloc(1, sizeof(*connections));

    if (!connections)
        return -ENOMEM;
    connections->handlers = told;
    connections->userdata = userdata;
    connections->members = calloc(configs->count, sizeof(Member));
    if (!connections->members)
        return -ENOMEM;
    int r = sd_event_add_defer(event, &connections->start, on_start, connections);
    if (r >= 0)
        r = sd_event_source_set_enabled(connections->start, SD_EVENT_OFF);
    if (r >= 0)
        r = rest_new(event, &connections->rest);
    if (r >= 0) {
        r = sd_event_add_time(event, &connections->look, CLOCK_MONOTONIC, UINT64_MAX, ACCURACY_USEC,
                              on_look, connections);
    }
    if (r >= 0)
        r = sd_event_source_set_enabled(connections->look, SD_EVENT_OFF);
    if (r >= 0)
        r = tre_bus_new(bus, on_lost, on_lifetime, on_expires, connections, &connections->tre);
    if (r >= 0)
        r = bus_face_new(bus, &connections->face);
    if (r >= 0)
        r = add_members(connections, event, configs);
    if (r < 0)
        return r;
    watch_network(connections, event);
    rest_after(connections->rest);
    *ret = steal_pointer(connections);
    return 0;
}

void connections_free(Connections *connections)
{
    if (connections->face)
        bus_face_free(connections->face);
    for (size_t i = 0; i < connections->count; i++)
        connection_free(connections->members[i].connection);
    if (connections->netwatch)
        netwatch_free(connections->netwatch);
    if (connections->tre)
        tre_bus_free(connections->tre);
    sd_event_source_disable_unref(connections->start);
    sd_event_source_disable_unref(connections->rest);
    sd_event_source_disable_unref(connections->look);
    free(connections->members);
    free(connections);
}

Connection *connections_first(const Connections *connections)
{
    return connections->members[0].connection;
}

void connections_allow_retry(Connections *connections, bool allow)
{
    for (size_t i = 0; i < connections->count; i++)
        connection_allow_retry(connections->members[i].connection, allow);
}

void connections_start(Connections *connections, const char *folder)
{
    int r = 0;

    /* All of them: one whose turn has not come yet may be told to connect before. */
    for (size_t i = 0; folder && r >= 0 && i < connections->count; i++)
        r = connection_remember(connections->members[i].connection, folder);
    if (r < 0)
        log_warning("out of memory: failed attempts are forgotten with this process");
    (void)on_start(NULL, connections);
}

void connections_close(Connections *connections)
{
    connections->n_started = connections->count;
    for (size_t i = 0; i < connections->count; i++)
        connection_close(connections->members[i].connection);
}

bool connections_are_idle(const Connections *connections)
{
    return connections->in_state[CONNECTION_IDLE] == connections->count;
}

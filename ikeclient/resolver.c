/* The SeGW's name looked up by c-ares, whose sockets and time-outs are this event loop's. */
#include "ikeclient/resolver.h"

#include "base/cleanup.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    USEC_PER_SEC = 1000000,
    PATIENCE_USEC = 10 * USEC_PER_SEC,
    ALONE_USEC = 2 * USEC_PER_SEC, /* for both families together */
    IPV6_USEC = 4 * USEC_PER_SEC,  /* for that, once there is an IPv4 address */
    TRY_MS = 1500,                 /* for each name server; the next time around twice as long */
    TRIES = 3,
    ACCURACY_USEC = 1000,
};

void resolver_init(Resolver *resolver, sd_event *event, ResolverHandler handler, void *userdata)
{
    *resolver = (Resolver){.event = event, .handler = handler, .userdata = userdata};
}

static uint64_t now_usec(const Resolver *resolver)
{
    uint64_t now = 0;

    (void)sd_event_now(resolver->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* Its callback is called with ARES_EDESTRUCTION from in here, and finds no channel. */
static void end_lookup(Resolver *resolver)
{
    ares_channel channel = resolver->channel;

    resolver->channel = NULL;
    if (channel)
        ares_destroy(channel);
    for (size_t i = 0; i < ELEMENTS(resolver->sockets); i++)
        resolver->sockets[i] = sd_event_source_disable_unref(resolver->sockets[i]);
}

void resolver_cancel(Resolver *resolver)
{
    end_lookup(resolver);
    resolver->answered = false;
    resolver->timer = sd_event_source_disable_unref(resolver->timer);
}

void resolver_deinit(Resolver *resolver)
{
    resolver_cancel(resolver);
}

/* ---- the answer ---- */

void resolver_take_turns(Endpoint *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t other = i;

        while (other < count && list[other].any.sa_family == list[i - 1].any.sa_family)
            other++;
        if (other == count)
            return;
        const Endpoint moved = list[other];
        memmove(&list[i + 1], &list[i], (other - i) * sizeof(list[0]));
        list[i] = moved;
    }
}

static void answer(Resolver *resolver, const char *problem)
{
    resolver->answered = true;
    resolver->problem = problem;
    resolver_take_turns(resolver->found, resolver->count);
    if (resolver->timer) /* the handler is called from the loop */
        (void)sd_event_source_set_time(resolver->timer, 0);
}

static void add(Resolver *resolver, const struct sockaddr *address, socklen_t size)
{
    Endpoint *place = &resolver->found[resolver->count];

    if ((address->sa_family != AF_INET && address->sa_family != AF_INET6) ||
        size > sizeof(*place) || resolver->count == RESOLVER_ADDRESSES_MAX)
        return;
    *place = (Endpoint){0};
    memcpy(place, address, size);
    endpoint_set_port(place, resolver->port);
    resolver->count++;
}

static void add_all(Resolver *resolver, const struct ares_addrinfo *result)
{
    for (const struct ares_addrinfo_node *node = result ? result->nodes : NULL; node;
         node = node->ai_next)
        add(resolver, node->ai_addr, node->ai_addrlen);
}

/* Without an address, what there is of IPv4 alone counts. */
static void on_addresses(void *userdata, int status, int timeouts, struct ares_addrinfo *result)
{
    Resolver *resolver = userdata;
    (void)timeouts;

    if (resolver->channel) {
        if (status == ARES_SUCCESS)
            resolver->count = 0;
        add_all(resolver, result);
        answer(resolver,
               status == ARES_SUCCESS ? "no IPv4 or IPv6 address" : ares_strerror(status));
    }
    if (result)
        ares_freeaddrinfo(result);
}

/* Kept for when there is no more: a SeGW may be reached by IPv6 alone, whose answer may be late. */
static void on_ipv4(void *userdata, int status, int timeouts, struct ares_addrinfo *result)
{
    Resolver *resolver = userdata;
    (void)timeouts;

    if (resolver->channel && !resolver->answered && status == ARES_SUCCESS) {
        const uint64_t latest = now_usec(resolver) + IPV6_USEC;

        add_all(resolver, result);
        resolver->deadline = resolver->deadline < latest ? resolver->deadline : latest;
    }
    if (result)
        ares_freeaddrinfo(result);
}

static void ask(Resolver *resolver, int family, ares_addrinfo_callback callback)
{
    const struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};

    ares_getaddrinfo(resolver->channel, resolver->name, NULL, &hints, callback, resolver);
}

/* Of both families c-ares says nothing before it has both, or has given one up, which takes longer
 * than we wait; and there are name servers in homes that leave questions for IPv6 unanswered. */
static void ask_for_ipv4(Resolver *resolver)
{
    resolver->alone_at = UINT64_MAX;
    ask(resolver, AF_INET, on_ipv4);
}

/* ---- the loop ---- */

static int arm(Resolver *resolver)
{
    struct timeval most = {.tv_sec = PATIENCE_USEC / USEC_PER_SEC}, wait = most;
    uint64_t due = 0;

    if (!resolver->answered) {
        (void)ares_timeout(resolver->channel, &most, &wait);
        due = now_usec(resolver) + (uint64_t)wait.tv_sec * USEC_PER_SEC + (uint64_t)wait.tv_usec;
        due = due < resolver->deadline ? due : resolver->deadline;
        due = due < resolver->alone_at ? due : resolver->alone_at;
    }
    int r = sd_event_source_set_time(resolver->timer, due);
    return r < 0 ? r : sd_event_source_set_enabled(resolver->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Resolver *resolver = userdata;
    (void)source;

    if (!resolver->answered)
        ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (!resolver->answered && usec >= resolver->alone_at)
        ask_for_ipv4(resolver);
    if (!resolver->answered && usec < resolver->deadline)
        return arm(resolver);
    const size_t count = resolver->count;
    const char *problem =
        resolver->answered ? resolver->problem : "the name server does not answer";
    resolver_cancel(resolver);
    resolver->handler(resolver->userdata, resolver->found, count, problem);
    return 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Resolver *resolver = userdata;
    (void)source;

    ares_process_fd(resolver->channel, events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
    return arm(resolver);
}

static sd_event_source **source_of(Resolver *resolver, int fd)
{
    for (size_t i = 0; i < ELEMENTS(resolver->sockets); i++) {
        if (resolver->sockets[i] && sd_event_source_get_io_fd(resolver->sockets[i]) == fd)
            return &resolver->sockets[i];
    }
    return NULL;
}

static sd_event_source **free_source(Resolver *resolver)
{
    for (size_t i = 0; i < ELEMENTS(resolver->sockets); i++) {
        if (!resolver->sockets[i])
            return &resolver->sockets[i];
    }
    return NULL;
}

/* c-ares wants to know of a socket, or closes it. One that can't be watched is found to be silent.
 */
static void on_interest(void *userdata, ares_socket_t fd, int readable, int writable)
{
    Resolver *resolver = userdata;
    sd_event_source **place = source_of(resolver, fd);
    uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);

    if (events == 0) {
        if (place)
            *place = sd_event_source_disable_unref(*place);
    } else if (place) {
        (void)sd_event_source_set_io_events(*place, events);
    } else if ((place = free_source(resolver))) {
        (void)sd_event_add_io(resolver->event, place, fd, events, on_socket, resolver);
    }
}

/* ---- a look-up ---- */

/* "fe80::1%eth0": the address of a neighbour on that interface. */
static int scoped_literal(const char *text, Endpoint *ret)
{
    char address[INET6_ADDRSTRLEN];
    const char *percent = strchr(text, '%');
    const size_t size = percent ? (size_t)(percent - text) : sizeof(address);

    if (size >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, size);
    address[size] = 0;
    if (endpoint_from_literal(address, 0, ret) < 0 || ret->any.sa_family != AF_INET6)
        return -EINVAL;
    ret->v6.sin6_scope_id = if_nametoindex(percent + 1);
    return ret->v6.sin6_scope_id == 0 ? -ENODEV : 0;
}

static bool is_literal(Resolver *resolver, const char *name)
{
    Endpoint endpoint = {0};
    int r = endpoint_from_literal(name, 0, &endpoint);

    if (r < 0)
        r = scoped_literal(name, &endpoint);
    if (r == 0)
        add(resolver, &endpoint.any, endpoint_size(&endpoint));
    if (r == 0 || r == -ENODEV)
        answer(resolver, "there is no such interface");
    return r == 0 || r == -ENODEV;
}

/* A channel for each, so that what /etc/resolv.conf says now is what counts. */
static int begin(Resolver *resolver)
{
    char lookups[] = "fb"; /* the hosts file first, whatever the system's libc is told */
    struct ares_options options = {.timeout = TRY_MS,
                                   .tries = TRIES,
                                   .lookups = lookups,
                                   .sock_state_cb = on_interest,
                                   .sock_state_cb_data = resolver};

    int r = ares_init_options(&resolver->channel, &options,
                              ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                  ARES_OPT_SOCK_STATE_CB);
    if (r != ARES_SUCCESS) {
        resolver->channel = NULL;
        return r == ARES_ENOMEM ? -ENOMEM : -EAGAIN;
    }
    ask(resolver, AF_UNSPEC, on_addresses);
    return 0;
}

int resolver_start(Resolver *resolver, const char *name, uint16_t port)
{
    const size_t size = strlen(name) + 1;

    resolver_cancel(resolver);
    if (size > sizeof(resolver->name))
        return -ENAMETOOLONG;
    memcpy(resolver->name, name, size);
    resolver->port = port;
    resolver->count = 0;
    resolver->deadline = now_usec(resolver) + PATIENCE_USEC;
    resolver->alone_at = now_usec(resolver) + ALONE_USEC;
    int r = is_literal(resolver, name) ? 0 : begin(resolver);
    if (r == 0) {
        r = sd_event_add_time(resolver->event, &resolver->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
                              on_timer, resolver);
    }
    if (r >= 0)
        r = arm(resolver);
    if (r < 0)
        resolver_cancel(resolver);
    return r < 0 ? r : 0;
}

/* The SeGW's name looked up by libc in the background, and the choice among its addresses. */
#include "ikeclient/resolver.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_USEC = 10 * 1000, /* libc has no file descriptor to wait for */
    PATIENCE_USEC = 10 * 1000 * 1000,
    ACCURACY_USEC = 1000,
};

void resolver_init(Resolver *resolver, sd_event *event, ResolverHandler handler, void *userdata)
{
    *resolver = (Resolver){.event = event, .handler = handler, .userdata = userdata};
}

static void forget_lookup(Resolver *resolver)
{
    if (resolver->lookup.ar_result)
        freeaddrinfo(resolver->lookup.ar_result);
    resolver->lookup = (struct gaicb){0};
    free(resolver->name);
    resolver->name = NULL;
    resolver->running = false;
}

void resolver_deinit(Resolver *resolver)
{
    resolver_cancel(resolver);
    if (!resolver->running || gai_cancel(&resolver->lookup) != EAI_NOTCANCELED)
        forget_lookup(resolver);
}

static void report(Resolver *resolver, int error)
{
    Endpoint found[RESOLVER_ADDRESSES_MAX];
    size_t count = 0;

    for (struct addrinfo *a = resolver->lookup.ar_result; a && count < RESOLVER_ADDRESSES_MAX;
         a = a->ai_next) {
        if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) ||
            a->ai_addrlen > sizeof(found[0]))
            continue;
        found[count] = (Endpoint){0};
        memcpy(&found[count], a->ai_addr, a->ai_addrlen);
        endpoint_set_port(&found[count++], resolver->port);
    }
    forget_lookup(resolver);
    resolver->handler(resolver->userdata, found, count,
                      error != 0 ? gai_strerror(error) : "no IPv4 or IPv6 address");
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata)
{
    Resolver *resolver = userdata;
    int error = gai_error(&resolver->lookup);

    if (error == EAI_INPROGRESS && usec < resolver->deadline) {
        int r = sd_event_source_set_time(source, usec + POLL_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    resolver_cancel(resolver);
    if (error == EAI_INPROGRESS) {
        resolver->handler(resolver->userdata, NULL, 0, "the name server does not answer");
    } else {
        report(resolver, error);
    }
    return 0;
}

static int start_lookup(Resolver *resolver, const char *name)
{
    struct gaicb *list[] = {&resolver->lookup};

    resolver->name = strdup(name);
    if (!resolver->name)
        return -ENOMEM;
    resolver->hints = (struct addrinfo){.ai_socktype = SOCK_DGRAM};
    resolver->lookup = (struct gaicb){.ar_name = resolver->name, .ar_request = &resolver->hints};
    int error = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (error != 0) {
        forget_lookup(resolver);
        return error == EAI_MEMORY ? -ENOMEM : -EAGAIN;
    }
    resolver->running = true;
    return 0;
}

int resolver_start(Resolver *resolver, const char *name, uint16_t port)
{
    uint64_t now = 0;

    resolver->port = port;
    resolver_cancel(resolver);
    if (!resolver->running) {
        int r = start_lookup(resolver, name);
        if (r < 0)
            return r;
    }
    int r = sd_event_now(resolver->event, CLOCK_MONOTONIC, &now);
    if (r < 0)
        return r;
    resolver->deadline = now + PATIENCE_USEC;
    return sd_event_add_time(resolver->event, &resolver->timer, CLOCK_MONOTONIC, now + 1,
                             ACCURACY_USEC, on_poll, resolver);
}

void resolver_cancel(Resolver *resolver)
{
    resolver->timer = sd_event_source_disable_unref(resolver->timer);
}

const Endpoint *resolver_choose(const Endpoint *addresses, size_t count, const Endpoint *last,
                                bool failed)
{
    for (size_t i = 0; i < count; i++) {
        if (addresses[i].any.sa_family == last->any.sa_family &&
            bytes_equal(endpoint_address(&addresses[i]), endpoint_address(last)))
            return &addresses[(i + failed) % count];
    }
    return &addresses[0];
}

/* Host names to addresses, without waiting for the name server. */
#pragma once

#include "ikeclient/endpoint.h"

#include <netdb.h>
#include <stddef.h>
#include <systemd/sd-event.h>

enum { RESOLVER_ADDRESSES_MAX = 8 };

/* All addresses found, or count 0 with `problem` in words. */
typedef void (*ResolverHandler)(void *userdata, const Endpoint *addresses, size_t count,
                                const char *problem);

typedef struct Resolver {
    sd_event *event; /* borrowed */
    sd_event_source *timer;
    uint64_t deadline;
    struct gaicb lookup; /* in use by libc until it is done: must stay in place */
    struct addrinfo hints;
    bool running;
    char *name;
    uint16_t port;
    ResolverHandler handler;
    void *userdata;
} Resolver;

void resolver_init(Resolver *resolver, sd_event *event, ResolverHandler handler, void *userdata);

/* The program is about to end: a look-up that is still under way is left to libc. */
void resolver_deinit(Resolver *resolver);

/* Looks `name` up (a literal needs no server). The handler is called once, later, and after 10 s at
 * the latest. A look-up that is under way from before is waited for. 0, -ENOMEM or another negative
 * errno. */
int resolver_start(Resolver *resolver, const char *name, uint16_t port);

/* The handler is not called for what was started. */
void resolver_cancel(Resolver *resolver);

/* The address to try next, of at least one: the one that was tried last, or, as that failed, the
 * one after it. An address is left on failure alone. `last` may be of a family that is none:
 * nothing was tried yet. */
const Endpoint *resolver_choose(const Endpoint *addresses, size_t count, const Endpoint *last,
                                bool failed);

/* Host names to addresses by c-ares, which reads the hosts file and asks name servers as
 * /etc/resolv.conf says, in this event loop. */
#pragma once

#include "ikeclient/endpoint.h"

#include <ares.h>
#include <stddef.h>
#include <systemd/sd-event.h>

enum { RESOLVER_ADDRESSES_MAX = 8, RESOLVER_NAME_SIZE = 256 };

/* All addresses found, the families taking turns as far as there are both (RFC 8305 4), or count 0
 * with `problem` in words. */
typedef void (*ResolverHandler)(void *userdata, const Endpoint *addresses, size_t count,
                                const char *problem);

typedef struct Resolver {
    sd_event *event;      /* borrowed */
    ares_channel channel; /* of the look-up that is under way; NULL: there is none */
    sd_event_source *sockets[ARES_GETSOCK_MAXNUM]; /* of that */
    sd_event_source *timer;                        /* for whatever comes first */
    uint64_t deadline;
    uint64_t alone_at; /* when IPv4 is asked for by itself, too; UINT64_MAX: it has been */
    char name[RESOLVER_NAME_SIZE];
    uint16_t port;
    bool answered; /* what follows is the answer, which the handler is still to be told */
    size_t count;
    Endpoint found[RESOLVER_ADDRESSES_MAX];
    const char *problem;
    ResolverHandler handler;
    void *userdata;
} Resolver;

/* Puts those of the other family between those of the first one's, each in its order. */
void resolver_take_turns(Endpoint *list, size_t count);

void resolver_init(Resolver *resolver, sd_event *event, ResolverHandler handler, void *userdata);
void resolver_deinit(Resolver *resolver);

/* Looks `name` up (a literal needs no server; "fe80::1%eth0" has its interface's). The handler is
 * called once, later, and after 10 s at the latest. What was under way before is dropped. 0,
 * -ENAMETOOLONG, -ENOMEM or another negative errno. */
int resolver_start(Resolver *resolver, const char *name, uint16_t port);

/* The handler is not called for what was started. */
void resolver_cancel(Resolver *resolver);

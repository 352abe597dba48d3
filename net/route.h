/* Routes of the tunnel, address prefixes, and the networks that the host is in. */
#pragma once

#include "ikewire/payload.h"
#include "net/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PREFIXES_MAX = 256 }; /* that one range can fall into: at most 2 * 128 - 2 */

typedef struct Prefix {
    uint8_t size;   /* 4 or 16 octets */
    uint8_t length; /* bits */
    uint8_t octets[16];
} Prefix;

static inline bool prefix_equal(const Prefix *a, const Prefix *b)
{
    return a->size == b->size && a->length == b->length &&
           memcmp(a->octets, b->octets, a->size) == 0;
}

/* The fewest prefixes that cover the selector's range and nothing else, but never one of length 0:
 * a range of all addresses becomes two halves, so that it outranks a default route instead of
 * colliding with it. Returns their number; 0 if the range is empty. */
size_t prefixes_of_selector(const IkeSelector *selector, Prefix ret[PREFIXES_MAX]);

enum { ROUTE_PROTOCOL = 84 }; /* of no routing daemon in iproute2's rt_protos */

/* Returns 0 or -errno; so do all below unless they say otherwise. */
int address_add(Netlink *netlink, unsigned index, const Prefix *address);
int address_delete(Netlink *netlink, unsigned index, const Prefix *address);

typedef struct Route {
    Prefix destination;
    unsigned index;
    Prefix source;  /* preferred source address; size 0: none */
    Prefix gateway; /* size 0: on the link */
    uint32_t mtu;   /* for which the host's own packets are made; 0: the link's */
    bool guard;     /* leads nowhere, and counts where no other to `destination` is there */
} Route;

int route_add(Netlink *netlink, const Route *route);
int route_replace(Netlink *netlink, const Route *route); /* adds it where there is none */
int route_delete(Netlink *netlink, const Route *route);

/* The route by which the host reaches `address` now: its link and gateway. -ENETUNREACH: none, or
 * by a gateway of the other family. */
int route_find(Netlink *netlink, const Prefix *address, Route *ret);

/* Deletes every route of our protocol number. */
int routes_clear(Netlink *netlink);

/* Hands each address of the link, or each route of our protocol number, to `found` (an address
 * stands in `destination` alone). Returns 0 or -errno. */
typedef void (*RouteFound)(const Route *route, void *userdata);
int addresses_list(Netlink *netlink, unsigned index, RouteFound found, void *userdata);
int routes_list(Netlink *netlink, RouteFound found, void *userdata);

/* Whether a link other than `index` has that address, whatever its prefix. Returns 0 or -errno. */
int address_is_elsewhere(Netlink *netlink, unsigned index, const Prefix *address, bool *ret);

/* ---- the networks that the host is in, by its interfaces' addresses ---- */

/* The networks of all addresses but those that stand alone (/32, /128), as ranges; `netlink` is a
 * NETLINK_ROUTE one. IKE_SELECTORS_MAX of them at the most, and none of the others. Returns 0 or
 * -errno. */
int local_networks(Netlink *netlink, IkeTs *ret);

/* What was added to the host's network configuration: addresses of the tunnel's interface, and
 * routes. */
#pragma once

#include "base/reason.h"
#include "net/route.h"

#include <net/if.h>

enum { ITEMS_MAX = 512 };

typedef struct Item {
    bool wanted;
    bool is_address;
    bool found;  /* by the last look */
    Route route; /* an address stands in `destination` alone */
} Item;

typedef struct Items {
    Netlink *netlink; /* the owner's */
    char name[IFNAMSIZ];
    unsigned index; /* of the interface */
    Reason reason;  /* why the last one could not be added */
    size_t count;
    Item list[ITEMS_MAX];
} Items;

/* The address, or the route or guard, of that destination; NULL: none was added. */
Item *items_find(Items *items, bool is_address, const Route *route);

/* Marks it as wanted; adds it where it is not there. One that nobody has marked since
 * items_unmark() takes the new source address and MTU. Returns 0, -ENOSPC, -EADDRINUSE if another
 * interface has that address, or another -errno, of which `items->reason` speaks. */
int items_want(Items *items, bool is_address, const Route *route);

/* Puts a route, which was added, on another link or gateway. Errors as of items_want(). */
int items_replace(Items *items, Item *item, const Route *route);

/* Takes back all that was not marked since items_unmark(). */
void items_unmark(Items *items);
void items_delete_unmarked(Items *items);

/* Adds to the host's network configuration what is wanted and missing, once, and takes it back. */
#include "net/items.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

Item *items_find(Items *items, bool is_address, const Route *route)
{
    for (size_t i = 0; i < items->count; i++) {
        Item *item = &items->list[i];
        if (item->is_address == is_address && item->route.guard == route->guard &&
            prefix_equal(&item->route.destination, &route->destination))
            return item;
    }
    return NULL;
}

/* An inner address that the host has elsewhere would turn what is meant for that interface into the
 * tunnel's traffic, and take the host's own with it when the tunnel goes. */
static int add_address(const Items *items, const Prefix *address)
{
    bool elsewhere = false;
    int r = address_is_elsewhere(items->netlink, items->index, address, &elsewhere);
    if (r >= 0 && elsewhere)
        r = -EADDRINUSE;
    return r < 0 ? r : address_add(items->netlink, items->index, address);
}

static int refuse(Items *items, bool is_address, const Prefix *prefix, int error)
{
    char text[INET6_ADDRSTRLEN] = "?";

    (void)inet_ntop(prefix->size == 4 ? AF_INET : AF_INET6, prefix->octets, text, sizeof(text));
    return reason_set(&items->reason, error, "%s %s/%u can't be added for %s: %s",
                      is_address ? "the address" : "a route to", text, prefix->length, items->name,
                      strerror(-error));
}

int items_replace(Items *items, Item *item, const Route *route)
{
    int r = route_replace(items->netlink, route);
    if (r < 0)
        return refuse(items, false, &route->destination, r);
    item->route = *route;
    return 0;
}

int items_want(Items *items, bool is_address, const Route *route)
{
    Item *item = items_find(items, is_address, route);
    if (item) {
        /* The newest pair has the say: an older one's source address will go with it. */
        bool moved = !item->wanted && (!prefix_equal(&item->route.source, &route->source) ||
                                       item->route.mtu != route->mtu);
        item->wanted = true;
        return moved ? items_replace(items, item, route) : 0;
    }
    if (items->count == ITEMS_MAX)
        return refuse(items, is_address, &route->destination, -ENOSPC);
    int r = is_address ? add_address(items, &route->destination) : route_add(items->netlink, route);
    if (r < 0)
        return refuse(items, is_address, &route->destination, r);
    items->list[items->count++] = (Item){.wanted = true, .is_address = is_address, .route = *route};
    return 0;
}

static void delete_item(const Items *items, const Item *item)
{
    /* The administrator may have been quicker; that is no reason to stop. */
    if (item->is_address) {
        (void)address_delete(items->netlink, items->index, &item->route.destination);
    } else {
        (void)route_delete(items->netlink, &item->route);
    }
}

void items_unmark(Items *items)
{
    for (size_t i = 0; i < items->count; i++)
        items->list[i].wanted = false;
}

void items_delete_unmarked(Items *items)
{
    /* Last ones first: routes before the source address that they name. */
    for (size_t i = items->count; i > 0; i--) {
        Item *item = &items->list[i - 1];
        if (item->wanted)
            continue;
        delete_item(items, item);
        items->count--;
        memmove(item, item + 1, (items->count - (i - 1)) * sizeof(*item));
    }
}

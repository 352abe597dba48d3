/* Interfaces, and which of them are ours. */
#pragma once

#include "net/netlink.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Link {
    unsigned index;
    bool ours; /* carries our alias, or is an XFRM interface of our ids */
    bool up;
} Link;

/* Returns 0, -ENODEV or another -errno; so do all below unless they say otherwise. */
int link_find(Netlink *netlink, const char *name, Link *ret);
int link_is_ours(Netlink *netlink, unsigned index, bool *ret);
int link_configure(Netlink *netlink, unsigned index, uint32_t mtu); /* alias, MTU, up */
int link_set_mtu(Netlink *netlink, unsigned index, uint32_t mtu);
int link_delete(Netlink *netlink, unsigned index);

/* Deletes every link that is ours. */
int links_clear(Netlink *netlink);

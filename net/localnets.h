/* The networks that the host is in, by its interfaces' addresses. */
#pragma once

#include "ikewire/payload.h"
#include "net/netlink.h"

/* The networks of all addresses but those that stand alone (/32, /128), as ranges; `netlink` is a
 * NETLINK_ROUTE one. IKE_SELECTORS_MAX of them at the most, and none of the others. Returns 0 or
 * -errno. */
int local_networks(Netlink *netlink, IkeTs *ret);

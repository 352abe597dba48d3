/* The way that a host would have to an address if there were no tunnel. */
#pragma once

#include "net/route.h"

/* The link and gateway of the main table's best route to `address` (the longest prefix, then the
 * least metric) that is neither of our protocol number nor by the link `tunnel`; of several next
 * hops the first that lives. `*ret` is a route to `address` alone. Rules for other tables are not
 * heeded. Returns 0, -ENETUNREACH if there is none, or if it leads nowhere (unreachable and the
 * like), or another -errno. */
int route_beneath(Netlink *netlink, const Prefix *address, unsigned tunnel, Route *ret);

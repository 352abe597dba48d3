/* What a data plane puts into the host's network configuration: one of its interfaces' state, inner
 * addresses, routes for the selectors, and a way around the tunnel for the tunnel's own packets. */
#pragma once

#include "base/reason.h"
#include "dataplane/order.h"
#include "net/route.h"

typedef struct Network Network;

/* Returns 0, -EPERM without CAP_NET_ADMIN, or another -errno. */
int network_new(Network **ret);

/* Removes all that is left of it first. */
void network_free(Network *network);
DEFINE_POINTER_CLEANUP(Network, network_free);

/* Returns 0 if no interface has that name, or one of ours; -EEXIST if another has it; or another
 * -errno. */
int network_check_name(const char *name);

/* Removes what an earlier run left, whatever that called it: every interface that carries our mark,
 * and every route of our protocol number. Returns 0, -EEXIST as network_check_name(), or another
 * -errno. */
int network_clear(Network *network, const char *name);

enum { IPV6_MTU_MIN = 1280 }; /* RFC 8200 5: below it, an interface has no IPv6 */

/* Takes a new interface in: marks it, brings it up, with the MTU that its first pair of SAs has
 * room for, or the least that IPv6 takes: every change of a link is told to all who listen, and so
 * the pair's own comes with the first. Returns 0 or -errno. */
int network_attach(Network *network, const char *name, uint32_t mtu);

/* Adds what a pair of SAs needs: its inner addresses, routes for its remote selectors, and an MTU
 * for which ESP packets fit the path of every pair. With IPv6 inside it is never below
 * IPV6_MTU_MIN: where the path has no room for that, the ESP packets go in fragments (RFC
 * 2473 7.1). If a selector covers the outer remote address, the way that the host has to it
 * beneath the tunnel's routes is pinned, or the tunnel would be sent into itself; an unreachable
 * route behind it takes over while there is none. All or nothing. Returns 0, -ENOSPC, -EEXIST if
 * the host has a route of its own to just such a prefix, -EADDRINUSE if another of its interfaces
 * has such an inner address, or another -errno. */
int network_add_sa(Network *network, const SaOrder *order, Reason *reason);

/* A pair takes another path: the MTU follows it, and the route that is pinned. Errors as of
 * network_add_sa(), or -ENOENT. */
int network_move_sa(Network *network, uint32_t spi_in, const SaPath *path, Reason *reason);

/* Fits the interface, and the routes, to another MTU of a pair's path. Returns 0, -ENOENT or
 * another -errno. */
int network_set_mtu(Network *network, uint32_t spi_in, uint32_t mtu, Reason *reason);

/* Removes what no other pair needs. */
void network_remove_sa(Network *network, uint32_t spi_in);

/* True if there is no pair. */
bool network_is_idle(const Network *network);

/* Removes the interface and all else. */
void network_detach(Network *network);

/* A descriptor that can be read when something of the host's network has changed; then
 * network_has_changed() reads it empty, and says whether network_look() is worth while. */
int network_watched(const Network *network);
bool network_has_changed(Network *network);

/* Looks whether all that was added is there still, and names every pair that lacks something. It
 * asks the kernel what there is: what a message said, or one that was lost, is no more than a
 * reason to look. A way that is pinned and lost is no lack: here it is pinned again, by what route
 * the host now has, or as soon as it has one. */
typedef void (*NetworkGone)(uint32_t spi_in, DataPlaneEventType event, void *userdata);
void network_look(Network *network, NetworkGone gone, void *userdata);

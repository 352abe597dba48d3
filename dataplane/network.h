/* What a data plane puts into the host's network configuration: its interface's state, inner
 * addresses, routes for the selectors, and a way around the tunnel for the tunnel's own packets. */
#pragma once

#include "dataplane/dataplane.h"
#include "dataplane/prefix.h"

typedef struct Network Network;

/* Returns 0, -EPERM without CAP_NET_ADMIN, or another -errno. */
int network_new(Network **ret);
void network_free(Network *network);
DEFINE_POINTER_CLEANUP(Network, network_free);

/* Removes what an earlier run left: the interface `name` if it carries our mark, and every route of
 * our protocol number. Returns 0, -EEXIST if an interface of that name is not ours, or another
 * -errno. */
int network_clear(Network *network, const char *name);

/* Takes a new interface in: marks it, sets its MTU, brings it up. Returns 0 or -errno. */
int network_attach(Network *network, const char *name, uint32_t mtu);

/* Lowers the MTU if it is above `mtu`: another SA leaves less room. Returns 0 or -errno. */
int network_limit_mtu(Network *network, uint32_t mtu);

/* Adds what the pair of SAs `spi_in` needs: its inner addresses, and routes for its remote
 * selectors. `remote` is the outer address; if a selector covers it, its present route is pinned,
 * or the tunnel would be sent into itself. All or nothing. Returns 0, -ENOSPC, -EEXIST if the host
 * has a route of its own to just such a prefix, or another -errno. */
int network_add_sa(Network *network, uint32_t spi_in, const IkeTs *ts_remote,
                   const InnerAddress *addresses, size_t n_addresses,
                   const struct sockaddr_storage *remote);

/* Removes what no other pair needs. */
void network_remove_sa(Network *network, uint32_t spi_in);

/* Removes the interface and all else. */
void network_detach(Network *network);

/* The interface's index; 0 while there is none. */
unsigned network_index(const Network *network);

/* Where ESP is done in user space: a TUN for tred-esp, and the network around it. No key comes
 * here. */
#include "net/plane.h"
#include "net/tun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void user_close(NetPlane *plane)
{
    network_free(plane->network);
    free(plane);
}

static int user_open(const char *interface, NetPlane **ret, Reason *reason)
{
    NetPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return reason_set(reason, -ENOMEM, "Out of memory");
    plane->backend = &NET_BACKEND_USER;
    _cleanup_(net_plane_closep) NetPlane *owner = plane;
    int r = network_new(&plane->network);
    if (r >= 0)
        r = network_clear(plane->network, interface);
    if (r < 0)
        return net_plane_fail_network(reason, r, interface);
    r = tun_probe(reason);
    if (r < 0)
        return r;
    *ret = steal_pointer(owner);
    return 0;
}

/* The interface lives by the descriptor, which tred hands on to tred-esp: it goes when that goes,
 * however that happens. */
static int raise_interface(NetPlane *plane, int *ret_tun)
{
    if (plane->n_sas > 0)
        return 0;
    _cleanup_(close_fdp) int tun = -1;
    int r = tun_open(plane->interface, &tun);
    if (r >= 0)
        r = network_attach(plane->network, plane->interface);
    if (r >= 0)
        *ret_tun = steal_fd(&tun);
    return r;
}

static int user_add_sa(NetPlane *plane, const SaOrder *order, int *ret_tun, Reason *reason)
{
    int r = raise_interface(plane, ret_tun);
    if (r < 0) {
        reason_set(reason, r, "the interface %s can't be made: %s", plane->interface, strerror(-r));
    } else {
        r = network_add_sa(plane->network, order, reason);
    }
    if (r >= 0)
        return 0;
    if (plane->n_sas == 0)
        network_detach(plane->network);
    close_fdp(ret_tun);
    *ret_tun = -1;
    return r;
}

static int user_remove_sa(NetPlane *plane, uint32_t spi_in)
{
    network_remove_sa(plane->network, spi_in);
    if (plane->n_sas == 0)
        network_detach(plane->network);
    return 0;
}

/* tred-esp counts. */
static int user_sa_counters(NetPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    (void)plane, (void)spi_in, (void)ret;
    return -EOPNOTSUPP;
}

const NetBackend NET_BACKEND_USER = {
    .mode = DATAPLANE_USER,
    .open = user_open,
    .close = user_close,
    .add_sa = user_add_sa,
    .remove_sa = user_remove_sa,
    .sa_counters = user_sa_counters,
};

/* The user plane's part in the host's network: the TUN, and the interface around it. */
#include "net/user.h"

#include "base/cleanup.h"
#include "net/plane.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define TUN_DEVICE "/dev/net/tun"

/* Whether there is one to be had: 0, or -errno with `reason` saying what was found and what to do.
 * The device node may be there without a driver behind it: only opening it tells. */
static int tun_probe(Reason *reason)
{
    _cleanup_(close_fdp) int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == EACCES || errno == EPERM) {
        return reason_set(reason, -errno,
                          "No permission to open %s. Start tred-net by its unit, and let it "
                          "open that (usually everybody may)",
                          TUN_DEVICE);
    }
    return reason_set(reason, -errno,
                      "%s can't be opened: %s. Load the module tun, or have a kernel that has "
                      "it",
                      TUN_DEVICE, strerror(errno));
}

int tun_open(const char *name, int *ret)
{
    if (strlen(name) >= IFNAMSIZ)
        return -EINVAL;
    _cleanup_(close_fdp) int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    struct ifreq request = {
        .ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL),
    };
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return -errno;
    /* Without TUN_F_TSO_ECN the kernel keeps those few packets whose CWR flag needs care. */
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

static void user_close(NetPlane *plane)
{
    net_plane_free_networks(plane);
    free(plane);
}

static int user_open(const InterfaceNames *interfaces, NetPlane **ret, Reason *reason)
{
    NetPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return reason_set(reason, -ENOMEM, "Out of memory");
    plane->backend = &NET_BACKEND_USER;
    _cleanup_(net_plane_closep) NetPlane *owner = plane;
    int r = net_plane_open_networks(plane, interfaces, reason);
    if (r >= 0)
        r = tun_probe(reason);
    if (r < 0)
        return r;
    *ret = steal_pointer(owner);
    return 0;
}

/* An interface lives by the descriptor, which tred hands on to tred-esp: it goes when that goes,
 * however that happens. */
static int raise_interface(Network *network, const char *name, uint32_t mtu, int *ret_tun)
{
    if (!network_is_idle(network))
        return 0;
    _cleanup_(close_fdp) int tun = -1;
    int r = tun_open(name, &tun);
    if (r >= 0)
        r = network_attach(network, name, mtu);
    if (r >= 0)
        *ret_tun = steal_fd(&tun);
    return r;
}

static int user_add_sa(NetPlane *plane, const SaOrder *order, int *ret_tun, Reason *reason)
{
    Network *network = plane->networks[order->interface];
    const char *name = plane->interfaces.names[order->interface];
    int r = raise_interface(network, name, order->mtu, ret_tun);
    if (r < 0) {
        reason_set(reason, r, "the interface %s can't be made: %s", name, strerror(-r));
    } else {
        r = network_add_sa(network, order, reason);
    }
    if (r >= 0)
        return 0;
    net_plane_lower_interface(network);
    close_fdp(ret_tun);
    *ret_tun = -1;
    return r;
}

static int user_remove_sa(NetPlane *plane, const NetSa *sa)
{
    Network *network = plane->networks[sa->interface];
    network_remove_sa(network, sa->spi_in);
    net_plane_lower_interface(network);
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

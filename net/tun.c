/* Opens /dev/net/tun (Documentation/networking/tuntap.rst of the kernel). */
#include "net/tun.h"

#include "base/cleanup.h"
#include "net/plane.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define TUN_DEVICE "/dev/net/tun"

int tun_probe(Reason *reason)
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

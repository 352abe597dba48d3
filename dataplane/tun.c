/* How do packets get from the host to us and back? */
#include "dataplane/tun.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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

int tun_read(int fd, struct virtio_net_hdr *ret_header, uint8_t *buffer)
{
    struct iovec parts[] = {
        {ret_header, sizeof(*ret_header)},
        {buffer, TUN_PACKET_MAX},
    };
    ssize_t size = readv(fd, parts, 2);
    if (size < 0)
        return -errno;
    if ((size_t)size < sizeof(*ret_header))
        return -EIO;
    return (int)((size_t)size - sizeof(*ret_header));
}

int tun_write(int fd, const struct virtio_net_hdr *header, struct iovec *parts, size_t n_parts)
{
    struct virtio_net_hdr copy = *header;
    parts[0] = (struct iovec){&copy, sizeof(copy)};
    return writev(fd, parts, (int)(n_parts + 1)) < 0 ? -errno : 0;
}

/* How do packets get from the host to us and back? */
#include "esp/tun.h"

#include <errno.h>

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

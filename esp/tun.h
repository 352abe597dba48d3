/* Packets to and from the TUN device that tred-net makes (net/tun.h): as the host has them, up to
 * 64 KiB at a time (IFF_VNET_HDR with TSO). The descriptor does not block. */
#pragma once

#include "base/bytes.h"

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { TUN_PACKET_MAX = 65535 };

/* Reads one packet into `buffer` (TUN_PACKET_MAX octets). Returns its size, -EAGAIN, or another
 * -errno. */
int tun_read(int fd, struct virtio_net_hdr *ret_header, uint8_t *buffer);

/* Writes one packet, given in parts (1 to IOV_MAX - 1 of them, the first of `parts` being left free
 * for the header). Returns 0 or -errno. */
int tun_write(int fd, const struct virtio_net_hdr *header, struct iovec *parts, size_t n_parts);

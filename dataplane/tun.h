/* The TUN device: packets of the host as they come, up to 64 KiB at a time (IFF_VNET_HDR with TSO).
 */
#pragma once

#include "base/bytes.h"

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define TUN_DEVICE "/dev/net/tun"

enum { TUN_PACKET_MAX = 65535 };

/* Makes the interface `name` and *ret, a non-blocking descriptor that it lives by. The host may
 * hand over TCP packets to be segmented here and checksums to be completed here. Needs
 * CAP_NET_ADMIN. Returns 0 or -errno (-EBUSY: there is such an interface). */
int tun_open(const char *name, int *ret);

/* Reads one packet into `buffer` (TUN_PACKET_MAX octets). Returns its size, -EAGAIN, or another
 * -errno. */
int tun_read(int fd, struct virtio_net_hdr *ret_header, uint8_t *buffer);

/* Writes one packet, given in parts (1 to IOV_MAX - 1 of them, the first of `parts` being left free
 * for the header). Returns 0 or -errno. */
int tun_write(int fd, const struct virtio_net_hdr *header, struct iovec *parts, size_t n_parts);

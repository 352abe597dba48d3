/* The TUN device behind the tunnel's interface where ESP is done in user space. */
#pragma once

/* Makes the interface `name` and *ret, a non-blocking descriptor that it lives by. The host may
 * hand over TCP packets to be segmented here and checksums to be completed here (IFF_VNET_HDR).
 * Needs CAP_NET_ADMIN. Returns 0 or -errno (-EBUSY: there is such an interface). */
int tun_open(const char *name, int *ret);

/* The TUN device behind the tunnel's interface where ESP is done in user space. */
#pragma once

#include "base/reason.h"

/* Whether there is one to be had: 0, or -errno with `reason` saying what was found and what to do.
 * The device node may be there without a driver behind it: only opening it tells. */
int tun_probe(Reason *reason);

/* Makes the interface `name` and *ret, a non-blocking descriptor that it lives by. The host may
 * hand over TCP packets to be segmented here and checksums to be completed here (IFF_VNET_HDR).
 * Needs CAP_NET_ADMIN. Returns 0 or -errno (-EBUSY: there is such an interface). */
int tun_open(const char *name, int *ret);

/* Traffic selectors, which are ranges, as XFRM selectors, which are prefixes and masks. */
#pragma once

#include "ikewire/payload.h"

#include <linux/xfrm.h>
#include <stddef.h>

enum { XFRM_SELECTORS_MAX = 256 };

/* Every combination of a prefix of `source` and one of `destination`, of ports likewise. Selectors
 * of which only one side names a protocol match that protocol. Returns how many; 0 if none; -E2BIG
 * beyond XFRM_SELECTORS_MAX, -EOPNOTSUPP for a range of ICMP types. */
int xfrm_selectors(const IkeTs *source, const IkeTs *destination,
                   struct xfrm_selector ret[XFRM_SELECTORS_MAX]);

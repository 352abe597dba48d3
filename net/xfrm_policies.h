/* Traffic selectors, which are ranges, as XFRM selectors, which are prefixes and masks. */
#pragma once

#include "ikewire/payload.h"
#include "net/xfrm.h"

#include <linux/xfrm.h>
#include <stdbool.h>
#include <stddef.h>

enum { XFRM_SELECTORS_MAX = 256 };

/* Every combination of a prefix of `source` and one of `destination`, of ports likewise. Selectors
 * of which only one side names a protocol match that protocol. Returns how many; 0 if none; -E2BIG
 * beyond XFRM_SELECTORS_MAX, -EOPNOTSUPP for a range of ICMP types. */
int xfrm_selectors(const IkeTs *source, const IkeTs *destination,
                   struct xfrm_selector ret[XFRM_SELECTORS_MAX]);

typedef struct XfrmPolicies XfrmPolicies;

/* `netlink` is borrowed. Returns 0 or -ENOMEM. */
int xfrm_policies_new(Netlink *netlink, XfrmPolicies **ret);
void xfrm_policies_free(XfrmPolicies *policies);
DEFINE_POINTER_CLEANUP(XfrmPolicies, xfrm_policies_free);

/* Adds what a pair of SAs needs, in all three directions. Returns 0, -ENOSPC, -E2BIG, -EOPNOTSUPP
 * or another -errno; nothing of it is left then. */
int xfrm_policies_add(XfrmPolicies *policies, const SaOrder *order);

/* Removes what no other pair needs. */
void xfrm_policies_remove(XfrmPolicies *policies, uint32_t spi_in);

/* True if a policy that was added is not there any more, as far as the kernel can be asked. */
bool xfrm_policies_lack(XfrmPolicies *policies);

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

/* Adds what a pair of SAs needs, in all three directions. Several pairs may need one policy: what
 * comes in may have come through any of them; what goes out takes the one that the policy names,
 * the newest that is not in standby, else the oldest that is. Returns 0, -ENOSPC, -E2BIG,
 * -EOPNOTSUPP or another -errno; nothing of it is left then. */
int xfrm_policies_add(XfrmPolicies *policies, const SaOrder *order);

/* Has a pair send, as the newest and not in standby. Returns 0, -ENOENT or another -errno. */
int xfrm_policies_use(XfrmPolicies *policies, uint32_t spi_in);

/* The pair has reached its hard lifetime: where another can send instead, that does. */
void xfrm_policies_retire(XfrmPolicies *policies, uint32_t spi_in);

/* Has no packet that goes out take the pair, until xfrm_policies_move() says where it is now. Where
 * no other pair takes such packets, they are dropped meanwhile. Returns 0, -ENOENT or another
 * -errno. */
int xfrm_policies_hold(XfrmPolicies *policies, uint32_t spi_in);
int xfrm_policies_move(XfrmPolicies *policies, uint32_t spi_in, const SaPath *path);

/* Removes what no other pair needs. What goes out has changed over to another pair when this
 * returns, so that no packet meets a pair whose states are gone. */
void xfrm_policies_remove(XfrmPolicies *policies, uint32_t spi_in);

/* The interfaces (bit n: that at place n) of which a policy that was added is not there any more,
 * as far as the kernel can be asked. */
unsigned xfrm_policies_lack(XfrmPolicies *policies);

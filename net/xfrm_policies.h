/* The policies that the kernel plane's SAs need: kept in step with them, since several SAs share
 * policies while they are rekeyed. */
#pragma once

#include "net/xfrm.h"

#include <stdbool.h>

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

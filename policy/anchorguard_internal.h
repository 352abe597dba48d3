/* What anchorguard*.c and provisioning/devicetpm.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "policy/anchorguard.h"

/* Opens the index if it is a guard, whoever's it is. 0, -ENOENT, -EBADMSG or -EIO (reason filled).
 */
int anchor_guard_open(Tpm *tpm, NvIndex *ret, AnchorGuard *guard, Reason *reason);

/* -EEXIST; `reason` says that the index is another operator's, or no guard. */
int anchor_guard_not_ours(Reason *reason);

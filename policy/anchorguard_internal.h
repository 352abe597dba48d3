/* What anchorguard*.c and provisioning/devicetpm.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "policy/anchorguard.h"

/* policyRef of every approval. */
Bytes anchor_policy_ref(void);

/* The octets of the index: `ret` has ANCHOR_GUARD_SIZE of them. */
void anchor_record_encode(const AnchorRecord *record, uint8_t *ret);

/* A version as the index begins with it; `ret` has NV_NUMBER_SIZE octets. */
void anchor_version_encode(uint64_t version, uint8_t *ret);

/* Opens the index if it is a guard, whoever's it is. 0, -ENOENT, -EBADMSG or -EIO (reason filled).
 */
int anchor_guard_open(Tpm *tpm, NvIndex *ret, AnchorGuard *guard, Reason *reason);

/* -EEXIST; `reason` says that the index is another operator's, or no guard. */
int anchor_guard_not_ours(Reason *reason);

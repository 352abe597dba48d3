/* What anchorguard*.c share, and nobody else. */
#pragma once

#include "policy/anchorguard.h"

/* policyRef of every approval. */
Bytes anchor_policy_ref(void);

/* The octets of the index: `ret` has ANCHOR_GUARD_SIZE of them. */
void anchor_record_encode(const AnchorRecord *record, uint8_t *ret);

/* A version as the index begins with it; `ret` has NV_NUMBER_SIZE octets. */
void anchor_version_encode(uint64_t version, uint8_t *ret);

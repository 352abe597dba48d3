/* Policy digests (TPM 2.0 Part 1, 19.7), computed without a TPM: what a policy session's digest is
 * after the policy commands named here. All use SHA-256. */
#pragma once

#include "base/bytes.h"
#include "tpm/pcr.h"

#include <stdbool.h>

enum { POLICY_DIGEST_SIZE = 32, POLICY_DIGEST_TEXT_SIZE = 2 * POLICY_DIGEST_SIZE + 1 };

/* Zeroed, it is the digest of a fresh policy session. */
typedef struct PolicyDigest {
    uint8_t octets[POLICY_DIGEST_SIZE];
} PolicyDigest;

/* What TPM2_PolicyPCR calls pcrDigest: SHA-256 over the values, in the order of their numbers.
 * `ret` has POLICY_DIGEST_SIZE octets. 0 or -EIO. */
int pcr_digest(const PcrState *state, uint8_t *ret);

/* Each extends the digest as the TPM command of that name does (Part 3, clause 23). They return 0,
 * or -EIO if OpenSSL fails. */
int policy_digest_pcr(PolicyDigest *digest, const PcrState *state);
int policy_digest_cp_hash(PolicyDigest *digest, const uint8_t cp_hash[POLICY_DIGEST_SIZE]);
int policy_digest_nv_written(PolicyDigest *digest, bool written);

/* TPM2_PolicyNV: `operation` (TPM2_EO_…) between the octets of the NV index at `offset` and
 * `operand`. The index is named by its Name, so that another index of the same handle won't do. */
int policy_digest_nv(PolicyDigest *digest, const TPM2B_NAME *index, Bytes operand, uint16_t offset,
                     TPM2_EO operation);

/* TPM2_PolicyAuthorize: replaces what was there by the Name of the key that approved of it. */
int policy_digest_authorize(PolicyDigest *digest, const TPM2B_NAME *key, Bytes policy_ref);

/* What the key signs when it approves of `approved` (Part 3, 23.16): SHA-256(approved |
 * policy_ref). `ret` has POLICY_DIGEST_SIZE octets. 0 or -EIO. */
int policy_approval_hash(const PolicyDigest *approved, Bytes policy_ref, uint8_t *ret);

bool policy_digest_equal(const PolicyDigest *a, const PolicyDigest *b);

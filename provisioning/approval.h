/* Approving of policies and anchor bundles, with private keys that no device has. */
#pragma once

#include "policy/anchorbundle.h"
#include "policy/anchorguard.h"
#include "policy/policykey.h"

/* Approves of a policy: RSASSA-PKCS1-v1_5 or ECDSA (in DER), with SHA-256. `ret` has
 * POLICY_SIGNATURE_MAX octets. 0, -EINVAL (there is no private key) or -EIO. */
int policy_key_approve(const PolicyKey *key, const PolicyDigest *approved, Bytes policy_ref,
                       uint8_t *ret, size_t *ret_size);

/* Approves of `bundle` as `version` (1 to ANCHOR_VERSION_MAX) with the operator's private key, for
 * updates, and with `first` for devices that have none yet. *ret is the caller's to
 * anchor_approval_deinit(). 0, -EINVAL or -EIO. */
int anchor_approval_make(const PolicyKey *operator_key, Bytes bundle, uint64_t version, bool first,
                         AnchorApproval *ret);

/* The file's text; *ret is the caller's to free(). 0, -ENOMEM or -EIO. */
int anchor_approval_encode(const AnchorApproval *approval, char **ret);

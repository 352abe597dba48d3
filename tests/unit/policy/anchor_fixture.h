/* An operator with a policy key, and the approvals that he or she gives. */
#pragma once

#include "provisioning/approval.h"

/* A new key pair: "EC" (P-256) or "RSA" (2048). The caller's to policy_key_deinit(). */
PolicyKey operator_new(const char *type);

/* The operator's approval of `bundle` (a text) as `version`, with one for the factory. The caller's
 * to anchor_approval_deinit(). */
AnchorApproval approval_new(const PolicyKey *operator_key, const char *bundle, uint64_t version);

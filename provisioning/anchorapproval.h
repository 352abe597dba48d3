/* Making the operator's approval of an anchor bundle, and its file. */
#pragma once

#include "policy/anchorbundle.h"

/* Approves of `bundle` as `version` (1 to ANCHOR_VERSION_MAX) with the operator's private key, for
 * updates, and with `first` for devices that have none yet. *ret is the caller's to
 * anchor_approval_deinit(). 0, -EINVAL or -EIO. */
int anchor_approval_make(const PolicyKey *operator_key, Bytes bundle, uint64_t version, bool first,
                         AnchorApproval *ret);

/* The file's text; *ret is the caller's to free(). 0, -ENOMEM or -EIO. */
int anchor_approval_encode(const AnchorApproval *approval, char **ret);

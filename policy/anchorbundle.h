/* The file beside an anchor bundle ("segw-anchors.pem.sig") in which the operator approves of it:
 *
 *     version 7
 *     sha256 HEX
 *     first HEX
 *     update HEX
 *     -----BEGIN PUBLIC KEY-----
 *     ...
 *
 * The key is the operator's. Nothing needs to believe the file: the TPM knows which key it obeys.
 * "first" is there only where the bundle may be the first one of a device. */
#pragma once

#include "base/reason.h"
#include "policy/anchorguard.h"

#define ANCHOR_APPROVAL_SUFFIX ".sig"

enum {
    ANCHOR_APPROVAL_SIZE_MAX = 16 * 1024,
    ANCHOR_BUNDLE_SIZE_MAX = 1024 * 1024,
};

typedef struct AnchorApproval {
    AnchorRecord record;
    PolicyKey operator_key;
    AnchorSignature signatures[ANCHOR_WRITES]; /* that of the update is always there */
} AnchorApproval;

void anchor_approval_deinit(AnchorApproval *approval);

/* Reads an approval, `text`, the content of the file that messages call `name`: each line once, in
 * its order and of the right form, and no other; each signature that is there must be that of the
 * key. *ret is the caller's to anchor_approval_deinit(). Returns 0, -ENOMEM, or -EINVAL; `reason`
 * says what was found and what to do. */
int anchor_approval_decode(Bytes text, const char *name, AnchorApproval *ret, Reason *reason);

/* 0 if the approval is for this bundle; -EINVAL with `reason`, in which both files are named. */
int anchor_approval_fits(const AnchorApproval *approval, Bytes bundle, const char *name,
                         Reason *reason);

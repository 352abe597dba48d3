/* The file beside an anchor bundle ("segw-anchors.pem.sig") in which the operator approves of it:
 *
 *   {"version": 7, "sha256": "hex", "key": "PEM", "pkfp": "hex", "first": "base64",
 *    "update": "base64"}
 *
 * `key` is the operator's public key, and `pkfp` its SHA-256 fingerprint. Nothing needs to believe
 * the file: the TPM knows which key it obeys. `first` is there only where the bundle may be the
 * first one of a device.
 */
#pragma once

#include "policy/anchorguard.h"

enum {
    ANCHOR_APPROVAL_ERROR_SIZE = 512,
    ANCHOR_APPROVAL_SIZE_MAX = 16 * 1024,
    ANCHOR_BUNDLE_SIZE_MAX = 1024 * 1024,
    ANCHOR_KEY_PEM_MAX = 1024,
};

typedef struct AnchorApproval {
    AnchorRecord record;
    PolicyKey operator_key;
    AnchorSignature signatures[ANCHOR_WRITES]; /* that of the update is always there */
} AnchorApproval;

/* Approves of `bundle` as `version` (1 to ANCHOR_VERSION_MAX) with the operator's private key, for
 * updates, and with `first` for devices that have none yet. *ret is the caller's to
 * anchor_approval_deinit(). 0, -EINVAL or -EIO. */
int anchor_approval_make(const PolicyKey *operator_key, Bytes bundle, uint64_t version, bool first,
                         AnchorApproval *ret);
void anchor_approval_deinit(AnchorApproval *approval);

/* Reads a file: each member once, of the right form, and no other; each signature that is there
 * must be the operator's. Returns 0, open's errno, -ENOMEM, or -EINVAL; `error`
 * (ANCHOR_APPROVAL_ERROR_SIZE octets) says what was found and what to do. */
int anchor_approval_read(const char *path, AnchorApproval *ret, char *error);

/* The same from memory: `json` is the content of the file that messages call `name`. */
int anchor_approval_decode(Bytes json, const char *name, AnchorApproval *ret, char *error);

/* The file's text; *ret is the caller's to free(). 0, -ENOMEM or -EIO. */
int anchor_approval_encode(const AnchorApproval *approval, char **ret);

/* 0 if the approval is for this bundle; -EINVAL with `error`, in which both files are named. */
int anchor_approval_fits(const AnchorApproval *approval, Bytes bundle, const char *name,
                         char *error);

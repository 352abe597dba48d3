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

#include "base/file.h"
#include "base/reason.h"
#include "policy/anchorguard.h"

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

/* ---- the anchors' files, and new ones in their place ---- */

#define ANCHOR_APPROVAL_SUFFIX ".sig"
#define ANCHOR_NEXT_SUFFIX ".next"

/* Lays the new pair down beside the old, on disk to stay. 0 or -errno. */
int anchor_files_stage(const char *path, Bytes bundle, Bytes approval, FileOwner owner);

/* Puts the new pair in the place of the old. 0 or -errno. */
int anchor_files_commit(const char *path);

/* Removes a new pair that did not come into force; nothing is done if there is none. 0 or -errno.
 */
int anchor_files_discard(const char *path);

/* Brings the files to what the TPM says: `record` is what the guard holds, NULL if it holds
 * nothing. 1 if a new pair was put in force, 0 if nothing was, or -errno. */
int anchor_files_recover(const char *path, const AnchorRecord *record);

typedef enum AnchorInstallError {
    ANCHOR_E_REFUSED =
        1,              /* not what the operator of this device approved of, or no anchors at all */
    ANCHOR_E_OUTDATED,  /* the TPM holds a newer version */
    ANCHOR_E_UNGUARDED, /* the TPM has no guard, or one that was never written and can't be now */
} AnchorInstallError;

/* Installs `bundle`, whose certificates the caller has looked at, by its approval `text` at `path`,
 * for `owner`. The one that the TPM holds already may be installed again: its files are then put
 * right. *ret is what is in force afterwards. Returns 0, an AnchorInstallError, or -errno; `reason`
 * says what was found and what to do. What was in force before stays so unless 0 is returned, or
 * the renaming alone failed (the next load takes that up). */
int anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes text, FileOwner owner,
                    AnchorRecord *ret, Reason *reason);

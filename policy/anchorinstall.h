/* The anchors' files, and new ones in their place: the pair of a bundle and its approval
 * (policy/anchorbundle.h) at a path, and beside it, while they are replaced, the next pair
 * ("segw-anchors.pem.next"). */
#pragma once

#include "base/bytes.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "policy/anchorguard.h"

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
 * says what was found and what to do. What was in force before stays so unless 0 is returned; after
 * -errno it may not: the renaming alone failed, or the TPM could not be asked what it holds (the
 * next load takes both up). */
int anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes text, FileOwner owner,
                    AnchorRecord *ret, Reason *reason);

/* The anchor bundle and its approval on disk, replaced so that a power cut leaves either the old
 * pair in force or the new one.
 *
 * `path` ("…/segw-anchors.pem") is the bundle, and path.sig its approval. A new pair is laid down
 * as path.next and path.next.sig, then the TPM is written to, then both are renamed. What the TPM
 * holds decides which of the two is in force: whoever loads the anchors next finishes the renaming,
 * or removes what never came into force.
 */
#pragma once

#include "base/file.h"
#include "policy/anchorguard.h"

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

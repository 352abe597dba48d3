/* Putting a bundle of SeGW anchors in force: looked at, approved of, written to the TPM and to
 * disk, in an order that a power cut does not break. */
#pragma once

#include "base/reason.h"
#include "policy/anchorbundle.h"
#include "policy/anchorfiles.h"

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

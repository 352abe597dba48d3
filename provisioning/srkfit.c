/* What a storage root key that somebody else made can be wrong in. */
#include "provisioning/srkfit.h"

#include "tpm/commands.h"
#include "tpm/storagekey.h"

#include <errno.h>

static int refuse(const char *what, Reason *reason)
{
    return reason_set(
        reason, -EPERM,
        "the storage root key at 0x%08x, which this TPM came with, %s; if nothing else "
        "uses it, remove it with 'tpm2_evictcontrol -C o -c 0x%08x', and a right one is "
        "made; if something does, clear the TPM ('tpm2_clear', which destroys all keys "
        "in it) or use another",
        TPM_SRK_HANDLE, what, TPM_SRK_HANDLE);
}

/* An authorization is judged before a command's parameters are (TPM 2.0 Part 3, 5.6, 5.8): there is
 * nothing to load here, and what is said tells whether it would have been allowed. */
static int password_check(Tpm *tpm, const TpmObject *srk, Reason *reason)
{
    static const TPM2B_PRIVATE nothing = {0};
    const TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TpmObject loaded = {0};
    TSS2_RC rc = tpm2_load(tpm, srk, NULL, &nothing, &public, &loaded);

    switch (tpm_rc_base(rc)) {
    case TPM2_RC_BAD_AUTH:
    case TPM2_RC_AUTH_FAIL:
        return refuse("has a password", reason);
    case TPM2_RC_SIZE:
        return 0;
    case TSS2_RC_SUCCESS:
        tpm_object_release(tpm, &loaded);
        return 0;
    default:
        tpm_error(reason, "TPM2_Load (to try the storage root key)", rc);
        return -EIO;
    }
}

int srk_fits(Tpm *tpm, Reason *reason)
{
    TPM2B_PUBLIC public = {0};
    TpmObject srk = {0};
    int r = tpm_srk_open(tpm, false, &srk, reason);

    if (r < 0)
        return r;
    TSS2_RC rc = tpm2_read_public(tpm, TPM_SRK_HANDLE, &public, &srk);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_ReadPublic (storage root key)", rc);
        return -EIO;
    }
    if (!(public.publicArea.objectAttributes & TPMA_OBJECT_NODA))
        return refuse("lacks the attribute noDA, so that a few power cuts lock the TPM", reason);
    return password_check(tpm, &srk, reason);
}

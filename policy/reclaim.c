/* Whose are the TPM's slots, when there are none left? */
#include "policy/session.h"

#include "policy/storagekey.h"

enum { HANDLES_MAX = 254 };

static bool is_held(Tpm *tpm, TPM2_HANDLE handle)
{
    for (size_t i = 0; i < ELEMENTS(tpm->held); i++) {
        TPM2_HANDLE held;

        if (tpm->held[i] != ESYS_TR_NONE &&
            Esys_TR_GetTpmHandle(tpm->esys, tpm->held[i], &held) == TSS2_RC_SUCCESS &&
            held == handle)
            return true;
    }
    return false;
}

static bool handle_flush(Tpm *tpm, TPM2_HANDLE handle)
{
    ESYS_TR object = ESYS_TR_NONE;

    return Esys_TR_FromTPMPublic(tpm->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &object) == TSS2_RC_SUCCESS &&
           Esys_FlushContext(tpm->esys, object) == TSS2_RC_SUCCESS;
}

/* Flushes all handles of the kind of `first` but those in use; true if there was one. */
static bool handles_flush(Tpm *tpm, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more;
    bool flushed = false;

    if (Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                           first, HANDLES_MAX, &more, &data) != TSS2_RC_SUCCESS)
        return false;
    for (UINT32 i = 0; i < data->data.handles.count; i++) {
        const TPM2_HANDLE handle = data->data.handles.handle[i];

        flushed = (!is_held(tpm, handle) && handle_flush(tpm, handle)) || flushed;
    }
    Esys_Free(data);
    return flushed;
}

/* Flushes what stands in the way of a command that failed so. */
static bool way_clear(Tpm *tpm, TSS2_RC rc)
{
    bool saved;

    switch (tpm_rc_base(rc)) {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
        return handles_flush(tpm, TPM2_TRANSIENT_FIRST);
    case TPM2_RC_SESSION_MEMORY:
        return handles_flush(tpm, TPM2_LOADED_SESSION_FIRST);
    case TPM2_RC_SESSION_HANDLES:
    case TPM2_RC_CONTEXT_GAP:
        saved = handles_flush(tpm, TPM2_ACTIVE_SESSION_FIRST);
        return handles_flush(tpm, TPM2_LOADED_SESSION_FIRST) || saved;
    default:
        return false;
    }
}

bool tpm_reclaim(Tpm *tpm, TSS2_RC rc)
{
    /* Behind a resource manager the slots of others are their own, and it makes room by itself. */
    return rc != TSS2_RC_SUCCESS && tpm->exclusive && way_clear(tpm, rc);
}

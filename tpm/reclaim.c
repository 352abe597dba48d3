/* Making room in the TPM's slots, when there is none left. */
#include "tpm/reclaim.h"

#include "tpm/commands.h"

enum { HANDLES_MAX = 254 };

static bool is_held(const Tpm *tpm, TPM2_HANDLE handle)
{
    for (size_t i = 0; i < ELEMENTS(tpm->held); i++) {
        if (tpm->held[i] == handle)
            return true;
    }
    return false;
}

/* Flushes all handles of the kind of `first` but those in use; true if there was one. */
static bool handles_flush(Tpm *tpm, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA data = {0};
    bool flushed = false;

    if (tpm2_get_capability(tpm, TPM2_CAP_HANDLES, first, HANDLES_MAX, &data) != TSS2_RC_SUCCESS)
        return false;
    for (uint32_t i = 0; i < data.data.handles.count; i++) {
        const TPM2_HANDLE handle = data.data.handles.handle[i];

        if (!is_held(tpm, handle))
            flushed = tpm2_flush_context(tpm, handle) == TSS2_RC_SUCCESS || flushed;
    }
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

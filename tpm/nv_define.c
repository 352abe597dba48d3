/* Makes NV indices, and takes them away: what the factory does. */
#include "tpm/nv_internal.h"

#include "tpm/commands.h"
#include "tpm/session.h"

int nv_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_define_space(tpm, session, public);
    tpm_session_flush(tpm, session);
    return rc == TSS2_RC_SUCCESS ? 0 : nv_fail(reason, "TPM2_NV_DefineSpace", public->nvIndex, rc);
}

int nv_undefine(Tpm *tpm, TPM2_HANDLE handle, Reason *reason)
{
    TpmSession *session = NULL;
    NvIndex index;
    TSS2_RC rc;
    int r;

    r = nv_open(tpm, handle, &index, reason);
    if (r == 0)
        r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_undefine_space(tpm, &index.object, session);
    tpm_session_flush(tpm, session);
    return rc == TSS2_RC_SUCCESS ? 0 : nv_fail(reason, "TPM2_NV_UndefineSpace", handle, rc);
}

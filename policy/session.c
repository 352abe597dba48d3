/* How do we talk to the TPM so that nobody between can read or change what is said, and what if it
 * has no room left for that? */
#include "policy/session.h"

#include "policy/storagekey.h"

#include <errno.h>

static const TPMT_SYM_DEF session_cipher = {
    .algorithm = TPM2_ALG_AES,
    .keyBits.aes = 128,
    .mode.aes = TPM2_ALG_CFB,
};

static TSS2_RC session_new(Tpm *tpm, TPM2_SE type, ESYS_TR *ret)
{
    return Esys_StartAuthSession(tpm->esys, tpm->salt_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 ESYS_TR_NONE, NULL, type, &session_cipher, TPM2_ALG_SHA256, ret);
}

int tpm_session_start(Tpm *tpm, TPM2_SE type, ESYS_TR *ret, char *error)
{
    const TPMA_SESSION attributes =
        type == TPM2_SE_HMAC
            ? TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT
            : 0;
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = tpm_salt_key_open(tpm, error);
    if (r < 0)
        return r;
    rc = session_new(tpm, type, &session);
    if (tpm_reclaim(tpm, rc))
        rc = session_new(tpm, type, &session);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_TRSess_SetAttributes(tpm->esys, session, attributes, 0xff);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_session_flush(tpm, session);
        tpm_error(error, "TPM2_StartAuthSession", rc);
        return -EIO;
    }
    tpm_hold(tpm, session);
    *ret = session;
    return 0;
}

void tpm_session_ended(Tpm *tpm, ESYS_TR session)
{
    tpm_unhold(tpm, session);
    (void)Esys_TR_Close(tpm->esys, &session); /* ESYS keeps what it knows of it otherwise */
}

void tpm_session_flush(Tpm *tpm, ESYS_TR session)
{
    if (session == ESYS_TR_NONE)
        return;
    tpm_unhold(tpm, session);
    (void)Esys_FlushContext(tpm->esys, session);
}

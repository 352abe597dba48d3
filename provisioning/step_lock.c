/* The step "lock": who has root on the device must not be able to take the TPM's NV indices away
 * and define them anew. So the owner hierarchy gets an authorization value that nobody knows. */
#include "provisioning/step.h"

#include "crypto/openssl.h"
#include "policy/storagekey.h"
#include "provisioning/tpmfacts.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { AUTH_SIZE = 32 };

int step_lock_check(Provision *provision, char *note)
{
    char error[TPM_ERROR_SIZE] = "";
    TpmFacts facts;
    int r = tpm_facts_read(provision->tpm, &facts, error);

    (void)snprintf(note, STEP_NOTE_SIZE, "the owner hierarchy's authValue is random and unknown");
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    return facts.owner_auth_set ? 1 : 0;
}

/* A session salted to the storage root key, with parameters encrypted: who listens on the TPM's bus
 * does not learn the new value (TPM 2.0 Part 1, 21). */
static TSS2_RC session_start(Tpm *tpm, ESYS_TR srk, ESYS_TR *ret)
{
    static const TPMT_SYM_DEF aes = {
        .algorithm = TPM2_ALG_AES,
        .keyBits.aes = 128,
        .mode.aes = TPM2_ALG_CFB,
    };
    const TPMA_SESSION attributes = TPMA_SESSION_DECRYPT;
    TSS2_RC rc;

    rc = Esys_StartAuthSession(tpm->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256, ret);
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    /* Without continueSession, the session ends with the one command that it is for. */
    return Esys_TRSess_SetAttributes(tpm->esys, *ret, attributes, 0xff);
}

static TSS2_RC auth_change(Tpm *tpm, ESYS_TR srk, const TPM2B_AUTH *auth)
{
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc = session_start(tpm, srk, &session);

    if (rc == TSS2_RC_SUCCESS) {
        rc = Esys_HierarchyChangeAuth(tpm->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE,
                                      ESYS_TR_NONE, auth);
    }
    if (rc != TSS2_RC_SUCCESS && session != ESYS_TR_NONE)
        (void)Esys_FlushContext(tpm->esys, session);
    return rc;
}

int step_lock_do(Provision *provision, char *note)
{
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR srk = ESYS_TR_NONE;
    TPM2B_AUTH auth = {.size = AUTH_SIZE};
    TSS2_RC rc;
    int r;

    (void)note;
    r = tpm_srk_open(provision->tpm, false, &srk, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    if (RAND_priv_bytes(auth.buffer, AUTH_SIZE) != 1) {
        tpm_object_release(provision->tpm, srk);
        complain("OpenSSL has no random numbers");
        return -EIO;
    }
    rc = auth_change(provision->tpm, srk, &auth);
    OPENSSL_cleanse(&auth, sizeof(auth));
    tpm_object_release(provision->tpm, srk);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(error, "TPM2_HierarchyChangeAuth (owner)", rc);
    complain("%s", error);
    return -EIO;
}

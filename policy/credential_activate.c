/* How does a TPM give the secret of a credential out, so that its bus learns nothing of it? */
#include "policy/credential.h"

#include "policy/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The EK's one policy: whoever may use the endorsement hierarchy (its auth is empty). */
static int policy_satisfy(const Endorsement *ek, ESYS_TR hmac, ESYS_TR policy, char *error)
{
    TSS2_RC rc = Esys_PolicySecret(ek->tpm->esys, ESYS_TR_RH_ENDORSEMENT, policy, hmac,
                                   ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(error, "TPM2_PolicySecret (endorsement hierarchy)", rc);
    return -EIO;
}

/* What a TPM says to a credential that is not its own, or was changed on the way. TPM_RC_FAILURE is
 * libtpms's word for an RSA seed encrypted to another EK; a TPM that is in failure mode would have
 * refused the commands before this one. */
static bool says_not_mine(TSS2_RC rc)
{
    static const TSS2_RC answers[] = {
        TPM2_RC_INTEGRITY, TPM2_RC_VALUE,        TPM2_RC_SIZE,
        TPM2_RC_ECC_POINT, TPM2_RC_INSUFFICIENT, TPM2_RC_FAILURE,
    };

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        if (tpm_rc_base(rc) == answers[i])
            return true;
    }
    return false;
}

/* `hmac` authorizes the device key, in the ADMIN role, by its empty auth; it encrypts the secret on
 * its way out. */
static int activate(const Endorsement *ek, ESYS_TR key, ESYS_TR hmac, ESYS_TR policy,
                    const Credential *credential, Secret **ret, char *error)
{
    TPM2B_DIGEST *info = NULL;
    TSS2_RC rc = Esys_ActivateCredential(ek->tpm->esys, key, ek->object, hmac, policy, ESYS_TR_NONE,
                                         &credential->blob, &credential->secret, &info);
    int r;

    if (says_not_mine(rc)) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "the TPM refuses the challenge: it was made for another TPM, or for another "
                       "device key, or was damaged on the way (0x%08x); ask for a new one with a "
                       "new request",
                       rc);
        return -EKEYREJECTED;
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_ActivateCredential", rc);
        return -EIO;
    }
    r = secret_new(info->size, ret);
    if (r == 0) {
        memcpy((*ret)->data, info->buffer, info->size);
    } else {
        r = -ENOMEM;
        (void)snprintf(error, TPM_ERROR_SIZE, "there is no locked memory for the secret");
    }
    OPENSSL_cleanse(info, sizeof(*info));
    Esys_Free(info);
    return r;
}

int credential_activate(const Endorsement *ek, ESYS_TR key, const Credential *credential,
                        Secret **ret, char *error)
{
    ESYS_TR hmac = ESYS_TR_NONE;
    ESYS_TR policy = ESYS_TR_NONE;
    int r;

    r = tpm_session_start(ek->tpm, TPM2_SE_HMAC, &hmac, error);
    if (r == 0)
        r = tpm_session_start(ek->tpm, TPM2_SE_POLICY, &policy, error);
    if (r == 0)
        r = policy_satisfy(ek, hmac, policy, error);
    if (r == 0)
        r = activate(ek, key, hmac, policy, credential, ret, error);
    /* After a success the TPM has ended the policy session by itself. */
    if (r == 0) {
        tpm_session_ended(ek->tpm, policy);
    } else {
        tpm_session_flush(ek->tpm, policy);
    }
    tpm_session_flush(ek->tpm, hmac);
    return r;
}

/* Having a TPM give the secret of a credential out, so that its bus learns nothing of it. */
#include "provisioning/credential.h"

#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <string.h>

/* The EK's one policy: whoever may use the endorsement hierarchy (its auth is empty). */
static int policy_satisfy(const Endorsement *ek, TpmSession *hmac, TpmSession *policy,
                          Reason *reason)
{
    const TSS2_RC rc = tpm2_policy_secret(ek->tpm, TPM2_RH_ENDORSEMENT, hmac, policy);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_PolicySecret (endorsement hierarchy)", rc);
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
static int activate(const Endorsement *ek, const TpmObject *key, TpmSession *hmac,
                    TpmSession *policy, const Credential *credential, Secret **ret, Reason *reason)
{
    TPM2B_DIGEST info = {0};
    TSS2_RC rc = tpm2_activate_credential(ek->tpm, key, hmac, &ek->object, policy,
                                          &credential->blob, &credential->secret, &info);
    int r;

    if (says_not_mine(rc)) {
        return reason_set(
            reason, -EKEYREJECTED,
            "the TPM refuses the challenge: it was made for another TPM, or for another "
            "device key, or was damaged on the way (0x%08x); ask for a new one with a "
            "new request",
            rc);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_ActivateCredential", rc);
        return -EIO;
    }
    r = secret_new(info.size, ret);
    if (r == 0) {
        memcpy((*ret)->data, info.buffer, info.size);
    } else {
        r = -ENOMEM;
        reason_set(reason, 0, "there is no locked memory for the secret");
    }
    OPENSSL_cleanse(&info, sizeof(info));
    return r;
}

int credential_activate(const Endorsement *ek, const TpmObject *key, const Credential *credential,
                        Secret **ret, Reason *reason)
{
    TpmSession *hmac = NULL;
    TpmSession *policy = NULL;
    int r;

    r = tpm_session_start(ek->tpm, TPM2_SE_HMAC, &hmac, reason);
    if (r == 0)
        r = tpm_session_start(ek->tpm, TPM2_SE_POLICY, &policy, reason);
    if (r == 0)
        r = policy_satisfy(ek, hmac, policy, reason);
    if (r == 0)
        r = activate(ek, key, hmac, policy, credential, ret, reason);
    tpm_session_flush(ek->tpm, policy);
    tpm_session_flush(ek->tpm, hmac);
    return r;
}

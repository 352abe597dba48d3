/* Making a device key. */
#include "policy/devicekey_internal.h"

#include "base/reason.h"
#include "tpm/commands.h"
#include "tpm/session.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <string.h>

/* No scheme is written into the key: each TPM2_Sign names it, and one RSA key serves PKCS#1 v1.5
 * and PSS. */
static TPM2B_PUBLIC device_template(TpmKeyAlgorithm algorithm, const PolicyDigest *policy)
{
    TPM2B_PUBLIC template = {
        .publicArea =
            {
                .nameAlg = TPM2_ALG_SHA256,
                /* noDA: there is no secret to guess, while each power cut would count as a wrong
                 * guess and soon lock the key (TPM 2.0 Part 1, 19.8). */
                .objectAttributes = DEVICE_KEY_BOUND | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_NODA,
            },
    };
    TPMT_PUBLIC *area = &template.publicArea;

    if (policy) {
        area->authPolicy.size = sizeof(policy->octets);
        memcpy(area->authPolicy.buffer, policy->octets, sizeof(policy->octets));
    } else {
        area->objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    }
    if (algorithm == TPM_KEY_RSA_2048) {
        area->type = TPM2_ALG_RSA;
        area->parameters.rsaDetail = (TPMS_RSA_PARMS){
            .symmetric.algorithm = TPM2_ALG_NULL,
            .scheme.scheme = TPM2_ALG_NULL,
            .keyBits = 2048,
        };
    } else {
        area->type = TPM2_ALG_ECC;
        area->parameters.eccDetail = (TPMS_ECC_PARMS){
            .symmetric.algorithm = TPM2_ALG_NULL,
            .scheme.scheme = TPM2_ALG_NULL,
            .curveID = algorithm == TPM_KEY_ECDSA_P384 ? TPM2_ECC_NIST_P384 : TPM2_ECC_NIST_P256,
            .kdf.scheme = TPM2_ALG_NULL,
        };
    }
    return template;
}

static int key_create(Tpm *tpm, const TpmObject *parent, const TPM2B_PUBLIC *template, Tss2Key *ret,
                      Reason *reason)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    *ret = (Tss2Key){.empty_auth = true, .parent = TPM_SRK_HANDLE};
    rc = tpm2_create(tpm, parent, session, &sensitive, template, &ret->private, &ret->public);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_Create (device key)", rc);
        return -EIO;
    }
    return 0;
}

int device_key_create(Tpm *tpm, TpmKeyAlgorithm algorithm, const PolicyDigest *policy, Tss2Key *ret,
                      Reason *reason)
{
    const TPM2B_PUBLIC template = device_template(algorithm, policy);
    TpmObject srk = {0};
    int r;

    r = tpm_srk_open(tpm, false, &srk, reason);
    if (r < 0)
        return -EIO;
    r = key_create(tpm, &srk, &template, ret, reason);
    tpm_object_release(tpm, &srk);
    return r;
}

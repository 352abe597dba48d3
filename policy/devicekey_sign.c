/* Signing with the device key. What comes out of the TPM is signatures, all in one session, which
 * is made ready before each. */
#include "policy/devicekey_internal.h"

#include "base/reason.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"
#include "tpm/session.h"

#include <errno.h>
#include <string.h>

typedef struct DigestName {
    const char *name;
    TPM2_ALG_ID id;
    size_t size;
} DigestName;

/* TS 33.310 6.2: SHA-256 and SHA-384, nothing weaker. */
static const DigestName digest_names[] = {
    {"SHA256", TPM2_ALG_SHA256, 32},
    {"SHA384", TPM2_ALG_SHA384, 48},
};

static int scheme_choose(const DeviceKey *key, const char *digest_name, bool pss, Bytes digest,
                         TPMT_SIG_SCHEME *ret)
{
    const bool rsa = key->public.type == TPM2_ALG_RSA;
    const TPMT_ECC_SCHEME *fixed = &key->public.parameters.eccDetail.scheme;
    const DigestName *found = NULL;

    for (size_t i = 0; i < ELEMENTS(digest_names); i++) {
        if (strcmp(digest_names[i].name, digest_name) == 0)
            found = &digest_names[i];
    }
    if (!found || digest.size != found->size || (pss && !rsa))
        return -EINVAL;
    if (!rsa && fixed->scheme != TPM2_ALG_NULL && fixed->details.ecdsa.hashAlg != found->id)
        return -EINVAL;
    *ret = (TPMT_SIG_SCHEME){
        .scheme = !rsa  ? TPM2_ALG_ECDSA
                  : pss ? TPM2_ALG_RSAPSS
                        : TPM2_ALG_RSASSA,
        .details.any.hashAlg = found->id,
    };
    return 0;
}

static int signature_copy(const DeviceKey *key, const TPMT_SIGNATURE *signature, uint8_t *ret,
                          size_t *ret_size)
{
    const size_t half = key->algorithm == TPM_KEY_ECDSA_P384 ? 48 : 32;
    const TPM2B_PUBLIC_KEY_RSA *rsa = &signature->signature.rsassa.sig;
    const TPM2B_ECC_PARAMETER *r = &signature->signature.ecdsa.signatureR;
    const TPM2B_ECC_PARAMETER *s = &signature->signature.ecdsa.signatureS;

    if (key->public.type == TPM2_ALG_RSA) {
        *ret_size = (size_t)EVP_PKEY_get_size(key->pkey);
        return tpm_integer_pad((Bytes){rsa->buffer, rsa->size}, ret, *ret_size);
    }
    *ret_size = 2 * half;
    if (tpm_integer_pad((Bytes){r->buffer, r->size}, ret, half) < 0)
        return -ERANGE;
    return tpm_integer_pad((Bytes){s->buffer, s->size}, ret + half, half);
}

/* A session of the key's own. It stays after a signature, since a salt costs an ECDH or RSA
 * operation on both sides; and has nothing encrypted, as a digest is no secret. */
static int session_open(DeviceKey *key, TPM2_SE type, Reason *reason)
{
    int r = tpm_session_start(key->tpm, type, &key->session, reason);

    if (r == 0)
        tpm_session_authorize(key->session);
    return r;
}

/* Satisfies the policy for the state that was found last. */
static int policy_session_satisfy(DeviceKey *key, Reason *reason)
{
    int r;

    if (!key->policy->fit)
        return -EKEYREJECTED;
    r = key->session ? 0 : session_open(key, TPM2_SE_POLICY, reason);
    if (r < 0)
        return r;
    r = key_policy_satisfy(key->tpm, key->policy, key->session, reason);
    if (r < 0)
        device_key_rest(key);
    return r;
}

static int policy_session_prepare(DeviceKey *key, Reason *reason)
{
    const bool kept = key->session;
    int r = policy_session_satisfy(key, reason);

    /* One that was kept may be gone: flushed by somebody, or with a reset of the TPM. */
    if (r < 0 && kept)
        r = policy_session_satisfy(key, reason);
    if (r != -EKEYREJECTED)
        return r;
    /* The platform has changed, perhaps into another state that was approved of; or the TPM takes
     * the ticket no longer, and gives another. */
    key->policy->fit = NULL;
    r = key_policy_fit(key->tpm, key->policy, reason);
    return r < 0 ? r : policy_session_satisfy(key, reason);
}

int device_key_prepare(DeviceKey *key, Reason *reason)
{
    int r = 0;

    if (key->ready)
        return 0;
    if (key->policy) {
        r = policy_session_prepare(key, reason);
    } else if (!key->session) {
        r = session_open(key, TPM2_SE_HMAC, reason);
    }
    key->ready = r == 0;
    return r;
}

void device_key_rest(DeviceKey *key)
{
    key->ready = false;
    tpm_session_flush(key->tpm, steal_pointer(key->session));
}

/* Worth preparing anew: a PCR changed after TPM2_PolicyPCR, the session is gone (somebody flushed
 * it, or the TPM was reset), or the TPM and we have different keys for it, as the answer to
 * TPM2_StartAuthSession was changed on its way. */
static bool session_is_stale(TSS2_RC rc)
{
    switch (tpm_rc_base(rc)) {
    case TPM2_RC_PCR_CHANGED:
    case TPM2_RC_POLICY_FAIL:
    case TPM2_RC_REFERENCE_S0:
    case TPM2_RC_VALUE: /* of the session's handle: the other parameters were checked */
    case TPM2_RC_HANDLE:
    case TPM2_RC_BAD_AUTH:
        return true;
    default:
        return false;
    }
}

/* TPM2_Sign in the prepared session. The TPM forgets of a policy session what was satisfied, and
 * keeps the session (TPM 2.0 Part 1, 19.7); an HMAC session is ready again at once. */
static TSS2_RC sign(DeviceKey *key, const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                    TPMT_SIGNATURE *ret)
{
    const TSS2_RC rc = tpm2_sign(key->tpm, &key->object, key->session, digest, scheme, ret);

    if (rc != TSS2_RC_SUCCESS) {
        device_key_rest(key);
    } else {
        key->ready = !key->policy;
    }
    return rc;
}

static int sign_prepared(DeviceKey *key, const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                         TPMT_SIGNATURE *ret, Reason *reason)
{
    TSS2_RC rc;
    int r;

    r = device_key_prepare(key, reason);
    if (r < 0)
        return r;
    rc = sign(key, digest, scheme, ret);
    if (session_is_stale(rc)) {
        r = device_key_prepare(key, reason);
        if (r < 0)
            return r;
        rc = sign(key, digest, scheme, ret);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_Sign", rc);
        return -EIO;
    }
    return 0;
}

int device_key_sign(DeviceKey *key, const char *digest_name, bool pss, Bytes digest, uint8_t *ret,
                    size_t *ret_size, Reason *reason)
{
    TPMT_SIGNATURE signature = {0};
    TPM2B_DIGEST tpm_digest = {0};
    TPMT_SIG_SCHEME scheme;
    int r;

    if (scheme_choose(key, digest_name, pss, digest, &scheme) < 0) {
        return reason_set(reason, -EINVAL,
                          "the device key (%s) does not sign a digest of %zu octets as %s%s",
                          tpm_key_algorithm_name(key->algorithm), digest.size, digest_name,
                          pss ? " with PSS" : "");
    }
    tpm_digest.size = (UINT16)digest.size;
    memcpy(tpm_digest.buffer, digest.data, digest.size);
    r = sign_prepared(key, &tpm_digest, &scheme, &signature, reason);
    if (r < 0)
        return r == -EKEYREJECTED ? r : -EIO;
    if (signature_copy(key, &signature, ret, ret_size) < 0) {
        return reason_set(reason, -EIO,
                          "TPM2_Sign: the TPM returned a signature that is too long for its key");
    }
    return 0;
}

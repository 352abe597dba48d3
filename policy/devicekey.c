/* The device key: which key files are fit to be it, how one is loaded and held, and signing with
 * it. What comes out of the TPM is signatures, all in one session, which is made ready before each.
 */
#include "policy/devicekey.h"

#include "base/reason.h"
#include "policy/devicekey_internal.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"
#include "tpm/session.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

enum { DIGEST_SIZE_MAX = 48 };

int device_key_algorithm_of(const TPMT_PUBLIC *public, TpmKeyAlgorithm *ret)
{
    static const struct {
        TPM2_ALG_ID type;
        unsigned variant; /* RSA: bits; ECC: the curve */
    } variants[TPM_KEY_ALGORITHMS] = {
        [TPM_KEY_ECDSA_P256] = {TPM2_ALG_ECC, TPM2_ECC_NIST_P256},
        [TPM_KEY_ECDSA_P384] = {TPM2_ALG_ECC, TPM2_ECC_NIST_P384},
        [TPM_KEY_RSA_2048] = {TPM2_ALG_RSA, 2048},
    };
    const unsigned variant = public->type == TPM2_ALG_RSA ? public->parameters.rsaDetail.keyBits
                                                          : public->parameters.eccDetail.curveID;

    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        if (variants[i].type == public->type && variants[i].variant == variant) {
            *ret = (TpmKeyAlgorithm)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* A scheme written into a key is the only one that it signs with, so it must be one that we use. */
static bool scheme_fits(const TPMT_PUBLIC *public, TpmKeyAlgorithm algorithm)
{
    const TPMT_ECC_SCHEME *ecc = &public->parameters.eccDetail.scheme;
    const TPM2_ALG_ID hash = algorithm == TPM_KEY_ECDSA_P384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;

    if (algorithm == TPM_KEY_RSA_2048)
        return public->parameters.rsaDetail.scheme.scheme == TPM2_ALG_NULL;
    return ecc->scheme == TPM2_ALG_NULL ||
           (ecc->scheme == TPM2_ALG_ECDSA && ecc->details.ecdsa.hashAlg == hash);
}

/* Why the key is outside the profile, or NULL. What is refused here could sign less than we need,
 * or be somewhere else too. */
static const char *key_flaw(const Tss2Key *key)
{
    const TPMT_PUBLIC *public = &key->public.publicArea;
    const TPMA_OBJECT attributes = public->objectAttributes;
    TpmKeyAlgorithm algorithm;

    if (device_key_algorithm_of(public, &algorithm) < 0)
        return "it is not ECDSA P-256, ECDSA P-384 or RSA-2048";
    if (!scheme_fits(public, algorithm))
        return "it is tied to a signature scheme that is not used here";
    if (!key->empty_auth)
        return "it has a password, which a device without a user can't enter";
    if (!(attributes & TPMA_OBJECT_SIGN_ENCRYPT))
        return "it is not a signing key";
    if (attributes & TPMA_OBJECT_RESTRICTED)
        return "it is restricted: it signs only what the TPM itself has hashed";
    if ((attributes & DEVICE_KEY_BOUND) != DEVICE_KEY_BOUND) {
        return "it was not made in this TPM, or may be copied out of it (fixedTPM, fixedParent and "
               "sensitiveDataOrigin are needed)";
    }
    if (attributes & TPMA_OBJECT_USERWITHAUTH && public->authPolicy.size > 0)
        return "it has a TPM policy and can be used without it";
    return NULL;
}

static int load_under(DeviceKey *key, const TpmObject *parent, const Tss2Key *file, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(key->tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_load(key->tpm, parent, session, &file->private, &file->public, &key->object);
    if (tpm_reclaim(key->tpm, rc))
        rc = tpm2_load(key->tpm, parent, session, &file->private, &file->public, &key->object);
    tpm_session_flush(key->tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_Load (device key)", rc);
        return tpm_rc_base(rc) == TPM2_RC_INTEGRITY ? -ESTALE : -EIO;
    }
    tpm_hold(key->tpm, key->object.handle);
    return 0;
}

static int key_load(DeviceKey *key, const Tss2Key *file, Reason *reason)
{
    TpmObject parent = {0};
    int r;

    r = tpm_parent_open(key->tpm, file->parent, &parent, reason);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : -EIO;
    r = load_under(key, &parent, file, reason);
    tpm_object_release(key->tpm, &parent);
    return r;
}

static int scheme_check(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss,
                        Reason *reason)
{
    /* The two salt lengths that TPMs use: the digest's (FIPS 186-4), or all that the key has room
     * for (TPM 2.0 Part 1, B.7): size - digest - 2. */
    const int salts[] = {(int)digest_size, EVP_PKEY_get_size(key->pkey) - (int)digest_size - 2};
    uint8_t digest_data[DIGEST_SIZE_MAX];
    const Bytes digest = {digest_data, digest_size};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size = 0;
    int r;

    if (RAND_bytes(digest_data, (int)digest.size) != 1)
        return reason_set(reason, -EIO, "OpenSSL has no random numbers");
    r = device_key_sign(key, digest_name, pss, digest, signature, &size, reason);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTS(salts); i++) {
        const int salt = pss ? salts[i] : -1;

        if (signature_is_good(key->pkey, digest_name, digest, (Bytes){signature, size}, salt)) {
            if (pss)
                key->pss_salt = salt;
            return 0;
        }
    }
    return reason_set(
        reason, -EIO,
        "the TPM's test signature with the device key (%s%s) is wrong; the TPM or the key "
        "file is damaged: make a new key with 'tre-provision init --force'",
        digest_name, pss ? ", PSS" : "");
}

/* The schemes of the profile for this key (TS 33.310 6.2): its natural hash, and for RSA both
 * paddings. */
static int self_test(DeviceKey *key, Reason *reason)
{
    const bool p384 = key->algorithm == TPM_KEY_ECDSA_P384;
    int r;

    r = scheme_check(key, p384 ? "SHA384" : "SHA256", p384 ? 48 : 32, false, reason);
    if (r == 0 && key->algorithm == TPM_KEY_RSA_2048)
        r = scheme_check(key, "SHA256", 32, true, reason);
    return r;
}

int device_key_load(Tpm *tpm, const Tss2Key *file, KeyPolicy *policy, DeviceKey **ret,
                    Reason *reason)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    const char *flaw = key_flaw(file);
    int r;

    if (!flaw && !(policy && policy->kind != KEY_POLICY_NONE) &&
        !(file->public.publicArea.objectAttributes & TPMA_OBJECT_USERWITHAUTH))
        flaw = "it signs under a TPM policy only, and none was given";
    if (flaw) {
        return reason_set(reason, -EINVAL,
                          "the device key can't be used: %s; make one with 'tre-provision init'",
                          flaw);
    }
    key = calloc(1, sizeof(*key));
    if (!key)
        return reason_set(reason, -EIO, "out of memory");
    key->tpm = tpm;
    key->policy = policy && policy->kind != KEY_POLICY_NONE ? policy : NULL;
    key->public = file->public.publicArea;
    (void)device_key_algorithm_of(&key->public, &key->algorithm);
    if (tpm_public_to_pkey(&file->public, &key->pkey) < 0) {
        return reason_set(
            reason, -EINVAL,
            "the device key's public part is not a valid key; the file is damaged: make a "
            "new key with 'tre-provision init --force'");
    }
    if (key->policy) {
        r = key_policy_fit(tpm, key->policy, reason);
        if (r < 0)
            return r == -EKEYREJECTED ? r : -EIO;
    }
    r = key_load(key, file, reason);
    if (r < 0)
        return r;
    r = self_test(key, reason);
    if (r < 0)
        return r;
    *ret = steal_pointer(key);
    return 0;
}

void device_key_free(DeviceKey *key)
{
    if (!key)
        return;
    device_key_rest(key);
    tpm_object_release(key->tpm, &key->object);
    EVP_PKEY_free(key->pkey);
    free(key);
}

TpmKeyAlgorithm device_key_algorithm(const DeviceKey *key)
{
    return key->algorithm;
}

EVP_PKEY *device_key_public(const DeviceKey *key)
{
    return key->pkey;
}

int device_key_pss_salt(const DeviceKey *key)
{
    return key->pss_salt;
}

/* ---- signatures ---- */

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

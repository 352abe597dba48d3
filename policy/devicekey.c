/* How is the device key made, held and used? What comes out of the TPM is signatures. */
#include "policy/devicekey.h"

#include "policy/publickey.h"
#include "policy/session.h"
#include "policy/signature.h"
#include "policy/storagekey.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum { DIGEST_SIZE_MAX = 48 };

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

struct DeviceKey {
    Tpm *tpm;
    KeyPolicy *policy; /* borrowed; NULL: none */
    ESYS_TR object;    /* the one transient slot that this key takes */
    ESYS_TR session;   /* satisfied, for the next signature; ESYS_TR_NONE: none is ready */
    TpmKeyAlgorithm algorithm;
    TPMT_PUBLIC public;
    EVP_PKEY *pkey;
    int pss_salt;
};

static void esys_signaturep(TPMT_SIGNATURE **signature)
{
    Esys_Free(*signature);
}

/* fixedTPM and fixedParent: it can't be duplicated to elsewhere. sensitiveDataOrigin: it was never
 * elsewhere either (TPM 2.0 Part 2, 8.3). */
static const TPMA_OBJECT bound_attributes =
    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN;

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
                .objectAttributes = bound_attributes | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_NODA,
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

static int key_create(Tpm *tpm, ESYS_TR parent, const TPM2B_PUBLIC *template, Tss2Key *ret,
                      char *error)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside_info = {0};
    static const TPML_PCR_SELECTION creation_pcr = {0};
    TPM2B_PRIVATE *private = NULL;
    TPM2B_PUBLIC *public = NULL;
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0)
        return r;
    rc = Esys_Create(tpm->esys, parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, template,
                     &outside_info, &creation_pcr, &private, &public, NULL, NULL, NULL);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_Create (device key)", rc);
        return -EIO;
    }
    *ret = (Tss2Key){
        .empty_auth = true,
        .parent = TPM_SRK_HANDLE,
        .public = *public,
        .private = *private,
    };
    Esys_Free(private);
    Esys_Free(public);
    return 0;
}

int device_key_create(Tpm *tpm, TpmKeyAlgorithm algorithm, const PolicyDigest *policy, Tss2Key *ret,
                      char *error)
{
    const TPM2B_PUBLIC template = device_template(algorithm, policy);
    ESYS_TR srk = ESYS_TR_NONE;
    int r;

    r = tpm_srk_open(tpm, false, &srk, error);
    if (r < 0)
        return -EIO;
    r = key_create(tpm, srk, &template, ret, error);
    tpm_object_release(tpm, srk);
    return r;
}

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
    if ((attributes & bound_attributes) != bound_attributes) {
        return "it was not made in this TPM, or may be copied out of it (fixedTPM, fixedParent and "
               "sensitiveDataOrigin are needed)";
    }
    if (attributes & TPMA_OBJECT_USERWITHAUTH && public->authPolicy.size > 0)
        return "it has a TPM policy and can be used without it";
    return NULL;
}

static TSS2_RC load(DeviceKey *key, ESYS_TR parent, ESYS_TR session, const Tss2Key *file)
{
    return Esys_Load(key->tpm->esys, parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &file->private,
                     &file->public, &key->object);
}

static int load_under(DeviceKey *key, ESYS_TR parent, const Tss2Key *file, char *error)
{
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(key->tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0)
        return r;
    rc = load(key, parent, session, file);
    if (tpm_reclaim(key->tpm, rc))
        rc = load(key, parent, session, file);
    tpm_session_flush(key->tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_Load (device key)", rc);
        return -EIO;
    }
    tpm_hold(key->tpm, key->object);
    return 0;
}

static int key_load(DeviceKey *key, const Tss2Key *file, char *error)
{
    ESYS_TR parent = ESYS_TR_NONE;
    int r;

    r = tpm_parent_open(key->tpm, file->parent, &parent, error);
    if (r < 0)
        return -EIO;
    r = load_under(key, parent, file, error);
    tpm_object_release(key->tpm, parent);
    return r;
}

static int scheme_check(DeviceKey *key, const DigestName *digest_name, bool pss, char *error)
{
    /* The two salt lengths that TPMs use: the digest's (FIPS 186-4), or all that the key has room
     * for (TPM 2.0 Part 1, B.7): size - digest - 2. */
    const int salts[] = {(int)digest_name->size,
                         EVP_PKEY_get_size(key->pkey) - (int)digest_name->size - 2};
    uint8_t digest_data[DIGEST_SIZE_MAX];
    const Bytes digest = {digest_data, digest_name->size};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size = 0;
    int r;

    if (RAND_bytes(digest_data, (int)digest.size) != 1) {
        (void)snprintf(error, TPM_ERROR_SIZE, "OpenSSL has no random numbers");
        return -EIO;
    }
    r = device_key_sign(key, digest_name->name, pss, digest, signature, &size, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTS(salts); i++) {
        const int salt = pss ? salts[i] : -1;

        if (signature_is_good(key->pkey, digest_name->name, digest, (Bytes){signature, size},
                              salt)) {
            if (pss)
                key->pss_salt = salt;
            return 0;
        }
    }
    (void)snprintf(
        error, TPM_ERROR_SIZE,
        "the TPM's test signature with the device key (%s%s) is wrong; the TPM or the key "
        "file is damaged: make a new key with 'tre-provision init --force'",
        digest_name->name, pss ? ", PSS" : "");
    return -EIO;
}

/* The schemes of the profile for this key (TS 33.310 6.2): its natural hash, and for RSA both
 * paddings. */
static int self_test(DeviceKey *key, char *error)
{
    const bool p384 = key->algorithm == TPM_KEY_ECDSA_P384;
    int r;

    r = scheme_check(key, &digest_names[p384 ? 1 : 0], false, error);
    if (r == 0 && key->algorithm == TPM_KEY_RSA_2048)
        r = scheme_check(key, &digest_names[0], true, error);
    return r;
}

int device_key_load(Tpm *tpm, const Tss2Key *file, KeyPolicy *policy, DeviceKey **ret, char *error)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    const char *flaw = key_flaw(file);
    int r;

    if (!flaw && !(policy && policy->kind != KEY_POLICY_NONE) &&
        !(file->public.publicArea.objectAttributes & TPMA_OBJECT_USERWITHAUTH))
        flaw = "it signs under a TPM policy only, and none was given";
    if (flaw) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "the device key can't be used: %s; make one with 'tre-provision init'",
                       flaw);
        return -EINVAL;
    }
    key = calloc(1, sizeof(*key));
    if (!key) {
        (void)snprintf(error, TPM_ERROR_SIZE, "out of memory");
        return -EIO;
    }
    key->tpm = tpm;
    key->policy = policy && policy->kind != KEY_POLICY_NONE ? policy : NULL;
    key->object = key->session = ESYS_TR_NONE;
    key->public = file->public.publicArea;
    (void)device_key_algorithm_of(&key->public, &key->algorithm);
    if (tpm_public_to_pkey(&file->public, &key->pkey) < 0) {
        (void)snprintf(
            error, TPM_ERROR_SIZE,
            "the device key's public part is not a valid key; the file is damaged: make a "
            "new key with 'tre-provision init --force'");
        return -EINVAL;
    }
    if (key->policy) {
        r = key_policy_fit(tpm, key->policy, error);
        if (r < 0)
            return r == -EKEYREJECTED ? r : -EIO;
    }
    r = key_load(key, file, error);
    if (r < 0)
        return r;
    r = self_test(key, error);
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
    tpm_object_release(key->tpm, key->object);
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

/* A policy session satisfied for the state that was found last. */
static int policy_session_start(DeviceKey *key, char *error)
{
    int r;

    if (!key->policy->fit)
        return -EKEYREJECTED;
    r = tpm_session_start(key->tpm, TPM2_SE_POLICY, &key->session, error);
    if (r < 0)
        return r;
    r = key_policy_satisfy(key->tpm, key->policy, key->session, error);
    if (r < 0)
        device_key_rest(key);
    return r;
}

int device_key_prepare(DeviceKey *key, char *error)
{
    int r;

    if (key->session != ESYS_TR_NONE)
        return 0;
    if (!key->policy) {
        r = tpm_session_start(key->tpm, TPM2_SE_HMAC, &key->session, error);
        if (r < 0)
            return r;
        /* Ends with the signature, as a policy session does; a digest is no secret. */
        (void)Esys_TRSess_SetAttributes(key->tpm->esys, key->session, 0, 0xff);
        return 0;
    }
    r = policy_session_start(key, error);
    if (r != -EKEYREJECTED)
        return r;
    /* The platform has changed: perhaps into another state that was approved of. */
    r = key_policy_fit(key->tpm, key->policy, error);
    return r < 0 ? r : policy_session_start(key, error);
}

void device_key_rest(DeviceKey *key)
{
    tpm_session_flush(key->tpm, key->session);
    key->session = ESYS_TR_NONE;
}

/* Worth preparing anew: a PCR changed after TPM2_PolicyPCR, or the session is gone (somebody
 * flushed it, or the TPM was reset). */
static bool session_is_stale(TSS2_RC rc)
{
    switch (tpm_rc_base(rc)) {
    case TPM2_RC_PCR_CHANGED:
    case TPM2_RC_POLICY_FAIL:
    case TPM2_RC_REFERENCE_S0:
    case TPM2_RC_VALUE: /* of the session's handle: the other parameters were checked */
    case TPM2_RC_HANDLE:
        return true;
    default:
        return false;
    }
}

/* TPM2_Sign in the prepared session, which is gone after it. */
static TSS2_RC sign(DeviceKey *key, const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                    TPMT_SIGNATURE **ret)
{
    /* An unrestricted key signs any digest; no ticket says that the TPM made the hash itself. */
    static const TPMT_TK_HASHCHECK no_ticket = {
        .tag = TPM2_ST_HASHCHECK,
        .hierarchy = TPM2_RH_NULL,
    };
    TSS2_RC rc = Esys_Sign(key->tpm->esys, key->object, key->session, ESYS_TR_NONE, ESYS_TR_NONE,
                           digest, scheme, &no_ticket, ret);

    if (rc == TSS2_RC_SUCCESS) {
        tpm_session_ended(key->tpm, key->session);
        key->session = ESYS_TR_NONE;
    } else {
        device_key_rest(key);
    }
    return rc;
}

static int sign_prepared(DeviceKey *key, const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                         TPMT_SIGNATURE **ret, char *error)
{
    TSS2_RC rc;
    int r;

    r = device_key_prepare(key, error);
    if (r < 0)
        return r;
    rc = sign(key, digest, scheme, ret);
    if (session_is_stale(rc)) {
        r = device_key_prepare(key, error);
        if (r < 0)
            return r;
        rc = sign(key, digest, scheme, ret);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_Sign", rc);
        return -EIO;
    }
    return 0;
}

int device_key_sign(DeviceKey *key, const char *digest_name, bool pss, Bytes digest, uint8_t *ret,
                    size_t *ret_size, char *error)
{
    _cleanup_(esys_signaturep) TPMT_SIGNATURE *signature = NULL;
    TPM2B_DIGEST tpm_digest = {0};
    TPMT_SIG_SCHEME scheme;
    int r;

    if (scheme_choose(key, digest_name, pss, digest, &scheme) < 0) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "the device key (%s) does not sign a digest of %zu octets as %s%s",
                       tpm_key_algorithm_name(key->algorithm), digest.size, digest_name,
                       pss ? " with PSS" : "");
        return -EINVAL;
    }
    tpm_digest.size = (UINT16)digest.size;
    memcpy(tpm_digest.buffer, digest.data, digest.size);
    r = sign_prepared(key, &tpm_digest, &scheme, &signature, error);
    if (r < 0)
        return r == -EKEYREJECTED ? r : -EIO;
    if (signature_copy(key, signature, ret, ret_size) < 0) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "TPM2_Sign: the TPM returned a signature that is too long for its key");
        return -EIO;
    }
    return 0;
}

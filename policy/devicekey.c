/* The device key: which key files are fit to be it, and how one is loaded and held. */
#include "policy/devicekey_internal.h"

#include "tpm/publickey.h"
#include "tpm/commands.h"
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

/* What is in the state folder: key, CSR, certificates and anchors; whether the key is fit for a
 * device, and under which policy it is and should be. */
#include "provisioning/devicefiles.h"

#include "base/bytes.h"
#include "base/file.h"
#include "crypto/openssl.h"
#include "policy/devicekey.h"
#include "policy/encoding.h"
#include "provisioning/csr.h"
#include "provisioning/pcrsignature_file.h"
#include "tpm/publickey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int key_read(const char *path, DeviceFiles *files)
{
    int r = tss2key_read(path, &files->key, &files->key_reason);

    if (r < 0 || tpm_public_to_pkey(&files->key.public, &files->public_key) == 0)
        return r;
    return reason_set(&files->key_reason, -EINVAL,
                      "%.200s holds no key of the profile (ECDSA P-256, P-384, RSA-2048); make one "
                      "with 'tre-provision init --force'",
                      path);
}

static int csr_read(const char *path, DeviceFiles *files)
{
    int r = file_read(path, CSR_SIZE_MAX, &files->csr, &files->csr_size);

    if (r < 0) {
        reason_set(&files->csr_reason, 0, "%.200s can't be read: %s", path, strerror(-r));
    }
    return r;
}

static int certificates_look(const char *path, DeviceFiles *files)
{
    return certificates_read(path, &files->certificates, &files->certificates_reason);
}

static int anchors_look(const char *path, DeviceFiles *files)
{
    return certificates_read(path, &files->anchors, &files->anchors_reason);
}

int device_files_read(const ProvisionOptions *options, DeviceFiles *ret)
{
    const struct {
        const char *name;
        int (*read)(const char *path, DeviceFiles *files);
        int *result;
    } parts[] = {
        {STATE_KEY, key_read, &ret->key_r},
        {STATE_CSR, csr_read, &ret->csr_r},
        {STATE_CERTIFICATES, certificates_look, &ret->certificates_r},
        {STATE_ANCHORS, anchors_look, &ret->anchors_r},
    };

    *ret = (DeviceFiles){0};
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        _cleanup_(free_charp) char *path = NULL;
        int r = state_path(options, parts[i].name, &path);

        if (r < 0)
            return r;
        *parts[i].result = parts[i].read(path, ret);
    }
    return 0;
}

void device_files_deinit(DeviceFiles *files)
{
    EVP_PKEY_free(files->public_key);
    free(files->csr);
    sk_X509_pop_free(files->certificates, X509_free);
    sk_X509_pop_free(files->anchors, X509_free);
    *files = (DeviceFiles){0};
}

int key_name_hex(const TPM2B_PUBLIC *public, char *ret)
{
    TPM2B_NAME name = {0};

    if (tpm_object_name(public, &name) < 0 || 2 * (size_t)name.size >= KEY_NAME_HEX_SIZE)
        return -EINVAL;
    hex_encode((Bytes){name.name, name.size}, ret);
    return 0;
}

int certificate_hash_hex(const X509 *certificate, char *ret)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
        return -EIO;
    hex_encode((Bytes){digest, size}, ret);
    return 0;
}

void certificate_serial_hex(const X509 *certificate, char *ret)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    const size_t size = (size_t)ASN1_STRING_length(serial);

    if (size * 2 >= CERTIFICATE_SERIAL_SIZE) {
        (void)snprintf(ret, CERTIFICATE_SERIAL_SIZE, "?");
    } else {
        hex_encode((Bytes){ASN1_STRING_get0_data(serial), size}, ret);
    }
}

/* A scheme written into the key is the only one that it signs with, and IKE needs the natural hash
 * of the curve, and both paddings of RSA (TS 33.310 6.2). */
static bool scheme_fits(const TPMT_PUBLIC *area, TpmKeyAlgorithm algorithm)
{
    const TPMT_ECC_SCHEME *ecc = &area->parameters.eccDetail.scheme;
    const TPM2_ALG_ID hash = algorithm == TPM_KEY_ECDSA_P384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;

    if (algorithm == TPM_KEY_RSA_2048)
        return area->parameters.rsaDetail.scheme.scheme == TPM2_ALG_NULL;
    return ecc->scheme == TPM2_ALG_NULL ||
           (ecc->scheme == TPM2_ALG_ECDSA && ecc->details.ecdsa.hashAlg == hash);
}

static const char *type_flaw(const TPMT_PUBLIC *area)
{
    TpmKeyAlgorithm algorithm;

    if (device_key_algorithm_of(area, &algorithm) < 0)
        return "is not ECDSA P-256, ECDSA P-384 or RSA-2048";
    if (area->nameAlg != TPM2_ALG_SHA256)
        return "does not have SHA-256 as its nameAlg";
    if (!scheme_fits(area, algorithm))
        return "is tied to a signature scheme that is not used here";
    return NULL;
}

/* TPM 2.0 Part 2, 8.3. */
static const char *attribute_flaw(TPMA_OBJECT attributes)
{
    if (!(attributes & TPMA_OBJECT_FIXEDTPM))
        return "may be copied to another TPM (fixedTPM is clear)";
    if (!(attributes & TPMA_OBJECT_FIXEDPARENT))
        return "may be copied out of its TPM (fixedParent is clear)";
    if (!(attributes & TPMA_OBJECT_SENSITIVEDATAORIGIN))
        return "was not made in the TPM (sensitiveDataOrigin is clear), and may be elsewhere too";
    if (!(attributes & TPMA_OBJECT_SIGN_ENCRYPT))
        return "is not a signing key";
    if (attributes & TPMA_OBJECT_DECRYPT)
        return "is a key that decrypts, and a device key only signs";
    if (attributes & TPMA_OBJECT_RESTRICTED)
        return "is restricted: it signs only what the TPM itself has hashed";
    return NULL;
}

static const char *policy_flaw(const TPMT_PUBLIC *area, const PolicyDigest *policy)
{
    if (area->objectAttributes & TPMA_OBJECT_USERWITHAUTH)
        return "can be used without its policy (userWithAuth is set)";
    if (area->authPolicy.size == 0)
        return "has no policy";
    if (!bytes_equal((Bytes){area->authPolicy.buffer, area->authPolicy.size},
                     BYTES_OF(policy->octets)))
        return "has another policy than the one that is asked for";
    return NULL;
}

const char *device_public_flaw(const TPM2B_PUBLIC *public, const PolicyDigest *policy)
{
    const TPMT_PUBLIC *area = &public->publicArea;
    const char *flaw = type_flaw(area);

    if (!flaw)
        flaw = attribute_flaw(area->objectAttributes);
    if (!flaw && policy)
        flaw = policy_flaw(area, policy);
    return flaw;
}

int device_policy_read(const ProvisionOptions *options, const Tss2Key *key, KeyPolicy **ret,
                       Reason *reason)
{
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *states_path = NULL;
    int r;

    reason_set(reason, 0, "out of memory");
    r = state_path(options, STATE_POLICY_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_PCR_SIGNATURES, &states_path);
    if (r < 0)
        return r;
    return key_policy_read(&key->public.publicArea, key_path, states_path, ret, reason);
}

static void states_freep(PcrSignatures **states)
{
    free(*states);
}

static int signed_digest(const char *path, PolicyDigest *ret, Reason *reason)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    int r = policy_key_read(path, false, &key, reason);

    return r < 0 ? r : policy_key_authorize_digest(&key, (Bytes){0}, ret);
}

/* A key with a plain PolicyPCR is for one state and no other, so the file has to hold one. */
static int pcr_policy_digest(const char *path, PolicyDigest *ret, Reason *reason)
{
    _cleanup_(states_freep) PcrSignatures *states = NULL;
    int r = pcr_signatures_json_read(path, &states, reason);

    if (r < 0)
        return r;
    if (states->count != 1) {
        return reason_set(
            reason, -EINVAL,
            "%.200s holds %zu states, but a key of the policy \"pcr\" is for one; leave "
            "the other ones out, or choose the policy \"signed\"",
            path, states->count);
    }
    *ret = states->entries[0].policy;
    return 0;
}

int device_policy_wanted(const ProvisionOptions *options, PolicyDigest *ret, bool *ret_needed,
                         Reason *reason)
{
    const ProvisionProfile *profile = options->profile;

    *ret_needed = profile && profile->key_policy != KEY_POLICY_NONE;
    if (!*ret_needed)
        return 0;
    if (profile->key_policy == KEY_POLICY_SIGNED)
        return signed_digest(profile->policy_key, ret, reason);
    return pcr_policy_digest(profile->pcr_signature, ret, reason);
}

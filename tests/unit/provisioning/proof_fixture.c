/* How does a test get a device that can prove itself, and all that is needed to doubt it? */
#include "proof_fixture.h"

#include "base/reason.h"
#include "policy/devicekey.h"
#include "provisioning/csr.h"
#include "provisioning/pcrsignature_file.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"

#include <openssl/core_names.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PCR_MASK = 1 << 7 };

static void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "proof fixture: %s failed\n", what);
    abort();
}

static void key_make(ProofDevice *device, TpmKeyAlgorithm algorithm, const PolicyDigest *policy)
{
    Reason reason = {0};

    must(device_key_create(device->tpm, algorithm, policy, &device->key, &reason) == 0,
         reason.text);
}

void device_init(ProofDevice *device, const TpmVendor *vendor)
{
    PcrState state = {.bank = TPM2_ALG_SHA256, .mask = PCR_MASK};
    Reason reason = {"swtpm"};
    TpmObject srk = {0};

    *device = (ProofDevice){0};
    must(swtpm_start(&device->swtpm) == 0 &&
             tpm_open(device->swtpm.tcti, &device->tpm, &reason) == 0,
         reason.text);
    must(tpm_srk_open(device->tpm, true, &srk, &reason) == 0, reason.text);
    tpm_object_release(device->tpm, &srk);
    vendor_certify(vendor, device->tpm, ENDORSEMENT_ECC_P256);
    must(pcr_read(device->tpm, &state, &reason) == 0, reason.text);
    must(policy_digest_pcr(&device->policy, &state) == 0, "PolicyPCR");
    key_make(device, TPM_KEY_ECDSA_P256, &device->policy);
}

void device_deinit(ProofDevice *device)
{
    tpm_close(device->tpm);
    swtpm_stop(&device->swtpm);
}

void device_rekey(ProofDevice *device, TpmKeyAlgorithm algorithm)
{
    key_make(device, algorithm, NULL);
}

/* The one platform state that the key's policy allows. */
static KeyPolicy *policy_make(ProofDevice *device)
{
    PcrState state = {.bank = TPM2_ALG_SHA256, .mask = PCR_MASK};
    KeyPolicy *policy = calloc(1, sizeof(*policy));
    Reason reason = {0};

    must(policy && pcr_read(device->tpm, &state, &reason) == 0, reason.text);
    policy->kind =
        device->key.public.publicArea.authPolicy.size > 0 ? KEY_POLICY_PCR : KEY_POLICY_NONE;
    policy->states = calloc(1, sizeof(*policy->states));
    must(policy->states && pcr_signature_make(&state, NULL, &policy->states->entries[0]) == 0,
         "state");
    policy->states->count = 1;
    return policy;
}

ProofRequest *device_request(ProofDevice *device)
{
    _cleanup_(free_charp) char *csr = NULL;
    KeyPolicy *policy = policy_make(device);
    Reason reason = {0};
    ProofRequest *request = NULL;
    DeviceKey *key = NULL;

    must(device_key_load(device->tpm, &device->key, policy, &key, &reason) == 0, reason.text);
    must(csr_new(key, PROOF_FQDN, &csr, &reason) == 0, reason.text);
    device_key_free(key);
    key_policy_free(policy);
    must(proof_request_new(device->tpm, &device->key, csr, PROOF_FQDN, PROOF_SERIAL, &request,
                           &reason) == 0,
         reason.text);
    return request;
}

Authority *authority_make(Pki *ret_root)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    Reason reason = {0};
    Authority *authority = NULL;
    Pki issuer;

    *ret_root = pki_root("Operator");
    issuer = pki_intermediate("Devices", ret_root);
    must(certificates && sk_X509_push(certificates, ret_root->certificate) > 0 &&
             sk_X509_push(certificates, issuer.certificate) > 0,
         "certificates");
    must(authority_new(certificates, issuer.key, &authority, &reason) == 0, reason.text);
    sk_X509_free(certificates);
    pki_deinit(&issuer);
    return authority;
}

X509_REQ *csr_in_software(EVP_PKEY *key, const char *fqdn)
{
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    X509_REQ *csr = X509_REQ_new();
    X509_EXTENSION *names;
    char text[300];

    (void)snprintf(text, sizeof(text), "DNS:%s", fqdn);
    names = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, text);
    must(csr && extensions && names && sk_X509_EXTENSION_push(extensions, names) > 0 &&
             X509_REQ_set_version(csr, X509_REQ_VERSION_1) == 1 &&
             X509_REQ_set_pubkey(csr, key) == 1 && X509_REQ_add_extensions(csr, extensions) == 1 &&
             X509_REQ_sign(csr, key, EVP_sha256()) > 0,
         "CSR");
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return csr;
}

TPM2B_PUBLIC public_in_software(EVP_PKEY *key, const PolicyDigest *policy)
{
    TPM2B_PUBLIC public = {
        .publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_SIGN_ENCRYPT |
                                    TPMA_OBJECT_NODA,
                .authPolicy.size = sizeof(policy->octets),
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme.scheme = TPM2_ALG_NULL,
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
            },
    };
    TPMS_ECC_POINT *q = &public.publicArea.unique.ecc;
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;

    memcpy(public.publicArea.authPolicy.buffer, policy->octets, sizeof(policy->octets));
    must(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
             EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1,
         "point");
    q->x.size = q->y.size = 32;
    must(BN_bn2binpad(x, q->x.buffer, 32) == 32 && BN_bn2binpad(y, q->y.buffer, 32) == 32, "point");
    BN_free(x);
    BN_free(y);
    return public;
}

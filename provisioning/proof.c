/* The proof: the authority judges a request, makes what only that TPM can open, and certifies the
 * key whose TPM answered; the device asks, and has its TPM answer. */
#include "provisioning/proof.h"

#include "crypto/openssl.h"
#include "provisioning/csr.h"
#include "provisioning/devicefiles.h"
#include "provisioning/endorsement.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

void proof_request_free(ProofRequest *request)
{
    if (!request)
        return;
    X509_free(request->ek_certificate);
    X509_REQ_free(request->csr);
    free(request);
}

void proof_response_deinit(ProofResponse *response)
{
    secret_free(response->secret);
    *response = (ProofResponse){0};
}

bool proof_serial_is_valid(const char *serial)
{
    static const char characters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        "_ '()+,-./:=?";
    const size_t size = strlen(serial);

    return size <= PROOF_DEVICE_SERIAL_MAX && strspn(serial, characters) == size;
}

/* Each part with its length, so that no two requests run together to the same octets. */
static int digest_add(EVP_MD_CTX *context, Bytes part)
{
    uint8_t size[sizeof(uint32_t)];
    Writer writer;

    writer_init(&writer, size, sizeof(size));
    writer_u32(&writer, (uint32_t)part.size);
    return EVP_DigestUpdate(context, size, sizeof(size)) == 1 &&
                   EVP_DigestUpdate(context, part.data, part.size) == 1
               ? 0
               : -EIO;
}

static int digest_add_public(EVP_MD_CTX *context, const TPM2B_PUBLIC *public)
{
    uint8_t octets[sizeof(TPM2B_PUBLIC)];
    size_t size = 0;

    if (Tss2_MU_TPM2B_PUBLIC_Marshal(public, octets, sizeof(octets), &size) != TSS2_RC_SUCCESS)
        return -EIO;
    return digest_add(context, (Bytes){octets, size});
}

static int digest_add_encodings(EVP_MD_CTX *context, const ProofRequest *request)
{
    _cleanup_(openssl_free_bytesp) unsigned char *certificate = NULL;
    _cleanup_(openssl_free_bytesp) unsigned char *csr = NULL;
    const int certificate_size = i2d_X509(request->ek_certificate, &certificate);
    const int csr_size = i2d_X509_REQ(request->csr, &csr);
    int r;

    if (certificate_size <= 0 || csr_size <= 0)
        return -ENOMEM;
    r = digest_add(context, (Bytes){certificate, (size_t)certificate_size});
    return r < 0 ? r : digest_add(context, (Bytes){csr, (size_t)csr_size});
}

int proof_request_digest(const ProofRequest *request, ProofDigest *ret)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    const char *const texts[] = {request->fqdn, request->serial};
    int r = 0;

    if (!context || EVP_DigestInit_ex2(context, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < ELEMENTS(texts); i++)
        r = digest_add(context, (Bytes){(const uint8_t *)texts[i], strlen(texts[i])});
    if (r == 0)
        r = digest_add_encodings(context, request);
    if (r == 0)
        r = digest_add_public(context, &request->ek_public);
    if (r == 0)
        r = digest_add_public(context, &request->device_public);
    if (r == 0 && EVP_DigestFinal_ex(context, ret->octets, NULL) != 1)
        r = -EIO;
    return r;
}

/* The one name that the CSR asks for is the request's. */
static bool csr_is_for(X509_REQ *csr, const char *fqdn)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = csr_names(csr);
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);

    return sk_GENERAL_NAME_num(names) == 1 && name->type == GEN_DNS &&
           bytes_equal((Bytes){ASN1_STRING_get0_data(name->d.dNSName),
                               (size_t)ASN1_STRING_length(name->d.dNSName)},
                       (Bytes){(const uint8_t *)fqdn, strlen(fqdn)});
}

static int csr_check(const ProofRequest *request, Reason *reason)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *device = NULL;
    EVP_PKEY *asked = X509_REQ_get0_pubkey(request->csr);

    if (tpm_public_to_pkey(&request->device_public, &device) < 0) {
        return reason_set(reason, -EKEYREJECTED,
                          "the device key's public area holds no valid key; the device must "
                          "make a new key");
    }
    if (!asked || EVP_PKEY_eq(asked, device) != 1) {
        return reason_set(reason, -EKEYREJECTED,
                          "the CSR is for another key than the device key; the device must send "
                          "the CSR of the key in its TPM");
    }
    if (X509_REQ_verify(request->csr, device) != 1) {
        return reason_set(reason, -EKEYREJECTED,
                          "the CSR's signature is not good; the device must make a new CSR with "
                          "its key");
    }
    if (!csr_is_for(request->csr, request->fqdn)) {
        return reason_set(reason, -EKEYREJECTED,
                          "the CSR does not ask for the request's name %.255s alone; the device "
                          "must make both with the same --fqdn",
                          request->fqdn);
    }
    return 0;
}

static int names_check(const ProofRequest *request, Reason *reason)
{
    if (!fqdn_is_valid(request->fqdn, strlen(request->fqdn))) {
        return reason_set(reason, -EKEYREJECTED, "the request's name '%.100s' is not an FQDN",
                          request->fqdn);
    }
    if (!proof_serial_is_valid(request->serial)) {
        return reason_set(reason, -EKEYREJECTED,
                          "the request's serial number is too long, or has a character that a "
                          "certificate can't");
    }
    return 0;
}

static int request_judge(const ProofRequest *request, const ProofRules *rules, Reason *reason)
{
    EndorsementTemplate template;
    const char *flaw;
    int r;

    r = names_check(request, reason);
    if (r < 0)
        return r;
    if (endorsement_template_of(&request->ek_public, &template) < 0) {
        return reason_set(reason, -EKEYREJECTED,
                          "the request's EK is not made from a template of the TCG EK Credential "
                          "Profile (L-1, RSA-2048, or L-2, ECC P-256)");
    }
    r = endorsement_certificate_check(request->ek_certificate, &request->ek_public,
                                      rules->ek_anchors, reason);
    if (r < 0)
        return r;
    flaw = device_public_flaw(&request->device_public, rules->policy);
    if (flaw) {
        return reason_set(reason, -EKEYREJECTED,
                          "the device key %s; the device must make a new key", flaw);
    }
    return csr_check(request, reason);
}

static int secret_make(Secret **ret, ProofDigest *ret_digest)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r;

    r = secret_new(CREDENTIAL_SECRET_SIZE, &secret);
    if (r < 0)
        return r;
    if (RAND_priv_bytes(secret->data, (int)secret->size) != 1 ||
        EVP_Q_digest(NULL, "SHA256", NULL, secret->data, secret->size, ret_digest->octets, NULL) !=
            1)
        return -EIO;
    *ret = steal_pointer(secret);
    return 0;
}

static int challenge_make(const ProofRequest *request, ProofChallenge *ret,
                          ProofPending *ret_pending)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    ProofChallenge challenge = {0};
    ProofPending pending = {0};
    TPM2B_NAME name;
    int r;

    r = tpm_object_name(&request->device_public, &name);
    if (r == 0)
        r = proof_request_digest(request, &challenge.request);
    if (r == 0)
        r = secret_make(&secret, &pending.secret);
    if (r == 0)
        r = credential_make(&request->ek_public, &name, secret, &challenge.credential);
    if (r < 0)
        return r == -ENOMEM ? r : -EIO;
    pending.request = challenge.request;
    *ret = challenge;
    *ret_pending = pending;
    return 0;
}

int proof_challenge(const ProofRequest *request, const ProofRules *rules, ProofChallenge *ret,
                    ProofPending *ret_pending, Reason *reason)
{
    int r = request_judge(request, rules, reason);

    if (r < 0)
        return r;
    r = challenge_make(request, ret, ret_pending);
    if (r < 0)
        reason_set(reason, 0, "the challenge can't be made: %s", strerror(-r));
    return r;
}

static bool digest_equal(const ProofDigest *a, const ProofDigest *b)
{
    return CRYPTO_memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

static int response_check(const ProofRequest *request, const ProofPending *pending,
                          const ProofResponse *response, Reason *reason)
{
    ProofDigest digest;
    int r = proof_request_digest(request, &digest);

    if (r < 0)
        return reason_set(reason, r, "the request can't be hashed: %s", strerror(-r));
    if (!digest_equal(&digest, &pending->request)) {
        return reason_set(reason, -EKEYREJECTED,
                          "the request is not the one that was judged when the challenge was "
                          "made; make a new challenge for it");
    }
    if (!digest_equal(&digest, &response->request)) {
        return reason_set(reason, -EKEYREJECTED,
                          "the response belongs to another request; take the one that the "
                          "device gave to this request's challenge");
    }
    if (EVP_Q_digest(NULL, "SHA256", NULL, response->secret->data, response->secret->size,
                     digest.octets, NULL) != 1)
        return -EIO;
    if (!digest_equal(&digest, &pending->secret)) {
        return reason_set(reason, -EKEYREJECTED,
                          "the secret in the response is not the challenge's: the device has not "
                          "shown that its key is in the TPM; no certificate was issued");
    }
    return 0;
}

int proof_issue(const ProofRequest *request, const ProofPending *pending,
                const ProofResponse *response, const Authority *authority, unsigned days,
                STACK_OF(X509) **ret, Reason *reason)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *device = NULL;
    int r;

    reason_set(reason, 0, "the certificate can't be made: OpenSSL failed");
    r = response_check(request, pending, response, reason);
    if (r < 0)
        return r;
    if (tpm_public_to_pkey(&request->device_public, &device) < 0)
        return -EIO;
    r = authority_issue(authority, device, request->fqdn, request->serial, days, ret);
    if (r == -EINVAL) {
        reason_set(reason, 0, "a certificate lasts 1 to %d days, not %u", AUTHORITY_DAYS_MAX, days);
    }
    return r;
}

static int csr_parse(const char *pem, X509_REQ **ret, Reason *reason)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem, -1);

    *ret = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    ERR_clear_error();
    if (*ret)
        return 0;
    return reason_set(
        reason, -EINVAL,
        "the CSR is not a PKCS #10 request in PEM; make a new one with 'tre-provision "
        "init'");
}

/* The first dNSName that the CSR asks for. */
static int csr_fqdn(X509_REQ *csr, char *ret, Reason *reason)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = csr_names(csr);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS && ASN1_STRING_length(name->d.dNSName) < FQDN_SIZE_MAX) {
            (void)snprintf(ret, FQDN_SIZE_MAX, "%.*s", ASN1_STRING_length(name->d.dNSName),
                           (const char *)ASN1_STRING_get0_data(name->d.dNSName));
            return 0;
        }
    }
    return reason_set(reason, -EINVAL,
                      "the CSR asks for no name; make a new one with 'tre-provision init'");
}

static int names_set(ProofRequest *request, const char *fqdn, const char *serial, Reason *reason)
{
    if (!fqdn_is_valid(fqdn, strlen(fqdn)))
        return reason_set(reason, -EINVAL, "'%.100s' is not an FQDN", fqdn);
    if (!proof_serial_is_valid(serial)) {
        return reason_set(reason, -EINVAL,
                          "'%.100s' can't be a device's serial number in a certificate: at most %d "
                          "letters, digits, spaces and _'()+,-./:=?",
                          serial, PROOF_DEVICE_SERIAL_MAX);
    }
    (void)snprintf(request->fqdn, sizeof(request->fqdn), "%s", fqdn);
    (void)snprintf(request->serial, sizeof(request->serial), "%s", serial);
    return 0;
}

int proof_request_for_ek(const Endorsement *ek, const Tss2Key *key, const char *csr,
                         const char *fqdn, const char *serial, ProofRequest **ret, Reason *reason)
{
    _cleanup_(proof_request_freep) ProofRequest *request = calloc(1, sizeof(*request));
    char found[FQDN_SIZE_MAX];
    int r;

    if (!request)
        return reason_set(reason, -ENOMEM, "out of memory");
    r = csr_parse(csr, &request->csr, reason);
    if (r == 0 && !fqdn) {
        r = csr_fqdn(request->csr, found, reason);
        fqdn = found;
    }
    if (r == 0)
        r = names_set(request, fqdn, serial, reason);
    if (r < 0)
        return r;
    (void)X509_up_ref(ek->certificate);
    request->ek_certificate = ek->certificate;
    request->ek_public = ek->public;
    request->device_public = key->public;
    *ret = steal_pointer(request);
    return 0;
}

int proof_request_new(Tpm *tpm, const Tss2Key *key, const char *csr, const char *fqdn,
                      const char *serial, ProofRequest **ret, Reason *reason)
{
    _cleanup_(endorsement_freep) Endorsement *ek = NULL;
    int r = endorsement_open(tpm, &ek, reason);

    return ek ? proof_request_for_ek(ek, key, csr, fqdn, serial, ret, reason) : r;
}

/* Without a test signature and so without the platform state of its policy, which a factory may not
 * be in: TPM2_ActivateCredential asks for the key's empty auth only. */
static int key_load(Tpm *tpm, const Tss2Key *key, TpmObject *ret, Reason *reason)
{
    TpmObject parent = {0};
    TSS2_RC rc;
    int r;

    r = tpm_parent_open(tpm, key->parent, &parent, reason);
    if (r < 0)
        return r;
    rc = tpm2_load(tpm, &parent, NULL, &key->private, &key->public, ret);
    if (tpm_reclaim(tpm, rc))
        rc = tpm2_load(tpm, &parent, NULL, &key->private, &key->public, ret);
    tpm_object_release(tpm, &parent);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_Load (device key)", rc);
        return -EIO;
    }
    tpm_hold(tpm, ret->handle);
    return 0;
}

int proof_activate_for_ek(const Endorsement *ek, const Tss2Key *key,
                          const ProofChallenge *challenge, ProofResponse *ret, Reason *reason)
{
    TpmObject device = {0};
    Secret *secret = NULL;
    int r;

    r = key_load(ek->tpm, key, &device, reason);
    if (r == 0)
        r = credential_activate(ek, &device, &challenge->credential, &secret, reason);
    tpm_object_release(ek->tpm, &device);
    if (r == 0)
        *ret = (ProofResponse){.request = challenge->request, .secret = secret};
    return r;
}

int proof_activate(Tpm *tpm, const Tss2Key *key, const ProofChallenge *challenge,
                   ProofResponse *ret, Reason *reason)
{
    _cleanup_(endorsement_freep) Endorsement *ek = NULL;
    int r = endorsement_open(tpm, &ek, reason);

    return ek ? proof_activate_for_ek(ek, key, challenge, ret, reason) : r;
}

/* The device's part of the proof that its key is in its TPM. */
#include "provisioning/proof.h"

#include "crypto/openssl.h"
#include "tpm/commands.h"
#include "tpm/reclaim.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

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
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
        X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);

    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
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

/* The step "certificate": the station's authority certifies the device key, once the TPM has proved
 * that the key is in it. */
#include "base/file.h"
#include "base/reason.h"
#include "provisioning/authority.h"
#include "provisioning/certificatefile.h"
#include "provisioning/csr.h"
#include "provisioning/devicefiles.h"
#include "provisioning/proof.h"
#include "provisioning/step.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What the station's part of the proof works with. */
typedef struct Judge {
    Authority *authority;
    STACK_OF(X509) *ek_anchors;
    bool has_policy;
    PolicyDigest policy; /* of the device key */
} Judge;

static void judge_deinit(Judge *judge)
{
    authority_free(judge->authority);
    sk_X509_pop_free(judge->ek_anchors, X509_free);
}

static int certificate_note(const X509 *certificate, char *note)
{
    char fqdn[FQDN_SIZE_MAX] = "";

    (void)certificate_fqdn(certificate, fqdn);
    (void)snprintf(note, STEP_NOTE_SIZE, "for %.200s", fqdn);
    return 1;
}

/* True if one of the authority's certificates, as the profile names them, has issued it. */
static bool issued_here(const ProvisionOptions *options, X509 *certificate)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *issuers = NULL;
    Reason reason = {0};

    if (certificates_read(options->profile->ca_certificate, &issuers, &reason) < 0)
        return false;
    for (int i = 0; i < sk_X509_num(issuers); i++) {
        X509 *issuer = sk_X509_value(issuers, i);

        if (X509_check_issued(issuer, certificate) == X509_V_OK &&
            X509_verify(certificate, X509_get0_pubkey(issuer)) == 1)
            return true;
    }
    return false;
}

int step_certificate_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(certificates_freep) STACK_OF(X509) *there = NULL;
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    int r;

    r = provision_key(provision);
    if (r < 0)
        return r;
    if (r == 0) {
        complain("there is no device key in %s to certify; run the step device-key first",
                 options->state_dir);
        return -ENOENT;
    }
    r = state_path(options, STATE_CERTIFICATES, &path);
    if (r < 0)
        return r;
    if (certificates_read(path, &there, &reason) < 0 ||
        device_certificate_flaw(sk_X509_value(there, 0), device_key_public(provision->key),
                                options->fqdn) != NULL ||
        !issued_here(options, sk_X509_value(there, 0)))
        return 0;
    r = state_give(options, STATE_CERTIFICATES);
    return r < 0 ? r : certificate_note(sk_X509_value(there, 0), note);
}

static int judge_read(const ProvisionOptions *options, Judge *ret)
{
    const ProvisionProfile *profile = options->profile;
    Reason reason = {0};
    int r;

    r = authority_read(profile->ca_certificate, profile->ca_key, &ret->authority, &reason);
    if (r == 0)
        r = certificates_read(profile->ek_anchors, &ret->ek_anchors, &reason);
    if (r == 0)
        r = device_policy_wanted(options, &ret->policy, &ret->has_policy, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

/* The device asks, the station judges and challenges, the TPM answers, the station issues. */
static int prove(Provision *provision, const char *csr, const Judge *judge, STACK_OF(X509) **ret,
                 Reason *reason)
{
    const ProvisionOptions *options = provision->options;
    const ProofRules rules = {
        .ek_anchors = judge->ek_anchors,
        .policy = judge->has_policy ? &judge->policy : NULL,
    };
    _cleanup_(endorsement_freep) Endorsement *ek = NULL;
    _cleanup_(proof_request_freep) ProofRequest *request = NULL;
    _cleanup_(proof_response_deinit) ProofResponse response = {0};
    ProofChallenge challenge;
    ProofPending pending;
    int r;

    r = endorsement_open(provision->tpm, &ek, reason);
    if (!ek)
        return r;
    r = proof_request_for_ek(ek, &provision->key_file, csr, options->fqdn,
                             options->serial ? options->serial : "", &request, reason);
    if (r == 0)
        r = proof_challenge(request, &rules, &challenge, &pending, reason);
    if (r == 0)
        r = proof_activate_for_ek(ek, &provision->key_file, &challenge, &response, reason);
    if (r == 0) {
        r = proof_issue(request, &pending, &response, judge->authority,
                        (unsigned)options->profile->days, ret, reason);
    }
    return r;
}

static int csr_text(const ProvisionOptions *options, char **ret)
{
    _cleanup_(free_charp) char *path = NULL;
    uint8_t *text = NULL;
    size_t size = 0;
    int r = state_path(options, STATE_CSR, &path);

    if (r < 0)
        return r;
    r = file_read(path, CSR_SIZE_MAX, &text, &size);
    if (r < 0) {
        complain("%s can't be read: %s; run the step csr first", path, strerror(-r));
        return r;
    }
    *ret = (char *)text; /* file_read() ends it with a zero octet */
    return 0;
}

int step_certificate_issue(Provision *provision, char *note)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    _cleanup_(judge_deinit) Judge judge = {0};
    _cleanup_(free_charp) char *csr = NULL;
    Reason reason = {"out of memory"};
    int r;

    r = csr_text(provision->options, &csr);
    if (r == 0)
        r = judge_read(provision->options, &judge);
    if (r < 0)
        return r;
    /* TPMs have three transient slots, and the proof takes two. */
    provision_key_release(provision);
    r = prove(provision, csr, &judge, &chain, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = certificates_write(provision->options, STATE_CERTIFICATES, chain);
    if (r == 0)
        (void)certificate_note(sk_X509_value(chain, 0), note);
    return r;
}

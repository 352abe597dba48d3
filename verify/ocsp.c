/* Holds an OCSP response against a certificate: whether it is about it, from somebody who may say
 * so, and of our time (RFC 6960 3.2). */
#include "verify/ocsp.h"

#include "crypto/openssl.h"
#include "verify/certificates.h"
#include "verify/peer_internal.h"
#include "verify/profile.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { SINGLES_MAX = 64, CERTIFICATES_SENT_MAX = 4, HOUR = 3600 };

DEFINE_POINTER_CLEANUP(OCSP_RESPONSE, OCSP_RESPONSE_free);
DEFINE_POINTER_CLEANUP(OCSP_CERTID, OCSP_CERTID_free);

static OcspWord unusable(Reason *detail, const char *why)
{
    return (OcspWord)reason_set(detail, OCSP_UNUSABLE, "the OCSP response %s", why);
}

OCSP_BASICRESP *ocsp_decode(Bytes der, Reason *detail)
{
    _cleanup_(OCSP_RESPONSE_freep) OCSP_RESPONSE *response = NULL;
    const unsigned char *cursor = der.data;
    OCSP_BASICRESP *basic = NULL;
    int status;

    if (der.size > 0 && der.size <= PEER_EVIDENCE_SIZE_MAX)
        response = d2i_OCSP_RESPONSE(NULL, &cursor, (long)der.size);
    if (!response || cursor != der.data + der.size) {
        (void)unusable(detail, "does not parse");
    } else if ((status = OCSP_response_status(response)) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        reason_set(detail, 0, "the OCSP response has the status %s",
                   OCSP_response_status_str(status));
    } else {
        basic = OCSP_response_get1_basic(response);
        if (!basic)
            (void)unusable(detail, "is not of the basic type");
    }
    ERR_clear_error();
    return basic;
}

/* The hash in a CertID tells certificates apart and protects nothing, so that SHA-1, which most
 * responders use there (RFC 5019 2.1.1), does no harm. */
static bool single_is_about(const OCSP_SINGLERESP *single, const OcspQuestion *question)
{
    _cleanup_(OCSP_CERTID_freep) OCSP_CERTID *own = NULL;
    _cleanup_(OCSP_CERTID_freep) OCSP_CERTID *id =
        OCSP_CERTID_dup(OCSP_SINGLERESP_get0_id(single)); /* the accessor below takes no const */
    ASN1_OBJECT *algorithm = NULL;
    const EVP_MD *digest;

    if (!id || OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, id) != 1)
        return false;
    digest = EVP_get_digestbyobj(algorithm);
    if (!digest)
        return false;
    own = OCSP_cert_to_id(digest, question->certificate, question->issuer);
    return own && OCSP_id_cmp(own, id) == 0;
}

static bool is_responder(const OCSP_BASICRESP *response, const X509 *candidate)
{
    const ASN1_OCTET_STRING *key_hash = NULL;
    const X509_NAME *name = NULL;
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (OCSP_resp_get0_id(response, &key_hash, &name) != 1)
        return false;
    if (name)
        return X509_NAME_cmp(name, X509_get_subject_name(candidate)) == 0;
    /* RFC 6960 4.2.1: byKey is a SHA-1 hash. */
    return X509_pubkey_digest(candidate, EVP_sha1(), hash, &size) == 1 &&
           bytes_equal((Bytes){hash, size}, (Bytes){ASN1_STRING_get0_data(key_hash),
                                                    (size_t)ASN1_STRING_length(key_hash)});
}

static bool signature_is_ours_to_check(const OcspQuestion *question)
{
    if (*question->signatures_left == 0)
        return false;
    (*question->signatures_left)--;
    return true;
}

/* What is wrong with a delegated responder (RFC 6960 4.2.2.2); NULL: nothing. Issued by the CA
 * itself, for this purpose, and with the CA's word that it need not be looked up in turn. */
static const char *delegate_flaw(X509 *delegate, const OcspQuestion *question)
{
    PeerCheck scratch = {0};
    const X509_ALGOR *algorithm = NULL;

    if (X509_cmp(delegate, question->certificate) == 0)
        return "is signed by the certificate that it is about";
    if (X509_check_issued(question->issuer, delegate) != X509_V_OK)
        return "is signed by a responder that the CA did not issue (RFC 6960 4.2.2.2)";
    if (X509_get_extension_flags(delegate) & (EXFLAG_CRITICAL | EXFLAG_INVALID))
        return "is signed by a responder with an extension that is unknown or does not parse";
    /* No keyUsage allows everything. */
    if (!(X509_get_key_usage(delegate) & KU_DIGITAL_SIGNATURE))
        return "is signed by a responder without digitalSignature in its keyUsage";
    if (!(X509_get_extension_flags(delegate) & EXFLAG_XKUSAGE) ||
        !(X509_get_extended_key_usage(delegate) & XKU_OCSP_SIGN))
        return "is signed by a responder without OCSPSigning in its extKeyUsage";
    if (X509_get_ext_by_NID(delegate, NID_id_pkix_OCSP_noCheck, -1) < 0)
        return "is signed by a responder without id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1)";
    if (!date_is_by(X509_get0_notBefore(delegate), question->now) ||
        !date_is_from(X509_get0_notAfter(delegate), question->now))
        return "is signed by a responder whose certificate is not valid now";
    X509_get0_signature(NULL, &algorithm, delegate);
    if (!profile_signature_is_fit(algorithm))
        return "is signed by a responder whose certificate has a weak signature";
    if (peer_key_cost(delegate, question->profile, &scratch) != 0)
        return "is signed by a responder with an unfit key";
    if (EVP_PKEY_get_security_bits(X509_get0_pubkey(delegate)) < 112)
        return "is signed by a responder with a short key";
    if (!signature_is_ours_to_check(question) ||
        X509_verify(delegate, X509_get0_pubkey(question->issuer)) != 1)
        return "is signed by a responder whose certificate is forged";
    return NULL;
}

/* The certificate whose key must have signed; NULL with `flaw` set if none may. */
static X509 *signer_find(const OCSP_BASICRESP *response, const OcspQuestion *question,
                         const char **flaw)
{
    const STACK_OF(X509) *sent = OCSP_resp_get0_certs(response);

    if (is_responder(response, question->issuer))
        return question->issuer;
    *flaw = "is signed by somebody unknown";
    for (int i = 0; i < sk_X509_num(sent) && i < CERTIFICATES_SENT_MAX; i++) {
        X509 *delegate = sk_X509_value(sent, i);

        if (!is_responder(response, delegate))
            continue;
        *flaw = delegate_flaw(delegate, question);
        if (!*flaw)
            return delegate;
    }
    return NULL;
}

static const char *signature_flaw(OCSP_BASICRESP *response, const OcspQuestion *question)
{
    const char *flaw = NULL;
    X509 *signer = signer_find(response, question, &flaw);
    STACK_OF(X509) *signers;
    int good;

    if (!signer)
        return flaw;
    if (!profile_signature_is_fit(OCSP_resp_get0_tbs_sigalg(response)))
        return "is signed with an algorithm outside the profile";
    if (!signature_is_ours_to_check(question))
        return "comes with too many signatures to check";
    signers = sk_X509_new_null();
    if (!signers || sk_X509_push(signers, signer) == 0) {
        sk_X509_free(signers);
        return "met a lack of memory";
    }
    /* The signature alone: who may sign has been judged. */
    good = OCSP_basic_verify(response, signers, NULL, OCSP_NOVERIFY | OCSP_NOINTERN);
    sk_X509_free(signers);
    ERR_clear_error();
    return good == 1 ? NULL : "has a wrong signature";
}

static bool has_critical(OCSP_BASICRESP *response, OCSP_SINGLERESP *single)
{
    return OCSP_BASICRESP_get_ext_by_critical(response, 1, -1) >= 0 ||
           OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0;
}

/* What is wrong with its dates; NULL: nothing. */
static const char *dates_flaw(const OCSP_BASICRESP *response, const ASN1_TIME *this_update,
                              const ASN1_TIME *next_update, const OcspQuestion *question)
{
    const time_t latest = question->now + (time_t)question->profile->skew_seconds;
    const time_t earliest = question->now - (time_t)question->profile->skew_seconds;
    const time_t oldest = question->now - (time_t)question->profile->ocsp_hours_max * HOUR;
    const ASN1_TIME *produced = OCSP_resp_get0_produced_at(response);

    if (!date_is_by(produced, latest))
        return "was produced in the future (producedAt), or does not say when";
    if (!date_is_by(this_update, latest))
        return "is of the future (thisUpdate), or does not say of when";
    if (next_update && !date_is_from(next_update, earliest))
        return "is out of date (nextUpdate), or does not say until when";
    if (!date_is_from(this_update, oldest) || !date_is_from(produced, oldest))
        return "is older than ocsp-hours-max";
    return NULL;
}

/* What one of a response's answers says, whose signature has been checked. */
static OcspWord single_answer(OCSP_BASICRESP *response, OCSP_SINGLERESP *single,
                              const OcspQuestion *question, Reason *detail)
{
    ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL, *next_update = NULL;
    char date[PEER_DATE_SIZE];
    int reason = -1;

    if (has_critical(response, single))
        return unusable(detail, "has a critical extension that is unknown");
    const int status =
        OCSP_single_get0_status(single, &reason, &revoked, &this_update, &next_update);
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
        /* However old: what is revoked stays so. */
        peer_date_print(revoked, date);
        return (OcspWord)reason_set(detail, OCSP_REVOKED, "revoked on %s (OCSP, reason %s)", date,
                                    reason < 0 ? "not given" : OCSP_crl_reason_str(reason));
    }
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return unusable(detail, "does not know the certificate");
    const char *flaw = dates_flaw(response, this_update, next_update, question);
    if (flaw)
        return unusable(detail, flaw);
    peer_date_print(this_update, date);
    return (OcspWord)reason_set(detail, OCSP_GOOD, "good by the OCSP response of %s", date);
}

/* Of several answers about one certificate, revoked counts before good, and good before none. */
OcspWord ocsp_answer(OCSP_BASICRESP *response, const OcspQuestion *question, Reason *detail)
{
    const int count = OCSP_resp_count(response);
    OcspWord word = OCSP_SILENT;

    if (count > SINGLES_MAX)
        return unusable(detail, "has more answers than are looked at");
    for (int i = 0; i < count && word != OCSP_REVOKED; i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(response, i);
        Reason said = {0};

        if (!single_is_about(single, question))
            continue;
        const char *flaw = word == OCSP_SILENT ? signature_flaw(response, question) : NULL;
        if (flaw)
            return unusable(detail, flaw);
        const OcspWord one = single_answer(response, single, question, &said);
        if (one > word) {
            word = one;
            *detail = said;
        }
    }
    return word;
}

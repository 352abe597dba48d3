/* Checks that no issuer has taken back its word for a certificate of the path. The operator's CRLs
 * are sorted here by their age: which may call a certificate good, and which may only call it
 * revoked; what they (peer_crls.c, peer_crl_entries.c) and OCSP responses (ocsp.c) say of it is
 * weighed against the mode. */
#include "verify/peer_revocation.h"

#include "base/reason.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <errno.h>
#include <stdio.h>

enum { HOUR = 3600 };

/* NULL if the list is looked at, else why it is not. */
static const char *age_flaw(const PeerCase *peer, CrlAge age, const X509_CRL *crl)
{
    const time_t now = peer->evidence->now;
    const uint64_t hours = peer->policy->profile->crl_hours_max;
    const ASN1_TIME *date = X509_CRL_get0_lastUpdate(crl);
    const bool is_ahead = !date_is_by(date, now + (time_t)peer->policy->profile->skew_seconds);
    const bool is_old = hours > 0 && !date_is_from(date, now - (time_t)hours * HOUR);
    static const char ahead[] = "its issuer's CRL is of the future (thisUpdate)";
    static const char old[] = "its issuer's CRL is older than crl-hours-max";

    switch (age) {
    case CRLS_OLD:
        return is_old ? NULL : old;
    case CRLS_FUTURE: /* those that are ahead by less, too: OpenSSL prefers an older one to them */
        return date_is_by(date, now) ? ahead : NULL;
    default:
        return is_ahead ? ahead : is_old ? old : NULL;
    }
}

/* Says of each certificate that the list could be about why it is not looked at. */
static void crl_leave_out(const PeerCase *peer, const X509_CRL *crl, const char *flaw,
                          PathStatus *status)
{
    for (int i = 0; i < status->n_depths; i++) {
        const X509 *certificate = sk_X509_value(peer->chain, i);
        DepthStatus *depth = &status->depths[i];

        if (depth->word == WORD_NONE &&
            X509_NAME_cmp(X509_get_issuer_name(certificate), X509_CRL_get_issuer(crl)) == 0)
            reason_set(&depth->detail, 0, "%s", flaw);
    }
}

/* True if an issuer has lists of the age that is looked at. */
static bool issuer_has_any(const PeerCase *peer, CrlAge age, const X509_NAME *issuer)
{
    const STACK_OF(X509_CRL) *all = peer->policy->crls->crls;

    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        const X509_CRL *crl = sk_X509_CRL_value(all, i);

        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), issuer) == 0 && !age_flaw(peer, age, crl))
            return true;
    }
    return false;
}

/* OpenSSL holds certificates' signatures against the security level, but not CRLs'. Where old lists
 * are looked at, or those ahead, a CRL issuer's own certificate is still held against recent ones.
 */
static bool crl_is_wanted(const PeerCase *peer, CrlAge age, const X509_CRL *crl, PathStatus *status)
{
    const char *flaw = age_flaw(peer, age, crl);

    if (flaw && age != CRLS_RECENT && !issuer_has_any(peer, age, X509_CRL_get_issuer(crl)))
        flaw = age_flaw(peer, CRLS_RECENT, crl);
    if (!crl_algorithm_is_fit(crl))
        flaw = "its issuer's CRL is signed with an algorithm outside the profile";
    if (flaw && age == CRLS_RECENT)
        crl_leave_out(peer, crl, flaw, status);
    return !flaw;
}

bool peer_crl_lists_any(const PeerCase *peer, CrlAge age)
{
    const STACK_OF(X509_CRL) *all = peer->policy->crls->crls;

    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        if (!age_flaw(peer, age, sk_X509_CRL_value(all, i)))
            return true;
    }
    return false;
}

STACK_OF(X509_CRL) *peer_crl_lists_new(const PeerCase *peer, CrlAge age, PathStatus *status)
{
    const STACK_OF(X509_CRL) *all = peer->policy->crls->crls;
    STACK_OF(X509_CRL) *wanted = sk_X509_CRL_new_null();

    for (int i = 0; wanted && i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);

        if (crl_is_wanted(peer, age, crl, status) && sk_X509_CRL_push(wanted, crl) == 0) {
            sk_X509_CRL_free(wanted);
            return NULL;
        }
    }
    return wanted;
}

/* Checked for one peer: the path's, and what is left for OCSP. */
enum { SIGNATURES_MAX = 9, SUBJECT_SHOWN = 64 };

static void ocsp_weigh(DepthStatus *status, OcspWord word, const char *detail)
{
    if (word == OCSP_SILENT || (word != OCSP_REVOKED && status->word != WORD_NONE))
        return;
    status->word = word == OCSP_REVOKED ? WORD_REVOKED : word == OCSP_GOOD ? WORD_GOOD : WORD_NONE;
    reason_set(&status->detail, 0, "%s", detail);
}

static void ocsp_ask_one(PeerCase *peer, PathStatus *path, OCSP_BASICRESP *response,
                         unsigned *signatures_left)
{
    for (int i = 0; i < path->n_depths; i++) {
        const OcspQuestion question = {
            .certificate = sk_X509_value(peer->chain, i),
            .issuer = sk_X509_value(peer->chain, i + 1),
            .profile = peer->policy->profile,
            .now = peer->evidence->now,
            .signatures_left = signatures_left,
        };
        Reason detail = {0};

        if (path->depths[i].word == WORD_REVOKED)
            continue;
        OcspWord word = ocsp_answer(response, &question, &detail);
        ocsp_weigh(&path->depths[i], word, detail.text);
        if (word == OCSP_GOOD)
            peer_vouch(peer, OCSP_resp_get0_produced_at(response));
    }
}

static void ocsp_ask(PeerCase *peer, PathStatus *path)
{
    const PeerEvidence *evidence = peer->evidence;
    unsigned signatures_left = (unsigned)(SIGNATURES_MAX - path->n_depths);

    for (size_t i = 0; i < evidence->n_ocsp; i++) {
        Reason detail = {0};
        OCSP_BASICRESP *response = ocsp_decode(evidence->ocsp[i], &detail);

        if (response) {
            ocsp_ask_one(peer, path, response, &signatures_left);
        } else { /* it is nobody's: most likely it was meant for the end entity */
            ocsp_weigh(&path->depths[0], OCSP_UNUSABLE, detail.text);
        }
        OCSP_BASICRESP_free(response);
    }
}

static const char *detail_of(const DepthStatus *status)
{
    return status->detail.text[0] != '\0' ? status->detail.text : "no CRL and no OCSP response";
}

/* What the check says when it has passed: of each certificate by whose word, or why without one. */
static void words_note(const PeerCase *peer, const PathStatus *path, PeerCheck *check)
{
    for (int i = 0; i < path->n_depths; i++) {
        const DepthStatus *status = &path->depths[i];
        char subject[SUBJECT_SHOWN];

        certificate_subject(sk_X509_value(peer->chain, i), subject, sizeof(subject));
        peer_check_note(
            check, "%s: %s%s", subject,
            status->word == WORD_GOOD ? "" : "let pass, as nothing is known: ", detail_of(status));
    }
}

static int words_weigh(const PeerCase *peer, const PathStatus *path, PeerCheck *check)
{
    for (int i = 0; i < path->n_depths; i++) {
        const DepthStatus *status = &path->depths[i];

        peer_check_expect(check, "a certificate that is not revoked");
        if (status->word == WORD_REVOKED) {
            return peer_check_fail(check, PEER_E_REVOKED, sk_X509_value(peer->chain, i),
                                   "revocation status", "%s", detail_of(status));
        }
    }
    for (int i = 0; i < path->n_depths; i++) {
        const DepthStatus *status = &path->depths[i];

        peer_check_expect(check,
                          "a CRL or OCSP response that says it is good (revocation = require)");
        if (status->word == WORD_NONE && peer->policy->revocation == REVOCATION_REQUIRE) {
            return peer_check_fail(check, PEER_E_REVOCATION_UNKNOWN, sk_X509_value(peer->chain, i),
                                   "revocation status", "unknown: %s", detail_of(status));
        }
    }
    words_note(peer, path, check);
    return 0;
}

int peer_check_revocation(PeerCase *peer, PeerCheck *check)
{
    PathStatus path = {.n_depths = peer_chain_below_anchor(peer)};
    int r;

    if (peer->policy->revocation == REVOCATION_OFF)
        return PEER_SKIP;
    if (path.n_depths > DEPTHS_MAX)
        return -EIO;
    r = peer_crls_ask(peer, &path);
    if (r < 0)
        return r;
    peer_crl_entries_ask(peer, &path);
    ocsp_ask(peer, &path);
    return words_weigh(peer, &path, check);
}

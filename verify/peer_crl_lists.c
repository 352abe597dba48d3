/* Sorts the operator's CRLs by their age: which may call a certificate good, and which may only
 * call it revoked. */
#include "base/reason.h"
#include "verify/dates.h"
#include "verify/peer_revocation.h"
#include "verify/profile.h"

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
    const X509_ALGOR *algorithm = NULL;
    const char *flaw = age_flaw(peer, age, crl);

    X509_CRL_get0_signature(crl, NULL, &algorithm);
    if (flaw && age != CRLS_RECENT && !issuer_has_any(peer, age, X509_CRL_get_issuer(crl)))
        flaw = age_flaw(peer, CRLS_RECENT, crl);
    if (!profile_signature_is_fit(algorithm))
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

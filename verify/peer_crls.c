/* Asks the operator's CRLs about each certificate of the path. OpenSSL looks them up and holds them
 * against RFC 5280 6.3; here is what it leaves to us: which lists count, and for what. */
#include "verify/peer_revocation.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

enum { SECURITY_LEVEL = 2, HOUR = 3600 };

/* Which lists are looked at. */
typedef enum CrlAge {
    CRLS_RECENT, /* those that may call a certificate good */
    CRLS_OLD,    /* those older than crl-hours-max: what they revoke stays revoked */
} CrlAge;

typedef struct CrlCase {
    const PeerCase *peer;
    PathStatus *status;
    CrlAge age;
    int verdicts[DEPTHS_MAX]; /* X509_V_…: what is wrong with the CRLs; X509_V_OK: nothing */
    bool has_old;             /* lists were left out for their age */
} CrlCase;

DEFINE_POINTER_CLEANUP(X509_STORE, X509_STORE_free);

static void stack_freep(STACK_OF(X509) **stack)
{
    sk_X509_free(*stack);
}

static void crl_stack_freep(STACK_OF(X509_CRL) **stack)
{
    sk_X509_CRL_free(*stack);
}

static bool is_after(const ASN1_TIME *date, time_t time)
{
    return ASN1_TIME_cmp_time_t(date, time) == 1;
}

static void crl_revoked(DepthStatus *depth, X509_STORE_CTX *ctx)
{
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    X509_REVOKED *entry = NULL;
    char date[PEER_DATE_SIZE] = "an unknown date";

    if (crl && X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(ctx)) != 0 &&
        entry)
        peer_date_print(X509_REVOKED_get0_revocationDate(entry), date);
    depth->word = WORD_REVOKED;
    reason_set(&depth->detail, 0, "revoked on %s (CRL)", date);
}

/* A list that is past its nextUpdate by less than the profile's grace. */
static bool is_within_grace(const CrlCase *crls, X509_STORE_CTX *ctx)
{
    const PeerProfile *profile = crls->peer->policy->profile;
    const X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);

    return crl && profile->crl_grace_hours > 0 &&
           is_after(X509_CRL_get0_nextUpdate(crl),
                    crls->peer->evidence->now - (time_t)profile->crl_grace_hours * HOUR);
}

static bool is_about_crls(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_INVALID_EXTENSION:
    case X509_V_ERR_UNNESTED_RESOURCE:
        return true;
    default:
        return false;
    }
}

/* A CRL issuer whose own certificate the CA has told to look up in the list that it issues itself
 * (its CRL distribution point names it as cRLIssuer, RFC 5280 6.3.3): there is no further path. */
static bool is_own_witness(X509_STORE_CTX *ctx)
{
    const X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    const X509 *certificate = X509_STORE_CTX_get_current_cert(ctx);

    return X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CRL_PATH_VALIDATION_ERROR && crl &&
           X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(certificate)) == 0;
}

/* OpenSSL's callback: goes on, so that each depth is looked at. The path has been judged before, so
 * that whatever is not about CRLs is no news; but a CRL issuer's path is judged here alone. */
static int on_crl_finding(int good, X509_STORE_CTX *ctx)
{
    CrlCase *crls = X509_STORE_CTX_get_app_data(ctx);
    const int depth = X509_STORE_CTX_get_error_depth(ctx);
    const int verdict = X509_STORE_CTX_get_error(ctx);
    DepthStatus *status;

    if (good || X509_STORE_CTX_get0_parent_ctx(ctx))
        return good || is_own_witness(ctx);
    if (depth < 0 || depth >= crls->status->n_depths)
        return 1; /* the anchor is trusted as it stands */
    status = &crls->status->depths[depth];
    if (status->word != WORD_NONE)
        return 1; /* a recent list has spoken */
    if (verdict == X509_V_ERR_CERT_REVOKED) {
        /* However old the list, but only if it is the issuer's. */
        if (crls->verdicts[depth] == X509_V_OK ||
            crls->verdicts[depth] == X509_V_ERR_CRL_HAS_EXPIRED)
            crl_revoked(status, ctx);
    } else if (verdict == X509_V_ERR_CRL_HAS_EXPIRED && is_within_grace(crls, ctx)) {
        return 1;
    } else if (is_about_crls(verdict) && crls->verdicts[depth] == X509_V_OK) {
        crls->verdicts[depth] = verdict;
        /* Of a list that was left out it is known already why there is none. */
        if (status->detail.text[0] == '\0') {
            reason_set(&status->detail, 0, "%s", X509_verify_cert_error_string(verdict));
        }
    }
    return 1;
}

/* Signatures and dates of the path have been checked. */
static int path_is_known(X509_STORE_CTX *ctx)
{
    (void)ctx;
    return 1;
}

static bool is_recent(const CrlCase *crls, const X509_CRL *crl)
{
    const uint64_t hours = crls->peer->policy->profile->crl_hours_max;

    return hours == 0 || is_after(X509_CRL_get0_lastUpdate(crl),
                                  crls->peer->evidence->now - (time_t)hours * HOUR);
}

/* The anchors, where CRL issuers' paths must end, too. */
static X509_STORE *store_new(const PeerPolicy *policy)
{
    _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();

    if (!store)
        return NULL;
    for (int i = 0; i < sk_X509_num(policy->anchors->certificates); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(policy->anchors->certificates, i)) != 1)
            return NULL;
    }
    return steal_pointer(store);
}

/* Says of each certificate that the list could be about why it is not looked at. */
static void crl_leave_out(CrlCase *crls, const X509_CRL *crl, const char *flaw)
{
    for (int i = 0; i < crls->status->n_depths; i++) {
        const X509 *certificate = sk_X509_value(crls->peer->chain, i);
        DepthStatus *status = &crls->status->depths[i];

        if (status->word == WORD_NONE &&
            X509_NAME_cmp(X509_get_issuer_name(certificate), X509_CRL_get_issuer(crl)) == 0)
            reason_set(&status->detail, 0, "%s", flaw);
    }
}

/* OpenSSL holds certificates' signatures against the security level, but not CRLs'. */
static bool crl_is_wanted(CrlCase *crls, const X509_CRL *crl)
{
    const bool recent = is_recent(crls, crl);
    const X509_ALGOR *algorithm = NULL;

    X509_CRL_get0_signature(crl, NULL, &algorithm);
    if (!peer_signature_is_fit(algorithm)) {
        crl_leave_out(crls, crl,
                      "its issuer's CRL is signed with an algorithm outside the profile");
        return false;
    }
    if (crls->age == CRLS_OLD)
        return !recent;
    if (!recent) {
        crl_leave_out(crls, crl, "its issuer's CRL is older than crl-hours-max");
        crls->has_old = true;
    }
    return recent;
}

/* The lists that are looked at; borrowed. Handed over as a stack and not in the store, which finds
 * a list by its issuer's name alone, and so no indirect one. */
static STACK_OF(X509_CRL) *lists_new(CrlCase *crls)
{
    const STACK_OF(X509_CRL) *all = crls->peer->policy->crls->crls;
    STACK_OF(X509_CRL) *wanted = sk_X509_CRL_new_null();

    for (int i = 0; wanted && i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);

        if (crl_is_wanted(crls, crl) && sk_X509_CRL_push(wanted, crl) == 0) {
            sk_X509_CRL_free(wanted);
            return NULL;
        }
    }
    return wanted;
}

/* Where OpenSSL looks for issuers, the CRLs' among them. */
static STACK_OF(X509) *untrusted_new(const PeerCase *peer)
{
    STACK_OF(X509) *untrusted = sk_X509_dup(peer->sent);

    for (int i = 0; untrusted && i < sk_X509_num(peer->policy->crls->issuers); i++) {
        if (sk_X509_push(untrusted, sk_X509_value(peer->policy->crls->issuers, i)) == 0) {
            sk_X509_free(untrusted);
            return NULL;
        }
    }
    return untrusted;
}

static bool is_same_chain(const STACK_OF(X509) *a, const STACK_OF(X509) *b)
{
    bool same = sk_X509_num(a) == sk_X509_num(b);

    for (int i = 0; same && i < sk_X509_num(a); i++)
        same = X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) == 0;
    return same;
}

static int crls_walk(CrlCase *crls, X509_STORE_CTX *ctx)
{
    const PeerCase *peer = crls->peer;
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    bool same;

    if (X509_VERIFY_PARAM_set_flags(
            param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
                       X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS) != 1 ||
        X509_STORE_CTX_set_app_data(ctx, crls) != 1)
        return -EIO;
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, PEER_CERTIFICATES_MAX);
    X509_VERIFY_PARAM_set_time(param, peer->evidence->now);
    X509_STORE_CTX_set_verify_cb(ctx, on_crl_finding);
    X509_STORE_CTX_set_verify(ctx, path_is_known);
    same = X509_verify_cert(ctx) == 1 && is_same_chain(X509_STORE_CTX_get0_chain(ctx), peer->chain);
    for (int i = 0; i < crls->status->n_depths; i++) {
        DepthStatus *status = &crls->status->depths[i];

        if (status->word == WORD_NONE && same && crls->age == CRLS_RECENT &&
            crls->verdicts[i] == X509_V_OK)
            status->word = WORD_GOOD;
    }
    return 0;
}

static int crls_ask(CrlCase *crls, CrlAge age)
{
    _cleanup_(X509_STORE_freep) X509_STORE *store = NULL;
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = NULL;
    _cleanup_(stack_freep) STACK_OF(X509) *untrusted = NULL;
    _cleanup_(crl_stack_freep) STACK_OF(X509_CRL) *lists = NULL;
    const PeerCase *peer = crls->peer;

    if (!peer->policy->crls || sk_X509_CRL_num(peer->policy->crls->crls) == 0)
        return 0;
    crls->age = age;
    for (int i = 0; i < crls->status->n_depths; i++)
        crls->verdicts[i] = X509_V_OK;
    store = store_new(peer->policy);
    lists = lists_new(crls);
    untrusted = untrusted_new(peer);
    ctx = X509_STORE_CTX_new();
    if (!store || !lists || !untrusted || !ctx ||
        X509_STORE_CTX_init(ctx, store, sk_X509_value(peer->sent, 0), untrusted) != 1)
        return -ENOMEM;
    X509_STORE_CTX_set0_crls(ctx, lists);
    return crls_walk(crls, ctx);
}

int peer_crls_ask(const PeerCase *peer, PathStatus *status)
{
    CrlCase crls = {.peer = peer, .status = status};
    int r;

    r = crls_ask(&crls, CRLS_RECENT);
    if (r == 0 && crls.has_old)
        r = crls_ask(&crls, CRLS_OLD);
    return r;
}

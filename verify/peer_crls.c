/* Asks the operator's CRLs about each certificate of the path. OpenSSL looks them up and holds them
 * against RFC 5280 6.3; here is what it leaves to us: which lists count, and for what. Lists that
 * it passes over are looked at in peer_crl_entries.c. */
#include "verify/peer_revocation.h"

#include "crypto/openssl.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { SECURITY_LEVEL = 2, HOUR = 3600 };

typedef struct CrlCase {
    const PeerCase *peer;
    PathStatus *status;
    CrlAge age;
    int verdicts[DEPTHS_MAX];    /* X509_V_…: what is wrong with the CRLs; X509_V_OK: nothing */
    X509_CRL *lists[DEPTHS_MAX]; /* that spoke last of each certificate; borrowed */
    X509_STORE_CTX_cert_crl_fn look_up; /* OpenSSL's own, as the next */
    X509_STORE_CTX_check_issued_fn check_issued;
    bool is_out_of_memory;
} CrlCase;

static void stack_freep(STACK_OF(X509) **stack)
{
    sk_X509_free(*stack);
}

static void crl_stack_freep(STACK_OF(X509_CRL) **stack)
{
    sk_X509_CRL_free(*stack);
}

static time_t skew_of(const CrlCase *crls)
{
    return (time_t)crls->peer->policy->profile->skew_seconds;
}

static void crl_revoked(DepthStatus *depth, X509_STORE_CTX *ctx)
{
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    X509_REVOKED *entry = NULL;

    if (crl)
        (void)X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(ctx));
    peer_crl_revoked(depth, crl, entry);
}

/* A list out of date by less than the profile's grace, or either way by less than clocks may be
 * off. */
static bool is_tolerated(const CrlCase *crls, int verdict, X509_STORE_CTX *ctx)
{
    const time_t grace = (time_t)crls->peer->policy->profile->crl_grace_hours * HOUR;
    const time_t now = crls->peer->evidence->now;
    const X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);

    if (!crl)
        return false;
    switch (verdict) {
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return date_is_from(X509_CRL_get0_nextUpdate(crl), now - grace - skew_of(crls));
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return date_is_by(X509_CRL_get0_lastUpdate(crl), now + skew_of(crls));
    default:
        return false;
    }
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

/* A CRL issuer's path is judged in a context of its own, which carries no data. */
static CrlCase *case_of(X509_STORE_CTX *ctx)
{
    while (X509_STORE_CTX_get0_parent_ctx(ctx))
        ctx = X509_STORE_CTX_get0_parent_ctx(ctx);
    return X509_STORE_CTX_get_app_data(ctx);
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

/* However old the list, or however far ahead, but only if it is the issuer's. */
static bool may_revoke(int verdict)
{
    return verdict == X509_V_OK || verdict == X509_V_ERR_CRL_HAS_EXPIRED ||
           verdict == X509_V_ERR_CRL_NOT_YET_VALID;
}

/* Of a list that was left out it is known already why there is none. What comes after a date, as
 * that the list is forged, is said in its place. */
static void detail_find(DepthStatus *status, int former, int verdict)
{
    const char *text = status->detail.text;

    if (status->word == WORD_NONE &&
        (text[0] == '\0' ||
         (former != X509_V_OK && strcmp(text, X509_verify_cert_error_string(former)) == 0)))
        reason_set(&status->detail, 0, "%s", X509_verify_cert_error_string(verdict));
}

/* Something is wrong at one depth, and the others are looked at all the same. */
static void depth_find(CrlCase *crls, int depth, X509_STORE_CTX *ctx)
{
    const int verdict = X509_STORE_CTX_get_error(ctx);
    const int former = crls->verdicts[depth];
    DepthStatus *status = &crls->status->depths[depth];

    if (status->word == WORD_REVOKED ||
        (status->word == WORD_GOOD && crls->age == CRLS_OLD)) /* a recent list has spoken */
        return;
    if (verdict == X509_V_ERR_CERT_REVOKED) {
        if (may_revoke(former))
            crl_revoked(status, ctx);
        return;
    }
    /* OpenSSL looks at the dates before the signature: they excuse nothing that comes after. */
    if (is_tolerated(crls, verdict, ctx) || !may_revoke(former))
        return;
    crls->verdicts[depth] = verdict;
    detail_find(status, former, verdict);
}

/* OpenSSL's callback. The path has been judged before, so that what is wrong with it is no news;
 * but a CRL issuer's path is judged here alone. Whatever else it is ends the walk, and nothing is
 * good then. */
static int on_crl_finding(int good, X509_STORE_CTX *ctx)
{
    CrlCase *crls = case_of(ctx);
    const int depth = X509_STORE_CTX_get_error_depth(ctx);
    const int verdict = X509_STORE_CTX_get_error(ctx);

    if (verdict == X509_V_ERR_OUT_OF_MEM) {
        crls->is_out_of_memory = true;
        return 0;
    }
    if (good || X509_STORE_CTX_get0_parent_ctx(ctx))
        return good || is_own_witness(ctx);
    if (depth < 0 || depth >= crls->status->n_depths)
        return 1; /* the anchor is trusted as it stands */
    if (is_about_crls(verdict) || verdict == X509_V_ERR_CERT_REVOKED) {
        depth_find(crls, depth, ctx);
        return 1;
    }
    return peer_path_is_judged(verdict);
}

/* OpenSSL's look-up, which list it was in remembered: of a base and its delta, the base. */
static int on_look_up(X509_STORE_CTX *ctx, X509_CRL *crl, X509 *certificate)
{
    CrlCase *crls = case_of(ctx);
    const int depth = X509_STORE_CTX_get_error_depth(ctx);

    if (!X509_STORE_CTX_get0_parent_ctx(ctx) && depth >= 0 && depth < crls->status->n_depths)
        crls->lists[depth] = crl;
    return crls->look_up(ctx, crl, certificate);
}

/* On the path that was judged whoever comes next there, whatever their names (peer_path.c); else as
 * OpenSSL does, which looks for the paths of CRL issuers, too. */
static int on_check_issued(X509_STORE_CTX *ctx, X509 *certificate, X509 *issuer)
{
    const CrlCase *crls = case_of(ctx);
    const X509 *next = peer_path_next(crls->peer->chain, certificate);

    return next ? X509_cmp(next, issuer) == 0 : crls->check_issued(ctx, certificate, issuer);
}

/* Signatures and dates of the path have been checked. */
static int path_is_known(X509_STORE_CTX *ctx)
{
    (void)ctx;
    return 1;
}

/* The path's anchor, where CRL issuers' paths must end, too (RFC 5280 6.3.3 f): so that no other
 * path is followed than the one that was judged. */
static X509_STORE *store_new(const PeerCase *peer)
{
    _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();

    if (!store ||
        X509_STORE_add_cert(store, sk_X509_value(peer->chain, peer_chain_below_anchor(peer))) != 1)
        return NULL;
    return steal_pointer(store);
}

/* Where OpenSSL looks for issuers, the CRLs' among them: the path's first, so that it is found
 * again. */
static STACK_OF(X509) *untrusted_new(const PeerCase *peer)
{
    STACK_OF(X509) *untrusted = sk_X509_dup(peer->chain);

    for (int i = 0; untrusted && i < sk_X509_num(peer->sent); i++) {
        if (sk_X509_push(untrusted, sk_X509_value(peer->sent, i)) == 0) {
            sk_X509_free(untrusted);
            return NULL;
        }
    }

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

/* What OpenSSL is to do. 0, -ENOMEM or -EIO. */
static int walk_prepare(CrlCase *crls, X509_STORE_CTX *ctx)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

    if (!param || X509_STORE_CTX_set_app_data(ctx, crls) != 1)
        return -ENOMEM;
    if (X509_VERIFY_PARAM_set_flags(
            param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
                       X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS) != 1)
        return -EIO;
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, PEER_CERTIFICATES_MAX);
    X509_VERIFY_PARAM_set_time(param, crls->peer->evidence->now);
    X509_STORE_CTX_set_verify_cb(ctx, on_crl_finding);
    X509_STORE_CTX_set_verify(ctx, path_is_known);
    return 0;
}

/* The walk came to its end on the very path that was judged: whose lists had no flaw is good. */
static void goods_find(CrlCase *crls)
{
    for (int i = 0; i < crls->status->n_depths; i++) {
        DepthStatus *status = &crls->status->depths[i];
        char list[PEER_CRL_SIZE];

        if (status->word != WORD_NONE || crls->verdicts[i] != X509_V_OK || !crls->lists[i])
            continue;
        peer_crl_print(crls->lists[i], list);
        status->word = WORD_GOOD;
        status->good_by = crls->lists[i];
        reason_set(&status->detail, 0, "good by %s", list);
    }
}

/* Where another than the issuer signs lists, this is how it is known who that is: OpenSSL has held
 * its path and the certificate's distribution points against RFC 5280 6.3.3. Of what it has not
 * looked at closely, as a recent list has spoken, nothing is kept. */
static void indirects_find(CrlCase *crls)
{
    for (int i = 0; i < crls->status->n_depths; i++) {
        DepthStatus *status = &crls->status->depths[i];
        X509_CRL *list = crls->lists[i];
        const X509 *certificate = sk_X509_value(crls->peer->chain, i);

        if (list && !status->indirect && may_revoke(crls->verdicts[i]) &&
            !(status->word == WORD_GOOD && crls->age == CRLS_OLD) &&
            X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(certificate)) != 0)
            status->indirect = list;
    }
}

static int crls_walk(CrlCase *crls, X509_STORE_CTX *ctx)
{
    int r = walk_prepare(crls, ctx);

    if (r < 0)
        return r;
    const bool is_whole =
        X509_verify_cert(ctx) == 1 && X509_STORE_CTX_get_error(ctx) != X509_V_ERR_OUT_OF_MEM;
    if (crls->is_out_of_memory || X509_STORE_CTX_get_error(ctx) == X509_V_ERR_OUT_OF_MEM)
        return -ENOMEM;
    if (!is_whole || !is_same_chain(X509_STORE_CTX_get0_chain(ctx), crls->peer->chain))
        return 0;
    if (crls->age == CRLS_RECENT)
        goods_find(crls);
    indirects_find(crls);
    return 0;
}

/* OpenSSL's functions that ours stand before; they can be had of a context alone. False without
 * memory. */
static bool functions_find(CrlCase *crls, X509_STORE_CTX *ctx)
{
    if (X509_STORE_CTX_init(ctx, NULL, NULL, NULL) == 1) {
        crls->look_up = X509_STORE_CTX_get_cert_crl(ctx);
        crls->check_issued = X509_STORE_CTX_get_check_issued(ctx);
    }
    X509_STORE_CTX_cleanup(ctx);
    return crls->look_up && crls->check_issued;
}

static int crls_ask(CrlCase *crls, CrlAge age)
{
    _cleanup_(X509_STORE_freep) X509_STORE *store = store_new(crls->peer);
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    _cleanup_(stack_freep) STACK_OF(X509) *untrusted = untrusted_new(crls->peer);
    _cleanup_(crl_stack_freep) STACK_OF(X509_CRL) *lists = NULL;

    crls->age = age;
    for (int i = 0; i < crls->status->n_depths; i++) {
        crls->verdicts[i] = X509_V_OK;
        crls->lists[i] = NULL;
    }
    if (age != CRLS_RECENT && !peer_crl_lists_any(crls->peer, age))
        return 0;
    lists = peer_crl_lists_new(crls->peer, age, crls->status);
    if (!store || !lists || !untrusted || !ctx)
        return -ENOMEM;
    if (!functions_find(crls, ctx))
        return -ENOMEM;
    X509_STORE_set_cert_crl(store, on_look_up);
    X509_STORE_set_check_issued(store, on_check_issued);
    if (X509_STORE_CTX_init(ctx, store, sk_X509_value(crls->peer->sent, 0), untrusted) != 1)
        return -ENOMEM;
    X509_STORE_CTX_set0_crls(ctx, lists);
    return crls_walk(crls, ctx);
}

int peer_crls_ask(const PeerCase *peer, PathStatus *status)
{
    CrlCase crls = {.peer = peer, .status = status};
    int r = 0;

    if (!peer->policy->crls || sk_X509_CRL_num(peer->policy->crls->crls) == 0)
        return 0;
    for (CrlAge age = CRLS_RECENT; r == 0 && age < CRL_AGES; age++)
        r = crls_ask(&crls, age);
    return r;
}

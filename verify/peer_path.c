/* Checks that a path leads from the SeGW's certificate to an anchor and obeys RFC 5280 6. OpenSSL
 * walks it once; what it finds is sorted by the check that it belongs to. */
#include "verify/peer_internal.h"

#include "crypto/openssl.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/x509_vfy.h>

enum {
    SECURITY_LEVEL = 2, /* 112 bits: RSA-2048, no SHA-1, no MD5 */
    SUBJECT_SIZE = 96,
    OID_SIZE = 64,
};

static const struct {
    int verdict;
    PathRule rule;
} rules[] = {
    {X509_V_ERR_INVALID_CA, PATH_ISSUERS_ARE_CAS},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, PATH_ISSUERS_ARE_CAS},
    {X509_V_ERR_INVALID_NON_CA, PATH_ISSUERS_ARE_CAS},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, PATH_LENGTH},
    {X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, PATH_CRITICAL_EXTENSIONS},
    {X509_V_ERR_PERMITTED_VIOLATION, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_EXCLUDED_VIOLATION, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_SUBTREE_MINMAX, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, PATH_NAME_CONSTRAINTS},
    {X509_V_ERR_INVALID_POLICY_EXTENSION, PATH_POLICIES},
    {X509_V_ERR_NO_EXPLICIT_POLICY, PATH_POLICIES},
    {X509_V_ERR_EE_KEY_TOO_SMALL, PATH_KEY_SIZE},
    {X509_V_ERR_CA_KEY_TOO_SMALL, PATH_KEY_SIZE},
    {X509_V_ERR_CA_MD_TOO_WEAK, PATH_HASH},
    {X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN, PATH_CONFORMING},
    {X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA, PATH_CONFORMING},
    {X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA, PATH_CONFORMING},
    {X509_V_ERR_ISSUER_NAME_EMPTY, PATH_CONFORMING},
    {X509_V_ERR_SUBJECT_NAME_EMPTY, PATH_CONFORMING},
    {X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER, PATH_CONFORMING},
    {X509_V_ERR_AUTHORITY_KEY_IDENTIFIER_CRITICAL, PATH_CONFORMING},
    {X509_V_ERR_SUBJECT_KEY_IDENTIFIER_CRITICAL, PATH_CONFORMING},
    {X509_V_ERR_MISSING_SUBJECT_KEY_IDENTIFIER, PATH_CONFORMING},
    {X509_V_ERR_CA_CERT_MISSING_KEY_USAGE, PATH_CONFORMING},
    {X509_V_ERR_CA_BCONS_NOT_CRITICAL, PATH_CONFORMING},
    {X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL, PATH_CONFORMING},
    {X509_V_ERR_EMPTY_SUBJECT_ALT_NAME, PATH_CONFORMING},
    {X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH, PATH_CONFORMING},
    {X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY, PATH_CONFORMING},
    {X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, PATH_CONFORMING},
};

static PathRule rule_of(int verdict)
{
    for (size_t i = 0; i < ELEMENTS(rules); i++) {
        if (rules[i].verdict == verdict)
            return rules[i].rule;
    }
    return PATH_BUILDS;
}

bool peer_path_is_judged(int verdict)
{
    return rule_of(verdict) != PATH_BUILDS;
}

static bool is_date(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
        return true;
    default:
        return false;
    }
}

/* Of an anchor no form is asked: its name and its key are what is trusted (RFC 5280 6.1.1 d). */
static bool is_anchor_of(X509_STORE_CTX *ctx, const X509 *certificate)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);

    return certificate && certificate == sk_X509_value(chain, sk_X509_num(chain) - 1);
}

/* OpenSSL's callback: 1 goes on, so that a path that breaks one rule is still held against the
 * others; 0 ends it. Dates have a check of their own, over the path that was found. */
static int on_finding(int good, X509_STORE_CTX *ctx)
{
    PeerCase *peer = X509_STORE_CTX_get_app_data(ctx);
    const int verdict = X509_STORE_CTX_get_error(ctx);
    PathRule rule;

    if (good || is_date(verdict))
        return 1;
    rule = rule_of(verdict);
    if (rule == PATH_CONFORMING && is_anchor_of(ctx, X509_STORE_CTX_get_current_cert(ctx)))
        return 1;
    if (peer->path[rule].verdict == X509_V_OK)
        peer->path[rule] = (PathFinding){verdict, X509_STORE_CTX_get_current_cert(ctx)};
    return rule != PATH_BUILDS;
}

static int path_walk(PeerCase *peer, X509_STORE_CTX *ctx, STACK_OF(X509) *trusted)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    /* PARTIAL_CHAIN: an anchor is trusted as it stands, be it a root or not. Policies: what the
     * path's own policyConstraints ask for, any policy being welcome. */
    const unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_POLICY_CHECK |
                                (peer->policy->profile->conforming ? X509_V_FLAG_X509_STRICT : 0);

    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    if (X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
        X509_VERIFY_PARAM_add0_policy(param, OBJ_nid2obj(NID_any_policy)) != 1 ||
        X509_STORE_CTX_set_app_data(ctx, peer) != 1)
        return -EIO;
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, PEER_CERTIFICATES_MAX);
    X509_VERIFY_PARAM_set_time(param, peer->evidence->now);
    X509_STORE_CTX_set_verify_cb(ctx, on_finding);
    if (X509_verify_cert(ctx) == 1) {
        peer->chain = X509_STORE_CTX_get1_chain(ctx);
        return peer->chain ? 0 : -ENOMEM;
    }
    if (peer->path[PATH_BUILDS].verdict == X509_V_OK)
        peer->path[PATH_BUILDS].verdict = X509_STORE_CTX_get_error(ctx);
    return 0;
}

/* The culprit is the context's unless it is one of those that were sent. */
static const X509 *culprit_of(const PeerCase *peer, PathRule rule)
{
    const X509 *culprit = peer->path[rule].culprit;

    return culprit ? culprit : sk_X509_value(peer->sent, 0);
}

static int path_fail(const PeerCase *peer, PathRule rule, int error, const char *field,
                     PeerCheck *check)
{
    const int verdict = peer->path[rule].verdict;

    if (verdict == X509_V_OK)
        return 0;
    peer_check_blame(peer, check, culprit_of(peer, rule));
    return peer_check_fail(check, error, culprit_of(peer, rule), field, "wrong: %s",
                           X509_verify_cert_error_string(verdict));
}

/* Among all that was sent, to any anchor. */
static int sent_walk(PeerCase *peer)
{
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (!ctx || X509_STORE_CTX_init(ctx, NULL, sk_X509_value(peer->sent, 0), peer->sent) != 1)
        return -ENOMEM;
    return path_walk(peer, ctx, peer->policy->anchors->certificates);
}

static void stack_freep(STACK_OF(X509) **stack)
{
    sk_X509_free(*stack);
}

static int signatures_are_known(X509_STORE_CTX *ctx)
{
    (void)ctx;
    return 1;
}

X509 *peer_path_next(const STACK_OF(X509) *path, const X509 *certificate)
{
    for (int i = 0; i + 1 < sk_X509_num(path); i++) {
        if (X509_cmp(sk_X509_value(path, i), certificate) == 0)
            return sk_X509_value(path, i + 1);
    }
    return NULL;
}

/* By its place on the path, and not by names: a CA that has changed its key goes by one name with
 * both, and OpenSSL would leave out what stands between. */
static int is_next(X509_STORE_CTX *ctx, X509 *certificate, X509 *issuer)
{
    const PeerCase *peer = X509_STORE_CTX_get_app_data(ctx);
    const X509 *next = peer_path_next(peer->given, certificate);

    return next && X509_cmp(next, issuer) == 0;
}

/* The path that is given, and no other; whoever found it has checked its signatures. */
static int given_walk(PeerCase *peer)
{
    _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    _cleanup_(stack_freep) STACK_OF(X509) *between = sk_X509_dup(peer->given);
    _cleanup_(stack_freep) STACK_OF(X509) *trusted = sk_X509_new_null();

    if (!store || !ctx || !between || !trusted || sk_X509_push(trusted, sk_X509_pop(between)) == 0)
        return -ENOMEM;
    X509_STORE_set_check_issued(store, is_next);
    if (X509_STORE_CTX_init(ctx, store, sk_X509_value(peer->given, 0), between) != 1)
        return -ENOMEM;
    X509_STORE_CTX_set_verify(ctx, signatures_are_known);
    return path_walk(peer, ctx, trusted);
}

int peer_check_chain(PeerCase *peer, PeerCheck *check)
{
    char issuer[SUBJECT_SIZE] = "";
    const int r = peer->given ? given_walk(peer) : sent_walk(peer);

    if (r < 0 || peer->chain)
        return r;
    /* What OpenSSL says, too, of policies that its limit on nodes cuts off. */
    if (peer->path[PATH_BUILDS].verdict == X509_V_ERR_OUT_OF_MEM) {
        peer_check_expect(check, "policies and mappings that can be worked through");
        return peer_check_fail(check, PEER_E_UNFIT, NULL, "certificatePolicies",
                               "more than can be worked through");
    }
    certificate_issuer(culprit_of(peer, PATH_BUILDS), issuer, sizeof(issuer));
    peer_check_expect(check, "a chain to one of %d anchors",
                      sk_X509_num(peer->policy->anchors->certificates));
    return peer_check_fail(check, PEER_E_NOT_TRUSTED, culprit_of(peer, PATH_BUILDS), "issuer",
                           "%s, and no chain leads on from there to an anchor (%s)", issuer,
                           X509_verify_cert_error_string(peer->path[PATH_BUILDS].verdict));
}

void peer_vouch(PeerCase *peer, const ASN1_TIME *date)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(date, &tm) == 1 && timegm(&tm) > peer->vouched)
        peer->vouched = timegm(&tm);
}

static int dates_check(PeerCase *peer, const X509 *certificate, PeerCheck *check)
{
    const time_t now = peer->evidence->now;
    char date[PEER_DATE_SIZE], now_text[PEER_DATE_SIZE];
    time_t expires;

    peer_time_print(now, now_text);
    if (!date_is_by(X509_get0_notBefore(certificate), now)) {
        peer_date_print(X509_get0_notBefore(certificate), date);
        peer_check_expect(check, "a time before now, %s", now_text);
        return peer_check_fail(check, PEER_E_NOT_YET_VALID, certificate, "notBefore", "%s", date);
    }
    if (!date_is_from(X509_get0_notAfter(certificate), now) ||
        !date_read(X509_get0_notAfter(certificate), &expires)) {
        peer_date_print(X509_get0_notAfter(certificate), date);
        peer_check_expect(check, "a time after now, %s", now_text);
        return peer_check_fail(check, PEER_E_EXPIRED, certificate, "notAfter", "%s (expired)",
                               date);
    }
    if (peer->expires == 0 || expires < peer->expires)
        peer->expires = expires;
    peer_vouch(peer, X509_get0_notBefore(certificate));
    return 0;
}

/* An anchor's dates count, too: the operator gave them. */
int peer_check_validity(PeerCase *peer, PeerCheck *check)
{
    for (int i = 0; i < sk_X509_num(peer->chain); i++) {
        const X509 *certificate = sk_X509_value(peer->chain, i);
        const int r = dates_check(peer, certificate, check);

        if (r == 0)
            continue;
        peer_check_blame(peer, check, certificate);
        if (i > 0 && i == peer_chain_below_anchor(peer)) {
            peer_check_remedy(check, "That is an anchor: install the operator's new root with "
                                     "'tre-provision install-anchors', or set this device's clock");
        }
        return r;
    }
    return 0;
}

/* OpenSSL tells of both with one verdict. */
static bool lacks_key_cert_sign(const X509 *certificate)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): OpenSSL's accessors take no const */
    X509 *ca = (X509 *)(uintptr_t)certificate;

    return X509_get_extension_flags(ca) & EXFLAG_CA && !(X509_get_key_usage(ca) & KU_KEY_CERT_SIGN);
}

int peer_check_issuers(PeerCase *peer, PeerCheck *check)
{
    const X509 *culprit = culprit_of(peer, PATH_ISSUERS_ARE_CAS);

    peer_check_expect(check, "cA TRUE, and keyCertSign in a keyUsage");
    if (peer->path[PATH_ISSUERS_ARE_CAS].verdict != X509_V_OK && lacks_key_cert_sign(culprit)) {
        peer_check_blame(peer, check, culprit);
        return peer_check_fail(check, PEER_E_UNFIT, culprit, "keyUsage", "without keyCertSign");
    }
    return path_fail(peer, PATH_ISSUERS_ARE_CAS, PEER_E_UNFIT, "basicConstraints", check);
}

int peer_check_path_length(PeerCase *peer, PeerCheck *check)
{
    const int intermediates = peer_chain_below_anchor(peer) - 1;
    const uint64_t maximum = peer->policy->profile->intermediates_max;

    peer_check_expect(check, "no more CAs below one than its pathLenConstraint allows");
    if (peer->path[PATH_LENGTH].verdict != X509_V_OK)
        return path_fail(peer, PATH_LENGTH, PEER_E_UNFIT, "pathLenConstraint", check);
    peer_check_expect(check, "at most %llu (intermediates-max)", (unsigned long long)maximum);
    if (intermediates > 0 && (uint64_t)intermediates > maximum) {
        return peer_check_fail(check, PEER_E_UNFIT, NULL, "number of intermediate CAs", "%d",
                               intermediates);
    }
    return 0;
}

/* The first critical extension that OpenSSL does not know; `ret` has OID_SIZE octets. */
static void critical_find(const X509 *certificate, char *ret)
{
    int at = -1;

    (void)snprintf(ret, OID_SIZE, "unknown");
    while ((at = X509_get_ext_by_critical(certificate, 1, at)) >= 0) {
        X509_EXTENSION *extension = X509_get_ext(certificate, at);

        if (X509_supported_extension(extension) == 0) {
            (void)OBJ_obj2txt(ret, OID_SIZE, X509_EXTENSION_get_object(extension), 1);
            return;
        }
    }
}

int peer_check_critical(PeerCase *peer, PeerCheck *check)
{
    const X509 *culprit = culprit_of(peer, PATH_CRITICAL_EXTENSIONS);
    char oid[OID_SIZE];

    peer_check_expect(check, "critical extensions that RFC 5280 defines");
    if (peer->path[PATH_CRITICAL_EXTENSIONS].verdict == X509_V_OK)
        return 0;
    peer_check_blame(peer, check, culprit);
    critical_find(culprit, oid);
    return peer_check_fail(check, PEER_E_UNFIT, culprit, "critical extension",
                           "unknown, with OID %s", oid);
}

int peer_check_name_constraints(PeerCase *peer, PeerCheck *check)
{
    peer_check_expect(check, "names within the nameConstraints of every CA above");
    return path_fail(peer, PATH_NAME_CONSTRAINTS, PEER_E_UNFIT, "name", check);
}

int peer_check_policies(PeerCase *peer, PeerCheck *check)
{
    peer_check_expect(check, "what the policyConstraints of the CAs above ask for");
    return path_fail(peer, PATH_POLICIES, PEER_E_UNFIT, "certificatePolicies", check);
}

int peer_path_conforming(PeerCase *peer, PeerCheck *check)
{
    peer_check_expect(check, "a certificate as RFC 5280 4 tells CAs to issue them");
    return path_fail(peer, PATH_CONFORMING, PEER_E_UNFIT, "form", check);
}

/* One CA (a name with its key) that two issuers vouch for: the other certificate is among those
 * sent or the anchors. */
static bool is_cross(X509 *certificate, const STACK_OF(X509) *others)
{
    for (int i = 0; i < sk_X509_num(others); i++) {
        X509 *other = sk_X509_value(others, i);

        if (X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_subject_name(other)) == 0 &&
            X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_issuer_name(other)) != 0 &&
            EVP_PKEY_eq(X509_get0_pubkey(certificate), X509_get0_pubkey(other)) == 1)
            return true;
    }
    return false;
}

int peer_check_cross(PeerCase *peer, PeerCheck *check)
{
    if (peer->policy->profile->cross_certificates)
        return PEER_SKIP;
    peer_check_expect(check, "one issuer for each CA: no cross-certificates");
    for (int i = 0; i < sk_X509_num(peer->sent); i++) {
        X509 *certificate = sk_X509_value(peer->sent, i);

        if (X509_check_ca(certificate) == 1 &&
            X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) !=
                0 &&
            (is_cross(certificate, peer->sent) ||
             is_cross(certificate, peer->policy->anchors->certificates))) {
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "issuer",
                                   "another than that of a certificate of the same CA and key");
        }
    }
    return 0;
}

/* The checks that a SeGW must pass, in their order, and what they come to. */
#include "verify/peer_internal.h"

#include "base/cleanup.h"
#include "crypto/memory.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEW_CERTIFICATE "Give the SeGW a new certificate"
#define NEW_ISSUER "Have the certificate issued anew by a CA that fits, or correct the profile"
#define SEND_LESS "Let the SeGW send its own chain alone"

typedef struct CheckDefinition {
    const char *name;
    const char *clause;
    const char *remedy;
    PeerCheckFunction run;
    bool decisive; /* where it fails, nothing is left to look at */
} CheckDefinition;

/* What costs little comes first and bounds what follows; nothing is believed of a certificate
 * before a path to an anchor is found. */
static const CheckDefinition definitions[] = {
    {"certificate-count", "RFC 7296 3.6", SEND_LESS, peer_check_count, true},
    {"certificate-size", "limits", SEND_LESS, peer_check_size, true},
    {"certificate-encoding", "RFC 5280 4.1", NEW_CERTIFICATE, peer_check_encoding, true},
    {"extensions", "RFC 5280 4.2", NEW_CERTIFICATE, peer_check_extensions, true},
    {"key-cost", "FIPS 186-5 A.1.1", NEW_CERTIFICATE, peer_check_key_cost, true},
    {"name-cost", "limits", NEW_CERTIFICATE, peer_check_name_cost, true},
    {"chain", "RFC 5280 6.1",
     "Install the operator's root with 'tre-provision install-anchors', or let the SeGW send its "
     "intermediate certificates",
     peer_check_chain, true},
    {"validity", "RFC 5280 4.1.2.5",
     "Give the SeGW a certificate for this time, or set this device's clock", peer_check_validity,
     false},
    {"issuers", "RFC 5280 4.2.1.9", NEW_ISSUER, peer_check_issuers, false},
    {"path-length", "RFC 5280 4.2.1.9", NEW_ISSUER, peer_check_path_length, false},
    {"critical-extensions", "RFC 5280 4.2", NEW_CERTIFICATE, peer_check_critical, false},
    {"name-constraints", "RFC 5280 4.2.1.10", NEW_ISSUER, peer_check_name_constraints, false},
    {"policies", "RFC 5280 6.1.5", NEW_ISSUER, peer_check_policies, false},
    {"conforming", "RFC 5280 4.2", NEW_ISSUER, peer_check_conforming, false},
    {"cross-certificates", "TS 33.310 6.2.1", "Let the SeGW leave the cross-certificate out",
     peer_check_cross, false},
    {"signature-hash", "TS 33.310 6.1.1", NEW_CERTIFICATE, peer_check_signature_hash, false},
    {"key", "TS 33.310 6.1.1", NEW_CERTIFICATE, peer_check_key, false},
    {"serial", "RFC 5280 4.1.2.2", NEW_CERTIFICATE, peer_check_serial, false},
    {"end-entity", "TS 33.310 6.1.3", NEW_CERTIFICATE, peer_check_end_entity, false},
    {"key-usage", "TS 33.310 6.1.3", NEW_CERTIFICATE, peer_check_key_usage, false},
    {"extended-key-usage", "RFC 4945 5.1.3.12", NEW_CERTIFICATE, peer_check_extended_usage, false},
    {"crl-distribution-point", "TS 33.310 6.1.3", NEW_CERTIFICATE, peer_check_distribution_point,
     false},
    {"subject-alt-name", "TS 33.310 6.1.3", NEW_CERTIFICATE, peer_check_subject_alt_name, false},
    {"idr", "TS 33.310 6.2.1", "Correct the SeGW's identity, or [segw] name", peer_check_idr,
     false},
    {"name", "TS 33.310 6.2.1",
     "Give the SeGW a certificate with that dNSName, or correct [segw] name", peer_check_name,
     false},
    {"revocation", "RFC 5280 6.3",
     "If it is revoked, give the SeGW a new certificate; else lay the CA's CRL into crl-directory, "
     "or let the SeGW send an OCSP response",
     peer_check_revocation, false},
};
_Static_assert(ELEMENTS(definitions) <= PEER_CHECKS_MAX, "a report has room for every check");

int peer_check_fail(PeerCheck *check, int error, const X509 *certificate, const char *field,
                    const char *format, ...)
{
    va_list arguments;

    if (certificate)
        certificate_subject(certificate, check->subject, sizeof(check->subject));
    (void)snprintf(check->field, sizeof(check->field), "%s", field);
    va_start(arguments, format);
    (void)vsnprintf(check->found, sizeof(check->found), format, arguments);
    va_end(arguments);
    return error;
}

void peer_check_note(PeerCheck *check, const char *format, ...)
{
    const size_t length = strlen(check->note);
    va_list arguments;

    if (length > 0)
        (void)snprintf(check->note + length, sizeof(check->note) - length, "; ");
    const size_t begin = strlen(check->note);
    va_start(arguments, format);
    (void)vsnprintf(check->note + begin, sizeof(check->note) - begin, format, arguments);
    va_end(arguments);
}

void peer_check_expect(PeerCheck *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(check->expected, sizeof(check->expected), format, arguments);
    va_end(arguments);
}

void peer_check_remedy(PeerCheck *check, const char *remedy)
{
    (void)snprintf(check->remedy, sizeof(check->remedy), "%s", remedy);
}

static bool is_anchor(const PeerCase *peer, const X509 *certificate)
{
    const STACK_OF(X509) *anchors = peer->policy->anchors->certificates;

    for (int i = 0; i < sk_X509_num(anchors); i++) {
        if (X509_cmp(sk_X509_value(anchors, i), certificate) == 0)
            return true;
    }
    return false;
}

void peer_check_blame(const PeerCase *peer, PeerCheck *check, const X509 *culprit)
{
    const X509 *own = sk_X509_value(peer->sent, 0);

    if (!culprit || (own && X509_cmp(culprit, own) == 0))
        return;
    if (is_anchor(peer, culprit)) {
        peer_check_remedy(check, "That is an anchor: install the operator's new root with "
                                 "'tre-provision install-anchors'");
    } else {
        peer_check_remedy(check, "That is a CA's, not the SeGW's own: have the CA's certificate "
                                 "issued anew, and let the SeGW send that");
    }
}

void peer_time_print(time_t time, char *ret)
{
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(ret, PEER_DATE_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(ret, PEER_DATE_SIZE, "unknown");
}

void peer_date_print(const ASN1_TIME *date, char *ret)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(date, &tm) != 1 ||
        strftime(ret, PEER_DATE_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(ret, PEER_DATE_SIZE, "a date that does not parse");
}

/* The tables' texts are shorter than their places. */
static void check_name(const CheckDefinition *definition, PeerCheck *ret)
{
    (void)snprintf(ret->name, sizeof(ret->name), "%s", definition->name);
    (void)snprintf(ret->clause, sizeof(ret->clause), "%s", definition->clause);
    (void)snprintf(ret->remedy, sizeof(ret->remedy), "%s", definition->remedy);
}

/* Returns 0, whatever the check finds, or -errno. */
static int check_run(const CheckDefinition *definition, PeerCase *peer, PeerCheck *check)
{
    const int r = definition->run(peer, check);

    if (r < 0)
        return r;
    switch (r) {
    case 0:
        check->state = PEER_CHECK_PASSED;
        break;
    case PEER_SKIP:
        check->state = PEER_CHECK_SKIPPED;
        break;
    default:
        check->state = PEER_CHECK_FAILED;
        check->error = r;
    }
    return 0;
}

/* From the check number `first` on; those before are as the report has them. */
static int checks_run(PeerCase *peer, size_t first, PeerReport *report)
{
    bool decided = false;

    report->refusal = NULL;
    for (size_t i = first; i < ELEMENTS(definitions); i++) {
        PeerCheck *check = &report->checks[i];
        int r;

        *check = (PeerCheck){0};
        check_name(&definitions[i], check);
        report->n_checks = i + 1;
        if (decided)
            continue;
        r = check_run(&definitions[i], peer, check);
        if (r < 0)
            return r;
        if (check->state == PEER_CHECK_FAILED) {
            decided = definitions[i].decisive;
            if (!report->refusal)
                report->refusal = check;
        }
    }
    return peer_path_name(peer->chain, &report->path);
}

/* The first check that depends on which path is followed. */
static size_t path_begin(void)
{
    size_t i = 0;

    while (definitions[i].run != peer_check_chain)
        i++;
    return i;
}

static bool is_same_path(const STACK_OF(X509) *a, const STACK_OF(X509) *b)
{
    bool same = a && sk_X509_num(a) == sk_X509_num(b);

    for (int i = 0; same && i < sk_X509_num(a); i++)
        same = X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) == 0;
    return same;
}

static int path_judge(PeerCase *peer, const STACK_OF(X509) *path, PeerReport *report)
{
    sk_X509_pop_free(peer->chain, X509_free);
    peer->chain = NULL;
    peer->expires = peer->vouched = 0;
    peer->given = path;
    for (size_t i = 0; i < PATH_RULES; i++)
        peer->path[i] = (PathFinding){0};
    return checks_run(peer, path_begin(), report);
}

static void report_replace(PeerReport *report, const PeerReport *other)
{
    *report = *other;
    if (other->refusal)
        report->refusal = &report->checks[other->refusal - other->checks];
}

/* The path lacks somebody's word, and no more. */
static bool lacks_a_word(const PeerCheck *refusal)
{
    return refusal->error == PEER_E_REVOCATION_UNKNOWN;
}

/* What is said of a peer that is refused on every path is said of the one that it was taken by
 * before: whether it stays depends on that alone (exchange_verdict_ends()). Else of the first that
 * lacks no more than somebody's word, or of the first that leads to an anchor. */
static bool is_to_be_told(const PeerCase *peer, const PeerReport *other, const PeerReport *report)
{
    if (!other->refusal || verify_path_equal(&peer->evidence->path, &other->path))
        return true;
    if (verify_path_equal(&peer->evidence->path, &report->path))
        return false;
    return report->refusal == &report->checks[path_begin()] ||
           (lacks_a_word(other->refusal) && !lacks_a_word(report->refusal));
}

/* That the peer was revoked on another path is said all the same. */
static void revoked_add(PeerReport *report, const PeerCheck *revoked)
{
    PeerCheck *check = &report->checks[report->refusal - report->checks];
    const size_t length = strlen(check->found);

    (void)snprintf(check->found + length, sizeof(check->found) - length,
                   "; and on another path %s is %s", revoked->subject, revoked->found);
}

/* The path that was followed first is not fit: another may be. */
static int others_judge(PeerCase *peer, PeerReport *report)
{
    const size_t refusal = (size_t)(report->refusal - report->checks);
    PeerCheck revoked = {0};
    PeerReport other = *report;
    PeerPaths paths;
    int r;

    if (refusal < path_begin())
        return 0;
    r = peer_paths_find(peer, &paths);
    for (size_t i = 0; r == 0 && i < paths.count; i++) {
        if (i == 0 && paths.count == 1 && is_same_path(peer->chain, paths.paths[0]))
            break;
        r = path_judge(peer, paths.paths[i], &other);
        if (r < 0)
            break;
        if (other.refusal && other.refusal->error == PEER_E_REVOKED)
            revoked = *other.refusal;
        if (is_to_be_told(peer, &other, report))
            report_replace(report, &other);
        if (!report->refusal)
            break;
    }
    if (r == 0 && report->refusal && lacks_a_word(report->refusal) && revoked.error != 0)
        revoked_add(report, &revoked);
    peer->given = NULL;
    peer_paths_deinit(&paths);
    return r;
}

/* The peer is taken. */
static int report_complete(const PeerCase *peer, PeerReport *report)
{
    X509 *own = sk_X509_value(peer->sent, 0);

    report->key = X509_get_pubkey(own);
    report->expires = peer->expires;
    report->vouched = peer->vouched;
    if (!report->key || X509_up_ref(own) != 1)
        return -EIO;
    report->certificate = own;
    for (int i = 0; peer->policy->seen && i < sk_X509_num(peer->sent); i++) {
        peer_seen_keep(peer->policy->seen, peer->evidence->certificates[i],
                       sk_X509_value(peer->sent, i));
    }
    return 0;
}

void peer_report_deinit(PeerReport *report)
{
    EVP_PKEY_free(report->key);
    X509_free(report->certificate);
    *report = (PeerReport){0};
}

int peer_judge(const PeerPolicy *policy, const PeerEvidence *evidence, PeerReport *ret)
{
    PeerCase peer = {.policy = policy, .evidence = evidence, .sent = sk_X509_new_null()};
    int r = peer.sent ? 0 : -ENOMEM;

    *ret = (PeerReport){0};
    if (!memory_is_watched())
        r = -EPROTO;
    memory_watch_begin();
    if (r == 0)
        r = checks_run(&peer, 0, ret);
    if (r == 0 && ret->refusal)
        r = others_judge(&peer, ret);
    if (r == 0 && !ret->refusal)
        r = report_complete(&peer, ret);
    /* Whatever was found then, it may have been found for want of memory. */
    if (memory_ran_out())
        r = -ENOMEM;
    if (r < 0)
        peer_report_deinit(ret);
    sk_X509_pop_free(peer.sent, X509_free);
    sk_X509_pop_free(peer.chain, X509_free);
    ERR_clear_error();
    return r;
}

int peer_verdict(const PeerReport *report, const PeerPolicy *policy, Verdict *ret)
{
    unsigned char *end = ret->public_key;

    *ret = (Verdict){.taken = !report->refusal, .path = report->path};
    if (report->refusal) {
        ret->refusal = *report->refusal;
        return 0;
    }
    /* As it stands in the certificate: OpenSSL's encoder would only come to the same, slowly. */
    const X509_PUBKEY *public_key = X509_get_X509_PUBKEY(report->certificate);
    const int size = i2d_X509_PUBKEY(public_key, NULL);
    if (size <= 0 || size > PEER_KEY_SIZE_MAX)
        return -EIO;
    ret->public_key_size = (size_t)i2d_X509_PUBKEY(public_key, &end);
    if (policy->segw_name)
        (void)snprintf(ret->identity, sizeof(ret->identity), "%s", policy->segw_name);
    for (size_t i = 0; i < report->n_checks && ret->note[0] == '\0'; i++)
        memcpy(ret->note, report->checks[i].note, sizeof(ret->note)); /* one check has one */
    ret->expires = report->expires;
    ret->vouched = report->vouched;
    ret->rsa_pkcs1 = policy->profile->rsa_pkcs1;
    return 0;
}

/* Looks a certificate up in every list that its issuer has ever signed and that is there, whatever
 * their dates: a revocation that was validly stated counts until a later list takes it back. What
 * RFC 5280 6.3.3 leaves out, a list ahead of this device's clock, one out of date, a delta that no
 * freshestCRL announces, may not call a certificate good, but it may call it revoked. The lists of
 * another whom the CA has named (cRLIssuer) count likewise where they are of the scope of a
 * complete list of its that peer_crls.c has found to be about the certificate, and signed with the
 * same key (5.2.4); one without such a list is passed over, as nobody has looked at who signed it.
 */
#include "verify/peer_revocation.h"
#include "verify/profile.h"

#include "crypto/openssl.h"
#include "verify/certificates.h"
#include "verify/crls.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { NAME_SHOWN = 64 };

/* Of X509_CRL_get0_by_cert(): what a list says of a certificate. */
enum { ENTRY_NONE, ENTRY_REVOKED, ENTRY_REMOVED };

/* One certificate's way through the lists. */
typedef struct Lookup {
    const PeerCase *peer;
    X509 *certificate;
    X509 *issuer;          /* of the lists; trusted: on the way to an anchor */
    const X509_CRL *scope; /* a list of the only scope that counts; NULL: each does */
} Lookup;

static bool is_wanted(const Lookup *lookup, const X509_CRL *crl)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(lookup->issuer)) == 0 &&
           (!lookup->scope || crl_has_scope_of(crl, lookup->scope));
}

static bool is_signed_by(X509_CRL *crl, X509 *signer)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(signer)) == 0 &&
           crl_is_signed_by(crl, signer);
}

/* By the lists' issuer, or by an anchor of the same name: the CA's key before or after. */
static bool is_authentic(const Lookup *lookup, X509_CRL *crl)
{
    const STACK_OF(X509) *anchors = lookup->peer->policy->anchors->certificates;
    if (!crl_algorithm_is_fit(crl))
        return false;
    if (is_signed_by(crl, lookup->issuer))
        return true;
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        if (is_signed_by(crl, sk_X509_value(anchors, i)))
            return true;
    }
    return false;
}

/* ENTRY_…, of a list that carries the issuer's name. */
static int entry_find(const Lookup *lookup, X509_CRL *crl, X509_REVOKED **ret)
{
    *ret = NULL;
    return X509_CRL_get0_by_cert(crl, ret, lookup->certificate);
}

/* A list whose date does not parse is later than any: what it revokes is not taken back. */
static bool is_later(const X509_CRL *a, const X509_CRL *b)
{
    time_t date_a, date_b;

    if (!date_read(X509_CRL_get0_lastUpdate(b), &date_b))
        return false;
    return !date_read(X509_CRL_get0_lastUpdate(a), &date_a) || date_a > date_b;
}

/* True if `crl` takes back what `revoking` says: later, of the same scope, no more of the future
 * than a clock may be off, and either without the certificate or with removeFromCRL for it. */
static bool takes_back(const Lookup *lookup, X509_CRL *crl, const X509_CRL *revoking)
{
    const PeerCase *peer = lookup->peer;
    const time_t latest = peer->evidence->now + (time_t)peer->policy->profile->skew_seconds;
    X509_REVOKED *entry;

    if (!is_later(crl, revoking) || !date_is_by(X509_CRL_get0_lastUpdate(crl), latest) ||
        !crl_has_scope_of(crl, revoking))
        return false;
    const int says = entry_find(lookup, crl, &entry);
    return (says == ENTRY_REMOVED || (says == ENTRY_NONE && !crl_is_delta(crl))) &&
           crl_is_understood(crl) && is_authentic(lookup, crl);
}

static bool is_taken_back(const Lookup *lookup, const X509_CRL *revoking)
{
    const STACK_OF(X509_CRL) *all = lookup->peer->policy->crls->crls;

    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);

        if (is_wanted(lookup, crl) && takes_back(lookup, crl, revoking))
            return true;
    }
    return false;
}

/* The latest list that revokes the certificate, and whose word none has taken back; NULL: there is
 * none. Each is asked about by itself: a later one of another scope may be taken back alone. */
static X509_CRL *revoking_find(const Lookup *lookup, X509_REVOKED **ret)
{
    const STACK_OF(X509_CRL) *all = lookup->peer->policy->crls->crls;
    X509_CRL *found = NULL;

    for (int i = 0; i < sk_X509_CRL_num(all); i++) {
        X509_CRL *crl = sk_X509_CRL_value(all, i);
        X509_REVOKED *entry;

        if (is_wanted(lookup, crl) && entry_find(lookup, crl, &entry) == ENTRY_REVOKED &&
            (!found || is_later(crl, found)) && crl_criticals_are_known(crl, entry) &&
            is_authentic(lookup, crl) && !is_taken_back(lookup, crl)) {
            found = crl;
            *ret = entry;
        }
    }
    return found;
}

void peer_crl_print(const X509_CRL *crl, char *ret)
{
    char name[NAME_SHOWN], date[PEER_DATE_SIZE];

    certificate_name_print(X509_CRL_get_issuer(crl), name, sizeof(name));
    peer_date_print(X509_CRL_get0_lastUpdate(crl), date);
    (void)snprintf(ret, PEER_CRL_SIZE, "the %sCRL of %s, %s", crl_is_delta(crl) ? "delta " : "",
                   name, date);
}

void peer_crl_revoked(DepthStatus *depth, const X509_CRL *crl, const X509_REVOKED *entry)
{
    char list[PEER_CRL_SIZE] = "a CRL", date[PEER_DATE_SIZE] = "an unknown date";
    const char *reason_text = "not given";
    ASN1_ENUMERATED *reason =
        entry ? X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL) : NULL;

    if (crl)
        peer_crl_print(crl, list);
    if (entry)
        peer_date_print(X509_REVOKED_get0_revocationDate(entry), date);
    if (reason)
        reason_text = OCSP_crl_reason_str(ASN1_ENUMERATED_get(reason));
    ASN1_ENUMERATED_free(reason);
    depth->word = WORD_REVOKED;
    reason_set(&depth->detail, 0, "revoked on %s, reason %s, says %s", date, reason_text, list);
}

/* The nth of those that OpenSSL looks for issuers among; NULL: there are no more. */
static X509 *candidate(const PeerCase *peer, int n)
{
    const STACK_OF(X509) *const places[] = {peer->chain, peer->sent, peer->policy->crls->issuers};

    for (size_t i = 0; i < ELEMENTS(places); i++) {
        if (n < sk_X509_num(places[i]))
            return sk_X509_value(places[i], n);
        n -= sk_X509_num(places[i]);
    }
    return NULL;
}

/* Whose key signed a list that OpenSSL has found to be authentic. There may be several certificates
 * of that name and key; in the lists' eyes they are the same. */
static X509 *signer_find(const PeerCase *peer, X509_CRL *crl)
{
    X509 *signer;

    for (int i = 0; (signer = candidate(peer, i)); i++) {
        if (is_signed_by(crl, signer))
            return signer;
    }
    return NULL;
}

/* True if the certificate is revoked; a place that says nothing yet is told by which list. */
static bool lists_ask(const Lookup *lookup, DepthStatus *status)
{
    X509_REVOKED *entry = NULL;
    const X509_CRL *crl = revoking_find(lookup, &entry);

    if (!crl)
        return false;
    peer_crl_revoked(status, crl, entry);
    return true;
}

/* ---- whoever issued a list that calls a certificate good ---- */

static bool has_issued(X509 *issuer, X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);

    return key && X509_check_issued(issuer, certificate) == X509_V_OK &&
           X509_verify(certificate, key) == 1;
}

static bool is_of_path(const PeerCase *peer, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(peer->chain); i++) {
        if (X509_cmp(sk_X509_value(peer->chain, i), certificate) == 0)
            return true;
    }
    return false;
}

/* True if it is revoked by its CA, or, as the CA may have it say so, by itself. */
static bool signer_is_revoked(const PeerCase *peer, X509 *signer, X509 *issuer, DepthStatus *ret)
{
    const Lookup by_issuer = {.peer = peer, .certificate = signer, .issuer = issuer};
    const Lookup by_itself = {.peer = peer, .certificate = signer, .issuer = signer};

    return lists_ask(&by_issuer, ret) || lists_ask(&by_itself, ret);
}

/* The certificates that a list may hang on: whoever signed it, whoever issued theirs, and so on. */
typedef struct Witnesses {
    const PeerCase *peer;
    STACK_OF(X509) *found; /* borrowed, each once */
    bool is_failed;        /* memory ran out */
} Witnesses;

static void witnesses_deinit(Witnesses *witnesses)
{
    sk_X509_free(witnesses->found);
}

static void witness_add(Witnesses *witnesses, X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(witnesses->found); i++) {
        if (X509_cmp(sk_X509_value(witnesses->found, i), certificate) == 0)
            return;
    }
    if (sk_X509_push(witnesses->found, certificate) == 0)
        witnesses->is_failed = true;
}

/* Where one of the path fits, OpenSSL takes that, and looks at no other. */
static void signers_add(Witnesses *witnesses, X509_CRL *crl)
{
    AUTHORITY_KEYID *akid = X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);
    bool is_settled = false;
    X509 *signer;

    for (int i = 0; !is_settled && (signer = candidate(witnesses->peer, i)); i++) {
        if (is_signed_by(crl, signer)) {
            witness_add(witnesses, signer);
            is_settled =
                is_of_path(witnesses->peer, signer) && X509_check_akid(signer, akid) == X509_V_OK;
        }
    }
    AUTHORITY_KEYID_free(akid);
}

/* Adds whoever issued a certificate. True if one of them revokes it. */
static bool issuers_add(Witnesses *witnesses, X509 *certificate, DepthStatus *ret)
{
    X509 *issuer;

    for (int i = 0; (issuer = candidate(witnesses->peer, i)); i++) {
        if (!has_issued(issuer, certificate))
            continue;
        if (signer_is_revoked(witnesses->peer, certificate, issuer, ret))
            return true;
        witness_add(witnesses, issuer);
    }
    return false;
}

/* OpenSSL has held the way from the list's issuer to the anchor against lists in force alone. The
 * certificates of the path have words of their own. Which way that was it does not tell, and a peer
 * can send made-up certificates that look like a part of it: so whatever fits is looked at, none
 * may be revoked, and one way must lead to the path. */
static void good_doubt(const PeerCase *peer, DepthStatus *depth)
{
    _cleanup_(witnesses_deinit) Witnesses witnesses = {.peer = peer, .found = sk_X509_new_null()};
    bool is_led = false;

    if (witnesses.found)
        signers_add(&witnesses, depth->good_by);
    for (int i = 0; i < sk_X509_num(witnesses.found); i++) {
        X509 *witness = sk_X509_value(witnesses.found, i);
        DepthStatus found = {0};

        if (is_of_path(peer, witness)) {
            is_led = true;
        } else if (issuers_add(&witnesses, witness, &found)) {
            depth->word = WORD_NONE;
            reason_set(&depth->detail, 0, "whoever issued its CRL is %s", found.detail.text);
            return;
        }
    }
    if (!is_led || witnesses.is_failed) {
        depth->word = WORD_NONE;
        reason_set(&depth->detail, 0, "it is not clear who issued its CRL");
    }
}

void peer_crl_entries_ask(const PeerCase *peer, PathStatus *status)
{
    if (!peer->policy->crls)
        return;
    for (int i = 0; i < status->n_depths; i++) {
        DepthStatus *depth = &status->depths[i];
        Lookup lookup = {
            .peer = peer,
            .certificate = sk_X509_value(peer->chain, i),
            .issuer = sk_X509_value(peer->chain, i + 1),
            .scope = NULL,
        };

        (void)lists_ask(&lookup, depth);
        lookup.scope = depth->indirect;
        lookup.issuer = depth->indirect ? signer_find(peer, depth->indirect) : NULL;
        if (lookup.issuer && depth->word != WORD_REVOKED)
            (void)lists_ask(&lookup, depth);
        if (depth->word == WORD_GOOD)
            good_doubt(peer, depth);
    }
}

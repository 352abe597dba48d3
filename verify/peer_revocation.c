/* Checks that no issuer has taken back its word for a certificate of the path: what CRLs
 * (peer_crls.c) and OCSP responses (ocsp.c) say of it is weighed against the mode. */
#include "verify/peer_revocation.h"

#include "verify/certificates.h"

#include <errno.h>

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

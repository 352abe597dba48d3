/* The judgement of a SeGW: its chain to the anchors, its certificate, its name, and whether it was
 * revoked (RFC 5280 6, TS 33.310 6.1). One list of checks, whose results VerifyPeer and trectl
 * check-peer share. */
#pragma once

#include "verify/anchors.h"
#include "verify/certificates.h"
#include "verify/crls.h"
#include "verify/frames.h"
#include "verify/profile.h"

#include <openssl/x509.h>
#include <time.h>

enum { PEER_CHECKS_MAX = 32 };

/* What we ask; all borrowed. */
typedef struct PeerPolicy {
    const AnchorStore *anchors;
    const PeerProfile *profile;
    const CrlStore *crls; /* may be NULL */
    RevocationMode revocation;
    PeerSeen *seen;        /* certificates that need not be read again; may be NULL */
    const char *segw_name; /* NULL: names are not compared (trectl check-peer without --name) */
} PeerPolicy;

/* What the peer shows, and when; all borrowed. */
typedef struct PeerEvidence {
    const Bytes *certificates; /* DER; the first is the end entity's (RFC 7296 3.6) */
    size_t n_certificates;
    const Bytes *ocsp; /* DER OCSPResponses (RFC 4806) */
    size_t n_ocsp;
    bool has_idr; /* false: there was no handshake */
    uint8_t idr_type;
    Bytes idr;
    time_t now;
    VerifyPath path; /* that it was taken by before, or none */
} PeerEvidence;

/* The whole judgement. */
typedef struct PeerReport {
    size_t n_checks;
    PeerCheck checks[PEER_CHECKS_MAX]; /* in the order in which they were made */
    const PeerCheck *refusal;          /* the first that failed; NULL: the peer is taken */
    VerifyPath path;                   /* that it is about; none where none leads to an anchor */
    EVP_PKEY *key;                     /* of a peer that is taken, and its certificate: */
    X509 *certificate;                 /* the report's */
    time_t expires;                    /* when the first certificate of its chain does */
    time_t vouched;                    /* Verdict's */
} PeerReport;

/* Makes every check on the evidence. Returns 0 with *ret filled, to peer_report_deinit(), whether
 * the peer is taken or not. Where it could not be judged, *ret is empty: -ENOMEM, -EIO, or -EPROTO
 * where OpenSSL does not allocate under memory_watch(). */
int peer_judge(const PeerPolicy *policy, const PeerEvidence *evidence, PeerReport *ret);
void peer_report_deinit(PeerReport *report);

/* The verdict that a report comes to, on a peer that calls itself policy->segw_name. 0 or -EIO. */
int peer_verdict(const PeerReport *report, const PeerPolicy *policy, Verdict *ret);

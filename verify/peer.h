/* Who is the SeGW? Its chain to the anchors, its certificate, its name, and whether it was revoked
 * (RFC 5280 6, TS 33.310 6.1). One list of checks, whose results VerifyPeer and trectl check-peer
 * share. */
#pragma once

#include "base/bytes.h"
#include "verify/anchors.h"
#include "verify/crls.h"
#include "verify/peer_profile.h"

#include <openssl/x509.h>
#include <time.h>

enum {
    PEER_CERTIFICATES_MAX = 8,
    PEER_OCSP_MAX = 8,
    PEER_CERTIFICATE_SIZE_MAX = 16 * 1024,
    PEER_EVIDENCE_SIZE_MAX = 64 * 1024, /* of all certificates and OCSP responses together */
    PEER_CHECKS_MAX = 32,
    PEER_REASON_SIZE = 1024,
};

enum {                         /* why a peer is refused; each is a bus error of the same name */
       PEER_E_NOT_TRUSTED = 1, /* no chain to an anchor */
       PEER_E_MALFORMED,       /* a certificate does not parse, or is beyond the limits */
       PEER_E_EXPIRED,
       PEER_E_NOT_YET_VALID,
       PEER_E_UNFIT,              /* the profile, or RFC 5280, does not have it in this place */
       PEER_E_IDENTITY,           /* IDr, subjectAltName and the configured name are not one */
       PEER_E_REVOKED,            /* a CRL or an OCSP response says so */
       PEER_E_REVOCATION_UNKNOWN, /* nothing says whether it is, and we were told to require that */
};

typedef enum RevocationMode {
    REVOCATION_OFF,
    REVOCATION_IF_AVAILABLE, /* what is known counts; what is not known is let pass */
    REVOCATION_REQUIRE,      /* each certificate below the anchor needs a word that it is good */
} RevocationMode;

/* What we ask; all borrowed. */
typedef struct PeerPolicy {
    const AnchorStore *anchors;
    const PeerProfile *profile;
    const CrlStore *crls; /* may be NULL */
    RevocationMode revocation;
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
} PeerEvidence;

typedef enum PeerCheckState {
    PEER_CHECK_NOT_REACHED, /* an earlier one left nothing to look at */
    PEER_CHECK_PASSED,
    PEER_CHECK_FAILED,
    PEER_CHECK_SKIPPED, /* not asked for */
} PeerCheckState;

/* What one check found. */
typedef struct PeerCheck {
    const char *name;   /* "key-usage"; static */
    const char *clause; /* "TS 33.310 6.1.3"; static */
    const char *remedy; /* what to do; static */
    PeerCheckState state;
    int error;         /* PEER_E_… where it failed */
    char subject[128]; /* of the certificate it failed for; may be empty */
    char field[48];
    char found[256];
    char expected[192];
} PeerCheck;

/* The whole judgement. */
typedef struct PeerReport {
    size_t n_checks;
    PeerCheck checks[PEER_CHECKS_MAX]; /* in the order in which they were made */
    const PeerCheck *refusal;          /* the first that failed; NULL: the peer is taken */
    EVP_PKEY *key;                     /* of a peer that is taken; the report's */
    time_t expires;                    /* when the first certificate of its chain does */
} PeerReport;

/* Makes every check on the evidence. Returns 0 with *ret filled, to peer_report_deinit(), whether
 * the peer is taken or not; -ENOMEM or -EIO if it could not be judged. */
int peer_judge(const PeerPolicy *policy, const PeerEvidence *evidence, PeerReport *ret);
void peer_report_deinit(PeerReport *report);

/* A failed check as one sentence: whose certificate, which field, what was found, what was expected
 * by which clause, and what to do. `ret` has PEER_REASON_SIZE octets. */
void peer_check_sentence(const PeerCheck *check, char *ret);

/* The names "off", "if-available", "require", in the order of RevocationMode; NULL-terminated. */
extern const char *const revocation_modes[];

/* What is asked of a SeGW, what one check of it found, and the verdict as a whole. tred knows
 * these, and not how they come about. */
#pragma once

#include "base/bytes.h"
#include "base/fqdn.h"
#include "base/reason.h"

#include <stdbool.h>
#include <time.h>

enum {
    PEER_CERTIFICATES_MAX = 8,
    PEER_OCSP_MAX = 8,
    PEER_CERTIFICATE_SIZE_MAX = 16 * 1024,
    PEER_EVIDENCE_SIZE_MAX = 64 * 1024, /* of all certificates and OCSP responses together */
    VERDICT_NOTE_SIZE = 512,
    PEER_KEY_SIZE_MAX = 2048, /* SubjectPublicKeyInfo; RSA of 8192 bits takes 1,056 octets */
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
       PEER_ERRORS
};

typedef enum RevocationMode {
    REVOCATION_OFF,
    REVOCATION_IF_AVAILABLE, /* what is known counts; what is not known is let pass */
    REVOCATION_REQUIRE,      /* each certificate below the anchor needs a word that it is good */
    REVOCATION_MODES
} RevocationMode;

/* The names "off", "if-available", "require", in the order of RevocationMode; NULL-terminated. */
extern const char *const revocation_modes[];

typedef enum PeerCheckState {
    PEER_CHECK_NOT_REACHED, /* an earlier one left nothing to look at */
    PEER_CHECK_PASSED,
    PEER_CHECK_FAILED,
    PEER_CHECK_SKIPPED, /* not asked for */
} PeerCheckState;

/* What one check found. */
typedef struct PeerCheck {
    char name[32];    /* "key-usage" */
    char clause[32];  /* "TS 33.310 6.1.3" */
    char remedy[192]; /* what to do */
    PeerCheckState state;
    int error;         /* PEER_E_… where it failed */
    char subject[128]; /* of the certificate it failed for; may be empty */
    char field[48];
    char found[256];
    char expected[192];
    char note[VERDICT_NOTE_SIZE]; /* what it rests on where it passed; may be empty */
} PeerCheck;

/* A failed check as one sentence: whose certificate, which field, what was found, what was expected
 * by which clause, and what to do. */
void peer_check_sentence(const PeerCheck *check, Reason *ret);

/* Yes or no, and what tred needs of the peer. */
typedef struct Verdict {
    bool taken;
    PeerCheck refusal; /* the first check that failed, unless the peer is taken */

    /* Of a peer that is taken. */
    uint8_t public_key[PEER_KEY_SIZE_MAX]; /* SubjectPublicKeyInfo, DER */
    size_t public_key_size;
    char identity[FQDN_SIZE_MAX];
    time_t expires; /* when the first certificate of its chain does */
    /* The latest moment that a signature of the chain's or of an OCSP response's tells of as past
     * (notBefore, producedAt): it was reached for certain, whatever this machine's clock says. Not
     * of a CRL, as OpenSSL does not tell which list it has believed. */
    time_t vouched;
    char note[VERDICT_NOTE_SIZE]; /* what it rests on beside: the word of CRLs and OCSP responses */
    bool rsa_pkcs1;               /* the profile lets its AUTH be RSA with PKCS#1 v1.5 padding */
} Verdict;

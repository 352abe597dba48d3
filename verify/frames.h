/* What tred and tred-verify say to each other over their socket pair: each request is answered by
 * one frame, in order, one at a time.
 *
 * First tred hands over what peers are judged by, each with a descriptor: the profile, the anchors,
 * the CRLs one by one; FRAME_COMPLETE says that this was all. Then it asks about peers. A file of
 * the device's own certificates is read for tred at any time (FRAME_CHAIN).
 *
 * On the wire: u8 type, then the type's fields in the order of the structs below; integers in
 * network order; octets and texts after their size (u32), numbers of them as u8. A text is of
 * printable octets. A frame that has more or less than that is refused whole.
 *
 * What is asked of a SeGW, what one check of it found, and the verdict as a whole come first: tred
 * knows these, and not how they come about. */
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

enum { VERIFY_PATH_SIZE = 32 };

/* A path, the SeGW's certificate to an anchor, by SHA-256 over its certificates' fingerprints; all
 * zero: none. */
typedef struct VerifyPath {
    uint8_t digest[VERIFY_PATH_SIZE];
} VerifyPath;

/* Whether both name one path; none is the same as no other. */
bool verify_path_equal(const VerifyPath *a, const VerifyPath *b);

/* Yes or no, and what tred needs of the peer. */
typedef struct Verdict {
    bool taken;
    VerifyPath path;   /* that it is about; none where none leads to an anchor */
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

enum {
    FRAME_SIZE_MAX = PEER_EVIDENCE_SIZE_MAX + 8 * 1024,
    FRAME_NAME_SIZE = 512,
    FRAME_ISSUER_SIZE = 128,
    FRAME_HASHES_MAX = 64,
    FRAME_HASH_SIZE = 20,         /* SHA-1, RFC 7296 3.7 */
    FRAME_CHAIN_MAX = 16,         /* certificates of the device's chain */
    FRAME_EVIDENCE_MAX = 16,      /* certificates, and as many OCSP responses */
    FRAME_IDR_SIZE_MAX = 512,     /* more is no FQDN */
    VERIFY_FINGERPRINT_SIZE = 32, /* SHA-256 of a certificate in DER */
    VERIFY_ANCHORS_MAX = 2,       /* that one SeGW is held to: the one in use, and its successor */
    FRAME_CRL_FILES_MAX = 512,    /* that are handed over */
    FRAME_CRL_ISSUERS_MAX = 64,   /* whose last lists are told */
};

typedef enum FrameType {
    FRAME_PROFILE = 1, /* without a descriptor: the built-in one */
    FRAME_ANCHORS,
    FRAME_CRL,
    FRAME_COMPLETE,
    FRAME_CHAIN,
    FRAME_PEER,
    FRAME_TYPES
} FrameType;

/* Those of the anchors that count; none: all. */
typedef struct VerifyAnchors {
    size_t count;
    uint8_t fingerprints[VERIFY_ANCHORS_MAX][VERIFY_FINGERPRINT_SIZE];
} VerifyAnchors;

/* Views are borrowed from whoever fills it in, or from the frame that it was decoded from. */
typedef struct VerifyRequest {
    FrameType type;
    char name[FRAME_NAME_SIZE]; /* of the file, for messages: of the types with a descriptor */
    Bytes public_key;           /* FRAME_CHAIN: SubjectPublicKeyInfo of the device key */

    /* FRAME_PEER. */
    time_t now;
    RevocationMode revocation;
    char segw_name[FQDN_SIZE_MAX];
    VerifyAnchors anchors;
    VerifyPath path; /* that the peer was taken by before; none: it is judged for the first time */
    uint8_t idr_type;
    Bytes idr;
    size_t n_certificates, n_ocsp;
    Bytes certificates[FRAME_EVIDENCE_MAX]; /* DER; the first is the end entity's */
    Bytes ocsp[FRAME_EVIDENCE_MAX];         /* DER OCSPResponses */
} VerifyRequest;

/* How CERTREQ names the anchors, and tred.conf those that count for a SeGW. */
typedef struct AnchorFacts {
    size_t n_certificates; /* at most FRAME_HASHES_MAX */
    size_t n_hashes;       /* certificates of one key, old and renewed, share theirs */
    uint8_t hashes[FRAME_HASHES_MAX][FRAME_HASH_SIZE]; /* SHA-1 of SubjectPublicKeyInfo */
    struct {
        uint8_t fingerprint[VERIFY_FINGERPRINT_SIZE];
        uint8_t hash; /* the place of its key's */
    } certificates[FRAME_HASHES_MAX];
} AnchorFacts;

/* The device's own chain. Views as above. */
typedef struct ChainFacts {
    char fqdn[FQDN_SIZE_MAX];
    time_t not_before, not_after; /* of the device's certificate */
    time_t expires;               /* when the first of the chain does */
    size_t n_certificates;
    Bytes certificates[FRAME_CHAIN_MAX]; /* DER: the device's, then its issuers' */
} ChainFacts;

/* The last list of an issuer that can be read and is not known to be forged. */
typedef struct CrlFacts {
    char issuer[FRAME_ISSUER_SIZE];
    time_t this_update, next_update;
} CrlFacts;

typedef struct CrlsFacts {
    size_t n_issuers;
    CrlFacts issuers[FRAME_CRL_ISSUERS_MAX];
} CrlsFacts;

/* Files of CRLs, by their number in the order in which they were handed over, whose every list has
 * a later one of the same issuer among the others, signed by the same key. */
typedef struct ObsoleteFiles {
    size_t count;
    uint16_t numbers[FRAME_CRL_FILES_MAX];
} ObsoleteFiles;

typedef struct VerifyAnswer {
    FrameType type;         /* the request's */
    int error;              /* 0 or -errno; the rest is there with 0 alone */
    Reason reason;          /* why not, for people; may be empty */
    AnchorFacts anchors;    /* FRAME_ANCHORS */
    ChainFacts chain;       /* FRAME_CHAIN */
    CrlsFacts crls;         /* FRAME_COMPLETE */
    Verdict verdict;        /* FRAME_PEER */
    ObsoleteFiles obsolete; /* with a verdict: told once or twice */
} VerifyAnswer;

void verify_request_encode(Writer *writer, const VerifyRequest *request);
void verify_answer_encode(Writer *writer, const VerifyAnswer *answer);

/* 0, or -EBADMSG for anything that the encoder would not write. */
int verify_request_decode(Bytes frame, VerifyRequest *ret);
int verify_answer_decode(Bytes frame, VerifyAnswer *ret);

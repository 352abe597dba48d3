/* A SeGW that presents itself, and anchors to judge it by. */
#pragma once

#include "base/reason.h"
#include "pki_fixture.h"
#include "verify/peer.h"

#define SEGW "segw.example"

/* Made for the whole test program: `root` is the one anchor, `intermediate` is of it. */
extern Pki root, other_root, intermediate;
extern AnchorStore anchors;
int pki_init(void **state);
int pki_end(void **state);

typedef struct Presentation {
    const Pki *sent[PEER_CERTIFICATES_MAX + 1];
    size_t count;
    uint8_t idr_type; /* FQDN when 0 */
    const char *idr;  /* SEGW when NULL */
    time_t now;       /* the system's when 0 */
    const CrlStore *crls;
    Bytes ocsp; /* one response, or none */
    RevocationMode revocation;
    const PeerProfile *profile; /* 3GPP's when NULL */
    VerifyPath path;            /* that it was taken by before */
    void (*begin)(void);        /* called right before peer_judge(); may be NULL */
} Presentation;

extern VerifyPath judged_path; /* that the last judgement is about */
extern PeerCheck judged_last;  /* its last check: revocation */
extern time_t judged_expires, judged_vouched;

/* peer_judge() of it, for SEGW: 0, or PEER_E_… with `reason`. */
int judge(const Presentation *presentation, EVP_PKEY **ret, Reason *reason);

/* The test fails unless it is refused with `expected` and a reason that has `why`. */
void assert_refused(const Presentation *presentation, int expected, const char *why);

/* The same for a leaf made by `spec` and `issuer`, sent alone. */
void assert_leaf_refused(const PkiSpec *spec, const Pki *issuer, int expected, const char *why);

/* The test fails unless it is taken, with the key of `leaf`. */
void assert_accepted(const Presentation *presentation, const Pki *leaf);

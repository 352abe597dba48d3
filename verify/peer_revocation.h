/* What is known of the revocation of each certificate of a path; for peer_revocation.c,
 * peer_crls.c and peer_crl_entries.c. */
#pragma once

#include "base/reason.h"
#include "verify/ocsp.h"
#include "verify/peer_internal.h"

typedef enum Word { WORD_NONE, WORD_GOOD, WORD_REVOKED } Word;

/* What is known of the certificate at one depth. */
typedef struct DepthStatus {
    Word word;
    Reason detail; /* who says so and since when, or why nothing is known */
    /* A complete list of another than its issuer that it was looked up in, and that is authentic,
     * whatever its date; borrowed. NULL: none. */
    X509_CRL *indirect;
    X509_CRL *good_by; /* the list that calls it good; borrowed. NULL: none */
} DepthStatus;

enum {
    DEPTHS_MAX = PEER_CERTIFICATES_MAX + 1,
    PEER_CRL_SIZE = 128, /* of a list's name for people */
};

typedef struct PathStatus {
    int n_depths; /* those below the anchor */
    DepthStatus depths[DEPTHS_MAX];
} PathStatus;

/* Which lists are looked at together. */
typedef enum CrlAge {
    CRLS_RECENT, /* those that may call a certificate good */
    CRLS_OLD,    /* those older than crl-hours-max: what they revoke stays revoked */
    CRLS_FUTURE, /* those ahead of this device's clock: what they revoke is revoked */
    CRL_AGES
} CrlAge;

/* True if there are lists of that age. */
bool peer_crl_lists_any(const PeerCase *peer, CrlAge age);

/* They, borrowed, in a stack that is the caller's: sk_X509_CRL_free(); NULL without memory. It goes
 * to OpenSSL as a stack and not in a store, which finds a list by its issuer's name alone, and so
 * no indirect one. Of CRLS_RECENT, `status` says of each certificate why a list about it is left
 * out. */
STACK_OF(X509_CRL) *peer_crl_lists_new(const PeerCase *peer, CrlAge age, PathStatus *status);

/* Adds what the operator's CRLs say of each certificate: whether one calls it good, or revoked, and
 * which indirect list there is about it. Only a list that is in force, and whose every check came
 * out well, calls one good. 0, -ENOMEM or -EIO. */
int peer_crls_ask(const PeerCase *peer, PathStatus *status);

/* Adds what is revoked by a list of the certificate's issuer, or of the issuer and scope of its
 * indirect list, of whatever date; and takes the word back of an indirect list that calls it good,
 * where whoever issued that list is revoked by one of any date, or a CA on the way to it. */
void peer_crl_entries_ask(const PeerCase *peer, PathStatus *status);

/* The certificate is revoked by this entry of this list, either of which may be NULL. */
void peer_crl_revoked(DepthStatus *depth, const X509_CRL *crl, const X509_REVOKED *entry);

/* "the CRL of CN=Root, 2026-01-31 12:00:00 UTC", its thisUpdate; `ret` has PEER_CRL_SIZE octets. */
void peer_crl_print(const X509_CRL *crl, char *ret);

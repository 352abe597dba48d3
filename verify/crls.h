/* Certificate revocation lists, as an operator's tool lays them down: files, PEM or DER, whole
 * lists and deltas, in a directory; with them the certificates of indirect CRL issuers. And what is
 * to be known of a store of them as a whole: which list is the last of each issuer, and which
 * nobody needs any more. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "verify/anchors.h"
#include "verify/certificates.h"
#include "verify/frames.h"

#include <openssl/x509.h>
#include <time.h>

enum {
    CRLS_MAX = 512,
    CRL_ISSUERS_MAX = 16,
    CRL_FILE_SIZE_MAX = 8 * 1024 * 1024,
};

typedef struct CrlStore {
    STACK_OF(X509_CRL) *crls;
    STACK_OF(X509)
    *issuers; /* not trusted: a chain to an anchor is looked for when they are used */
} CrlStore;

/* 0 or -ENOMEM. */
int crl_store_init(CrlStore *store);
void crl_store_deinit(CrlStore *store);

/* Adds what is in the file `path`, or in every file of the directory `path` (names that begin with
 * a dot are passed over). Of a directory, a file that can't be used is left out, and the rest is
 * taken: `reason` then names the first of them, and is empty otherwise. Returns 0, -ENOMEM, or for
 * `path` itself an errno or -EINVAL, with `reason`. */
int crl_store_read(CrlStore *store, const char *path, Reason *reason);

/* The same from memory, for one file that messages call `name`: all of it is added, or nothing. A
 * list without nextUpdate is
 * refused (RFC 5280 5.1.2.5). */
int crl_store_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason);

/* Where CRLs' issuers are looked for; all borrowed. Whoever's key a list verifies with has signed
 * it: that need not be anybody who is trusted. */
typedef struct CrlSigners {
    const AnchorStore *anchors;
    const CrlStore *crls; /* its issuers */
    const PeerSeen *seen;
} CrlSigners;

/* The last list of each issuer. One that verifies with no key of an issuer that is known is forged,
 * and left out; where no issuer is known, that can't be told. */
void crl_facts_find(const CrlSigners *signers, CrlsFacts *ret);

/* True if each list from `first` on, `count` of them, has a later one in the store that is no
 * delta, not ahead of `latest`, of the same issuer and scope, signed with the same key, and fit to
 * take back what the old one says (peer_crl_entries.c): else a revocation would be forgotten. */
bool crl_lists_are_obsolete(const CrlSigners *signers, int first, int count, time_t latest);

/* True if both have the same issuingDistributionPoint, or none: they are about the same
 * certificates and reasons (RFC 5280 5.2.5). */
bool crl_has_scope_of(const X509_CRL *a, const X509_CRL *b);
bool crl_is_delta(const X509_CRL *crl);

/* True if a list may be signed with its algorithm (verify/profile.h). */
bool crl_algorithm_is_fit(const X509_CRL *crl);

/* True if it is signed with that certificate's key, which may sign lists: no keyUsage allows
 * everything. Names and algorithm are not looked at. */
bool crl_is_signed_by(X509_CRL *crl, X509 *signer);

/* True if each critical extension of the list, and of one of its entries (NULL: of none), is known:
 * else what it says can't be (RFC 5280 5.2, 5.3). */
bool crl_criticals_are_known(const X509_CRL *crl, const X509_REVOKED *entry);

/* The same with all of its entries: only of such a list may it be concluded that a certificate is
 * not in it. */
bool crl_is_understood(X509_CRL *crl);

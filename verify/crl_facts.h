/* What is to be known of a store of CRLs as a whole: which list is the last of each issuer, and
 * which lists nobody needs any more. */
#pragma once

#include "verify/anchors.h"
#include "verify/crls.h"
#include "verify/frames.h"
#include "verify/peer_seen.h"

#include <time.h>

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
 * delta, not ahead of `latest`, of the same issuer and scope, and signed with the same key. */
bool crl_lists_are_obsolete(const CrlSigners *signers, int first, int count, time_t latest);

/* True if both have the same issuingDistributionPoint, or none: they are about the same
 * certificates and reasons (RFC 5280 5.2.5). */
bool crl_has_scope_of(const X509_CRL *a, const X509_CRL *b);
bool crl_is_delta(const X509_CRL *crl);

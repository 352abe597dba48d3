/* The certificate profile (TS 33.310 6.1): what makes a certificate unfit for its place. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

/* What is wrong with a certificate as a SeGW's or a device's own, or as an anchor: the rest of a
 * sentence that starts with the certificate, "is a CA's (…)". NULL if it is fit. Names, dates and
 * the chain are judged elsewhere. */
const char *profile_end_entity_flaw(X509 *certificate);
const char *profile_anchor_flaw(X509 *certificate);

/* The same for the algorithm that its issuer signed it with. Says nothing of an anchor, which
 * nobody vouches for. */
const char *profile_signature_flaw(X509 *certificate);

/* Whether anything may be signed with the algorithm, a certificate, a CRL or an OCSP response: the
 * rule is AUTH's (crypto/auth_algorithm.h): ECDSA or RSA with SHA-256 or better, and of PSS all
 * parameters named, MGF1 with the same hash, and a salt as long as it. */
bool profile_signature_is_fit(const X509_ALGOR *algorithm);

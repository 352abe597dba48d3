/* A certification authority of one key in a file: for a factory's station, or a CA's own machine.
 */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "verify/certificates.h"

#include <openssl/x509.h>

enum { AUTHORITY_DAYS_DEFAULT = 3650, AUTHORITY_DAYS_MAX = 36500 };

typedef struct Authority Authority;

/* The authority with the private key in `key` (PEM; the passphrase of an encrypted one is asked
 * for on the terminal) whose certificate is in `certificates` (PEM or DER), perhaps with those of
 * its issuers. Refuses a certificate that is not a CA's, has ended, or has no
 * subjectKeyIdentifier. 0, -EINVAL, open's errno, -ENOKEY if no certificate is for the key, or
 * -ENOMEM, with `reason` filled. */
int authority_read(const char *certificates, const char *key, Authority **ret, Reason *reason);

/* The same from what is in memory already: takes references to both. */
int authority_new(const STACK_OF(X509) *certificates, EVP_PKEY *key, Authority **ret,
                  Reason *reason);

void authority_free(Authority *authority);
DEFINE_POINTER_CLEANUP(Authority, authority_free);

/* Certifies `public_key` for `fqdn` (subjectAltName dNSName): keyUsage digitalSignature, critical;
 * CA:FALSE; a random serial number; signed with SHA-256, or SHA-384 by a key on P-384 (TS 33.310
 * 6.1). `device_serial` goes into the subject unless it is "" or has an underscore. Valid from an
 * hour ago for `days` days, but not longer than the authority's own. *ret is the certificate and
 * its issuers without the self-signed root: the caller's to sk_X509_pop_free(). 0, -EINVAL for
 * `days` out of 1 to AUTHORITY_DAYS_MAX, -ENOMEM or -EIO. */
int authority_issue(const Authority *authority, EVP_PKEY *public_key, const char *fqdn,
                    const char *device_serial, unsigned days, STACK_OF(X509) **ret);

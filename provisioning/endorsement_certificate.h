/* Judges whether an EK certificate is a TPM vendor's and for this EK. The authority asks; no TPM is
 * needed. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/tpm.h"

#include <openssl/x509.h>

enum {
    ENDORSEMENT_CERTIFICATE_MAX = 4096, /* octets of DER */
    ENDORSEMENT_HASH_SIZE = 32,         /* SHA-256 */
};

/* One DER certificate with nothing after it. *ret is the caller's to X509_free(). 0, -EINVAL for
 * other octets or more than ENDORSEMENT_CERTIFICATE_MAX, or -ENOMEM. */
int endorsement_certificate_decode(Bytes der, X509 **ret);

/* SHA-256 of the DER certificate into `ret` (ENDORSEMENT_HASH_SIZE octets), as inventories list it.
 * 0 or -EIO. */
int endorsement_certificate_hash(const X509 *certificate, uint8_t *ret);

/* True if `certificate` is for the key in `public`. */
bool endorsement_certificate_fits(const X509 *certificate, const TPM2B_PUBLIC *public);

/* Judges the certificate of an EK: for that key, an EK's by its extensions (TCG EK Credential
 * Profile 3.2), valid now, and with a chain to one of `anchors`: the self-signed ones of them are
 * the TPM vendors' roots, the others may stand between. Returns 0, -EKEYREJECTED with `reason`
 * saying what was found and what to do, or -ENOMEM. */
int endorsement_certificate_check(X509 *certificate, const TPM2B_PUBLIC *public,
                                  const STACK_OF(X509) *anchors, Reason *reason);

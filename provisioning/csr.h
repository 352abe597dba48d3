/* The certificate signing request (PKCS #10, RFC 2986) for the device key, signed in the TPM. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "policy/devicekey.h"

#include <openssl/x509v3.h>

enum { CSR_SIZE_MAX = 16 * 1024 };

/* Makes a CSR with `fqdn` as its dNSName (and as common name if it fits), asking for keyUsage
 * digitalSignature. *ret is PEM text, the caller's to free(). 0, -ENOMEM, or -EIO with `reason`.
 */
int csr_new(DeviceKey *key, const char *fqdn, char **ret, Reason *reason);

/* What is wrong with a CSR (PEM text) as the request for `public_key` under the name `fqdn` (NULL:
 * under any): the rest of a sentence that starts with the CSR. NULL if it fits. */
const char *csr_flaw(Bytes pem, EVP_PKEY *public_key, const char *fqdn);

/* The names that a CSR asks for in subjectAltName, or NULL: the caller's to GENERAL_NAMES_free().
 */
GENERAL_NAMES *csr_names(X509_REQ *csr);

/* The certificate signing request (PKCS #10, RFC 2986) for the device key, signed in the TPM. */
#pragma once

#include "policy/devicekey.h"

/* Makes a CSR with `fqdn` as its dNSName (and as common name if it fits), asking for keyUsage
 * digitalSignature. *ret is PEM text, the caller's to free(). 0, -ENOMEM, or -EIO with `error`
 * (TPM_ERROR_SIZE octets). */
int csr_new(DeviceKey *key, const char *fqdn, char **ret, char *error);

/* Is this the certificate of this device? */
#pragma once

#include <openssl/x509.h>

/* What is wrong with `certificate` as that of a device whose key is `public_key` (NULL: any) and
 * whose name is `fqdn` (NULL: any), now: the rest of a sentence that starts with the certificate.
 * NULL if it fits (TS 33.310 6.1). */
const char *device_certificate_flaw(X509 *certificate, EVP_PKEY *public_key, const char *fqdn);

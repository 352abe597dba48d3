/* The device's certificate: judged, shown and stored. */
#pragma once

#include "provisioning/command.h"

#include <openssl/x509.h>

/* What is wrong with `certificate` as that of a device whose key is `public_key` (NULL: any) and
 * whose name is `fqdn` (NULL: any), now: the rest of a sentence that starts with the certificate.
 * NULL if it fits (TS 33.310 6.1). */
const char *device_certificate_flaw(X509 *certificate, EVP_PKEY *public_key, const char *fqdn);

/* One line on standard output: "anchor  O=Operator, CN=Root, valid 2026-01-01 to 2036-01-01". */
void certificate_print(const char *what, const X509 *certificate);

/* Warns of one that has expired or is not valid yet: a factory's clock may be wrong and a
 * certificate for later in order, so that this is no refusal. */
void validity_warn(const X509 *certificate);

/* Puts the certificates into the state folder as PEM. 0, or -errno after a complaint. */
int certificates_write(const ProvisionOptions *options, const char *name,
                       const STACK_OF(X509) *certificates);

/* Names of hosts, as certificates, configuration and IKE identities carry them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { FQDN_SIZE_MAX = 256 }; /* of a buffer for any FQDN and its zero octet */

/* A name that can be an FQDN in A-label form: 1 to 253 octets, labels of 1 to 63 letters, digits
 * and hyphens, of which the last is not digits alone, as in an address (RFC 1035 2.3.4, RFC 1123
 * 2.1). `name` needs no zero octet at its end. */
bool fqdn_is_valid(const char *name, size_t size);

/* When a new authentication is due: before the one that there is ends, as the SeGW has limited it
 * (RFC 4478) or a certificate does, and not with all HeNBs of a town in one second. */
#pragma once

#include <stdint.h>

#define LIFETIME_NEVER UINT64_MAX

enum { LIFETIME_SIZE = 4 }; /* octets of N(AUTH_LIFETIME): seconds */

/* When to authenticate anew, as it is `now` and the authentication ends at `end` (both µs of one
 * clock): a tenth to a fifth of what is left before the end, and 20 minutes before it at the
 * earliest; `random` chooses. LIFETIME_NEVER where too little is left for that. A new
 * authentication that ends at the same time, as its certificate does, is followed by the next one
 * in the same way, so that a certificate that was renewed meanwhile is found. */
uint64_t lifetime_renew_at(uint64_t now, uint64_t end, uint32_t random);

/* How long one pair of SAs is used (RFC 4301 4.4.2.1, RFC 7296 2.8). */
#pragma once

#include "dataplane/order.h"

/* Without ESN there are 2^32 sequence numbers, and none is used twice (RFC 4303 3.3.3): an SA ends
 * before them, and is due to be replaced an eighth before. */
#define LIFETIME_NUMBERS_HARD ((UINT64_C(1) << 32) - (UINT64_C(1) << 20))
#define LIFETIME_NUMBERS_SOFT ((UINT64_C(1) << 32) / 8 * 7)

enum { LIFETIME_JITTER = 10 }; /* a soft limit is earlier by up to one part of so many */

/* Turns the limits that are set for all pairs into those of one. Without `esn` they count packets
 * in any case. Soft ones become earlier by what `random`, a number of 64 random bits, says: two
 * peers with the same limits do not replace one pair at the same time then, nor one peer all of its
 * pairs. */
void lifetime_settle(Lifetime *soft, Lifetime *hard, bool esn, uint64_t random);

/* When a certificate in use runs out: the owner of the exchange is told ahead of time, and at the
 * end the exchange is closed, so that both sides authenticate anew (TS 33.310 6.2.1). */
#pragma once

#include "tred/callers.h"

enum { EXPIRY_NOTICE_SECONDS = 24 * 3600 };

/* Watches the first of the peer's and our own certificates to expire, once the peer is verified: by
 * the wall clock, and by the time that has passed since, whichever comes first. An exchange without
 * a timer would outlive its certificates: 0 or -errno. */
int expiry_watch(CallerExchange *held);

/* The same for an exchange whose peer and certificates were judged for another. */
int expiry_inherit(CallerExchange *held, const CallerExchange *from);

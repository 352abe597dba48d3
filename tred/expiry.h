/* When an exchange ends by itself. When a certificate in use runs out, its owner is told ahead of
 * time, and at the end the exchange is closed, so that both sides authenticate anew (TS 33.310
 * 6.2.1); and when its peer is not verified in time. */
#pragma once

#include "tred/callers.h"

enum { EXPIRY_NOTICE_SECONDS = 24 * 3600 };

/* Watches the first of the peer's and our own certificates to expire, once the peer is verified: by
 * the wall clock, and by the time that has passed since, whichever comes first. An exchange without
 * a timer would outlive its certificates: 0 or -errno. */
int expiry_watch(CallerExchange *held);

/* The same once the peer was judged again: the end is another where its chain now expires on
 * another day. Of our own certificates, the one that it began with counts. */
int expiry_renew(CallerExchange *held);

/* The same for an exchange whose peer and certificates were judged for another. */
int expiry_inherit(CallerExchange *held, const CallerExchange *from);

/* Closes one that none of these could watch, and tells its owner. */
void expiry_close_unwatched(CallerExchange *held);

/* From now on, an exchange that is not verified within [exchanges] verify-seconds is closed, and
 * its owner told; while it waits for us, for a signature or for a verdict, it is not. 0 or -errno.
 */
int deadline_set(CallerExchange *held);

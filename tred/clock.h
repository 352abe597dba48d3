/* The time by which certificates are judged: the later of the system clock and the TPM's last-known
 * time. That never steps back, so it does not follow the system clock, which anybody on the way to
 * an NTP server, or root, can set ahead: a time that was never reached would be kept for ever.
 *
 * It follows what a verified SeGW's certificates and OCSP responses tell of as past, as their
 * authorities signed that, and what has passed since under the TPM's own clock; by a few days an
 * hour at the most, so that an authority's one wrong date shows before it has done its harm. */
#pragma once

#include "tred/context.h"

/* The time by which certificates are judged now. */
time_t clock_now(const Daemon *daemon);

/* Takes what the TPM said, from which the operator's correction of so many days was taken. An
 * earlier time than one known before changes nothing, unless the correction is another one. */
void clock_take(Daemon *daemon, time_t last_known, unsigned correction_days);

/* A SeGW was verified, and its evidence says that this time was reached; 0: it says nothing. The
 * TPM is told soon, unless it was just told of another. */
void clock_vouched(Daemon *daemon, time_t when);

/* Moves the TPM's last-known time every hour, when nothing else is to be done and no exchange waits
 * for the TPM ([clock] record in tred.conf(5)). 0 or -errno, which has been logged. */
int clock_start(Daemon *daemon);

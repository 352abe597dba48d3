/* The time by which certificates are judged: the later of the system clock and the TPM's last-known
 * time, which follows the clock while that can be relied on. */
#pragma once

#include "tred/context.h"

/* The time by which certificates are judged now. */
time_t clock_now(const Daemon *daemon);

/* Takes what the TPM said; an earlier time than one known before changes nothing. */
void clock_take(Daemon *daemon, time_t last_known);

/* Moves the TPM's last-known time after the clock, now and every hour, when nothing else is to be
 * done and no exchange waits for the TPM ([clock] record in tred.conf(5)). 0 or -errno, which has
 * been logged. */
int clock_start(Daemon *daemon);

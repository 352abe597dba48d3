/* The program from start to stop, and before all that: its memory is its own. */
#pragma once

#include "tred/context.h"

/* Connects to the bus, takes the bus name, opens the data plane, and loads the identity (whose
 * absence is a state, not an error). Takes over what `config` owns. Returns 0 or -errno, which has
 * been logged. */
int daemon_init(Daemon *daemon, TredConfig *config);

/* Serves until SIGTERM or SIGINT. Returns 0, or -errno, which has been logged, if the event loop
 * failed or the bus is gone. */
int daemon_run(Daemon *daemon);

/* Wipes all exchanges and lets go of key, TPM and bus. */
void daemon_deinit(Daemon *daemon);

/* What this process denies itself and others before it holds any secret: no core dumps, no ptrace
 * or /proc/PID/mem for the own user, no new privileges, files for nobody else, memory locked where
 * that is permitted (a warning says what to do where it is not), no capability for programs that it
 * starts. Returns 0 or -errno of what can't be done without. */
int process_harden(void);

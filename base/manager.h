/* What a service manager hands to a process, and hears from it: the protocols of sd_listen_fds(3),
 * sd_notify(3) and sd_watchdog_enabled(3), for processes that need nothing else of libsystemd,
 * which brings six libraries along. */
#pragma once

#include <stdint.h>

enum { MANAGER_LISTEN_FIRST = 3 }; /* the descriptor of the first socket handed over */

/* How many sockets were handed over, from MANAGER_LISTEN_FIRST on; they are not passed on to
 * programs that this process starts. 0 if none were, or they were for another process. */
int manager_listeners(void);

/* Tells the manager, if there is one, a state such as "READY=1". Whether it hears is not our
 * business. */
void manager_notify(const char *state);

/* Microseconds within which it waits for a "WATCHDOG=1"; 0 if it waits for none. */
uint64_t manager_watchdog_usec(void);

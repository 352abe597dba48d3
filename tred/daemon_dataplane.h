/* The daemon's data plane. */
#pragma once

#include "tred/daemon.h"

/* Opens it as tred.conf wants it, and waits until it is open. Returns 0, or -errno, which has been
 * logged. It is the daemon's to dataplane_close(). */
int daemon_dataplane_open(Daemon *daemon);

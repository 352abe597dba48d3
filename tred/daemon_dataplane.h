/* The daemon's data plane. */
#pragma once

#include "tred/context.h"

/* Has it opened as tred.conf wants it; daemon_dataplane_await() waits until it is open, and runs
 * the event loop meanwhile. Each returns 0, or -errno, which has been logged. It is the daemon's to
 * dataplane_close(). */
int daemon_dataplane_begin(Daemon *daemon);
int daemon_dataplane_await(Daemon *daemon);

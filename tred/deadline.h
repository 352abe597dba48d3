/* How long an exchange may go on without a verified peer. */
#pragma once

#include "tred/callers.h"

/* From now on, an exchange that is not verified within [exchanges] verify-seconds is closed, and
 * its owner told; while it waits for us, for a signature or for a verdict, it is not. 0 or -errno.
 */
int deadline_set(CallerExchange *held);

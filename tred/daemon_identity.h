/* Who this device is: its identity, and loading that. */
#pragma once

#include "base/reason.h"
#include "tred/work.h"

/* Has key, certificates and anchors read again, as work: what was read before serves until then.
 * When it ends, exchanges that have not signed yet are closed: what they announced may no longer be
 * who we are. The result is in `state` then. */
void daemon_load_identity(Daemon *daemon);

/* The same from the end of other work, whose callers are answered once the identity is read. */
void daemon_load_identity_after(Daemon *daemon, Work *done);

/* The same for a caller, who is answered at the end. 0, or as work_wait(). */
int daemon_load_identity_for(Daemon *daemon, sd_bus_message *call, WorkAnswer answer);

/* For a caller who needs an identity that serves, while there is none: what was missing may have
 * come, and a connection that broke is made again. The call is answered once that was tried. 0, or
 * as work_wait(). */
int daemon_await_identity(Daemon *daemon, sd_bus_message *call, WorkAnswer answer);

/* DeviceCallbacks of a Daemon: there is no key, or another tred-tpm, which is to load it. */
void daemon_device_failed(int r, const char *reason, void *daemon);
void daemon_device_revived(void *daemon);

/* Lets go of key, certificates and all that goes with them. */
void daemon_drop_identity(Daemon *daemon);

/* Who this device is: loading its identity, and State. */
#pragma once

#include "base/reason.h"
#include "tred/work.h"

/* Tells systemd that tred is ready, once calls are answered and the identity was read, whatever
 * came of that, so that State is known to who has started it; until then, that its start goes on.
 */
void daemon_ready_tell(Daemon *daemon);

/* Why State is what it is, and what to do; where exchanges can be begun, which CRL can't be read.
 * Empty: nothing is to be said. */
void daemon_state_reason(const Daemon *daemon, Reason *ret);

/* Says of each SeGW that none of the anchors in force counts for that it can't be taken: whenever
 * other anchors come into force. There is an identity. */
void daemon_anchors_missing_log(const Daemon *daemon);

/* CRLs came into force, or one can't be read; of a Daemon. */
void daemon_crls_changed(void *daemon);

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

/* The TPM failed at its work, or withheld the key: State says so, and the next BeginExchange looks
 * again. */
void daemon_tpm_failed(Daemon *daemon, const char *reason);
void daemon_integrity_failed(Daemon *daemon, const char *reason);

/* DeviceCallbacks of a Daemon: there is no key, or another tred-tpm, which is to load it. */
void daemon_device_failed(int r, const char *reason, void *daemon);
void daemon_device_revived(void *daemon);

/* Lets go of key, certificates and all that goes with them. */
void daemon_drop_identity(Daemon *daemon);

/* What tred says that it is: State, and why. */
#pragma once

#include "base/reason.h"
#include "tred/context.h"

/* Has State be `state` for that reason, and says so, once: a client that tries again and again is
 * no reason to repeat it. What has signed is closed each time that the device's integrity is lost.
 */
void daemon_state_set(Daemon *daemon, IdentityState state, const char *reason);

/* The TPM failed at its work, or withheld the key: State says so, and the next BeginExchange looks
 * again. */
void daemon_tpm_failed(Daemon *daemon, const char *reason);
void daemon_integrity_failed(Daemon *daemon, const char *reason);

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

/* New SeGW anchors while tred runs. */
#pragma once

#include "tred/context.h"

/* Puts `bundle` in force by `approval`, in the TPM and on disk, as work: for every exchange that
 * begins once it is done. Also where State is not ready: it may be the anchors that are wrong.
 * `call` is answered then, with the version or with AnchorsRefused, AnchorsOutdated or
 * TpmUnavailable and what was found. 0, or as work_wait(). */
int anchor_install(Daemon *daemon, Bytes bundle, Bytes approval, sd_bus_message *call);

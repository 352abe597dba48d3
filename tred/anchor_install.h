/* New SeGW anchors while tred runs. */
#pragma once

#include "tred/daemon.h"

enum { ANCHOR_INSTALL_REASON_SIZE = 640 };

/* Puts `bundle` in force by `approval`, in the TPM and on disk, and for every exchange that begins
 * from now on. Also where State is not ready: it may be the anchors that are wrong. Returns 0,
 * BUS_E_ANCHORS_REFUSED, BUS_E_ANCHORS_OUTDATED, BUS_E_TPM_UNAVAILABLE, or -errno; `reason`
 * (ANCHOR_INSTALL_REASON_SIZE octets) says what was found and what to do. */
int anchor_install(Daemon *daemon, Bytes bundle, Bytes approval, uint64_t *ret_version,
                   char *reason);

/* tred, while it runs: it has the TPM, so that what it guards goes through it. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Finds tred on the system bus without starting it. 1 with *ret, which is the caller's to
 * sd_bus_flush_close_unref(); 0 if it does not run, or there is no bus. */
int tred_find(sd_bus **ret);

/* Whether the TPM guards its anchors. 0 or -errno after a complaint. */
int tred_anchors_guarded(sd_bus *bus, bool *ret);

/* The Manager's method InstallAnchors. 0 with the bundle's version, or -errno after a complaint. */
int tred_install_anchors(sd_bus *bus, Bytes bundle, Bytes approval, uint64_t *ret_version);

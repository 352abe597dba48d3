/* tred, while it runs: it has the TPM, so that what it guards goes through it. */
#pragma once

#include "base/bytes.h"

#include <systemd/sd-bus.h>

#define TRED_NAME "org.tred.TrE1"
#define TRED_PATH "/org/tred/TrE1"
#define TRED_MANAGER "org.tred.TrE1.Manager"

/* Finds tred on the system bus without starting it. 1 with *ret, which is the caller's to
 * sd_bus_flush_close_unref(); 0 if it does not run, or there is no bus. */
int tred_find(sd_bus **ret);

/* The Manager's method InstallAnchors. 0 with the bundle's version, or -errno after a complaint. */
int tred_install_anchors(sd_bus *bus, Bytes bundle, Bytes approval, uint64_t *ret_version);

/* Has a tred that runs read its files again, and tells the person what it says then; one that does
 * not run is left alone. 0, or -errno after a complaint. */
int tred_reload(void);

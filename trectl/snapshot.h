/* What both services say of themselves at one moment. */
#pragma once

#include "trectl/busjson.h"

#define CLIENT_NAME "org.tred.IkeClient1"
#define CLIENT_PATH "/org/tred/IkeClient1"
#define CLIENT_INTERFACE "org.tred.IkeClient1"

/* {"Time": seconds since 1970, "TrE": {…}, "IkeClient": {…}, "Exchange": {…}}: properties by their
 * names on the bus, without those that are octets; SPIs in hexadecimal, as logs have them. A
 * service that does not run is null, as is the exchange where there is none. The traffic counters
 * are those of now. Never fails but for -ENOMEM. */
int snapshot_take(sd_bus *bus, json_object **ret);

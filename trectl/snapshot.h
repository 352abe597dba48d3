/* What both services say of themselves at one moment. */
#pragma once

#include "base/reason.h"
#include "trectl/busjson.h"

#define CLIENT_NAME "org.tred.IkeClient1"
#define CLIENT_PATH "/org/tred/IkeClient1"
#define CLIENT_INTERFACE "org.tred.IkeClient1"

/* The object of the connection `name`; of the first one with NULL. *ret is the caller's to free. 0,
 * or a negative errno with `reason`: -ENOENT if there is none of that name. */
int client_path_find(sd_bus *bus, const char *name, char **ret, Reason *reason);

/* {"Time": seconds since 1970, "TrE": {…}, "IkeClient": {…}, "Exchange": {…}, "Connections": […]}:
 * properties by their names on the bus, without those that are octets; IkeClient is the connection
 * at `client_path`, and Connections has an object for each that there is, where there are several;
 * SPIs in hexadecimal, as logs have them. A service that does not run is null, as is the exchange
 * where there is none. The traffic counters are those of now. Never fails but for -ENOMEM. */
int snapshot_take(sd_bus *bus, const char *client_path, json_object **ret);

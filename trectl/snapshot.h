/* What both services say of themselves on the bus, as JSON: properties by the names that they have
 * there. */
#pragma once

#include "base/reason.h"

#include <json-c/json.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

#define CLIENT_NAME "org.tred.IkeClient1"
#define CLIENT_PATH "/org/tred/IkeClient1"
#define CLIENT_INTERFACE "org.tred.IkeClient1"

/* Name and path of each connection, in the order of the configuration: [[NAME, PATH], …]. NULL:
 * ikeclient does not run. The caller's to put. */
json_object *client_connections(sd_bus *bus);

/* Of one of them: its name, borrowed; and its properties, the caller's to put, NULL: it is gone. */
const char *client_connection_name(json_object *connections, size_t i);
json_object *client_connection_take(sd_bus *bus, json_object *connections, size_t i);

/* The object of the connection `name`; of the first one with NULL. *ret is the caller's to free. 0,
 * or a negative errno with `reason`: -ENOENT if there is none of that name. */
int client_path_find(sd_bus *bus, const char *name, char **ret, Reason *reason);

/* {"Time": seconds since 1970, "TrE": {…}, "IkeClient": {…}, "Exchange": {…}, "Connections": […],
 * "Exchanges": {NAME: {…}}}: properties by their names on the bus, without those that are octets;
 * IkeClient is the connection at `client_path`; where there are several, Connections has an object
 * for each, and Exchanges its exchange by its name, which may be null; SPIs in hexadecimal, as logs
 * have them. A service that does not run is null, as is the exchange where there is none. The
 * traffic counters are those of now. Never fails but for -ENOMEM. */
int snapshot_take(sd_bus *bus, const char *client_path, json_object **ret);

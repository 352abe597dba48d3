/* What both services say of themselves on the bus, as JSON: properties by the names that they have
 * there. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"

#include <json-c/json.h>
#include <systemd/sd-bus.h>

static inline void json_object_putp(json_object **object)
{
    json_object_put(*object);
}

/* Reads the next value of a message: a string, number, boolean, array, structure (an array),
 * dictionary (an object) or variant (what is in it); octets are one string in hexadecimal. 0 or
 * -errno. *ret is the caller's to json_object_put(). */
int bus_json_read(sd_bus_message *message, json_object **ret);

/* All properties of the object at `path` of `interface`, or -errno: -EHOSTUNREACH or -ENXIO if
 * nobody has that name. Nobody is started by it. */
int bus_json_properties(sd_bus *bus, const char *name, const char *path, const char *interface,
                        json_object **ret);

/* One property, the same way. */
int bus_json_property(sd_bus *bus, const char *name, const char *path, const char *interface,
                      const char *property, json_object **ret);

/* A member of an object: its text, or "" where there is none; its number, or 0. */
const char *json_text(json_object *object, const char *member);
uint64_t json_number(json_object *object, const char *member);

/* How many items an array has, and one of them; 0 and NULL for what is no array or not there. */
size_t json_count(json_object *array);
json_object *json_item(json_object *array, size_t i);

/* A member, NULL where there is none. */
json_object *json_member(json_object *object, const char *member);

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

/* D-Bus values and the properties of an object on the bus, as JSON, and what such JSON has in it.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
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

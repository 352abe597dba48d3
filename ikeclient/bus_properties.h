/* The properties of a connection on the bus, dbus/org.tred.IkeClient1.xml: all but those that are
 * of its object there (bus.c). */
#pragma once

#include "ikeclient/connection.h"

#include <stdint.h>
#include <systemd/sd-bus.h>

enum { BUS_PROPERTIES = 19 };

/* Appends the value of that property. 0 or a negative errno; -ENOENT: there is none of that name.
 */
int bus_property_append(const ConnectionInfo *info, const char *name, sd_bus_message *reply);

/* The values of the last PropertiesChanged, as text; NULL: none yet. */
typedef struct BusTold {
    char *values[BUS_PROPERTIES];
} BusTold;

/* Takes the values of now for told; returns those that differ, a bit for each. */
uint32_t bus_told_update(BusTold *told, const ConnectionInfo *info);

/* Appends what PropertiesChanged says of these: names and values, and the names of those whose
 * value is to be asked for. 0 or a negative errno. */
int bus_properties_append(const ConnectionInfo *info, uint32_t changed, sd_bus_message *m);
void bus_told_deinit(BusTold *told);

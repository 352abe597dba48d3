/* Which properties of an object have changed since it was last looked: PropertiesChanged carries
 * these, and no others (D-Bus Specification, "org.freedesktop.DBus.Properties"). */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

enum { BUS_ANNOUNCED_MAX = 24 };

/* Each property's value when it was last looked at, as text; NULL: never. */
typedef struct BusAnnounced {
    char *values[BUS_ANNOUNCED_MAX];
} BusAnnounced;

/* Looks at the properties of `vtable` that announce their changes (at most BUS_ANNOUNCED_MAX, with
 * getters), and names those that have another value than before in `ret` (BUS_ANNOUNCED_MAX + 1
 * pointers into the vtable), NULL after the last. One whose value can't be had counts as changed.
 * Returns how many there are. */
size_t bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                          void *userdata, char **ret);

void bus_announced_deinit(BusAnnounced *announced);

/* The Manager's properties that say what keeps traffic within the tunnel, and what that has
 * dropped.
 */
#pragma once

#include "tred/context.h"

int bus_get_protection(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error);
int bus_get_protection_counter(sd_bus *bus, const char *path, const char *interface,
                               const char *property, sd_bus_message *reply, void *userdata,
                               sd_bus_error *error);

/* Whether the property is a counter of the data plane's; and what it was when that last counted. */
bool bus_protection_is_counter(const char *property);
uint64_t bus_protection_counter(const Daemon *daemon, const char *property);

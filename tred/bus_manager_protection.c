/* Protection, CleartextDropsIn and CleartextDropsOut. */
#include "tred/bus_manager_protection.h"

#include <string.h>

#define DROPS_IN "CleartextDropsIn"
#define DROPS_OUT "CleartextDropsOut"

/* Without a data plane there are no rules. */
int bus_get_protection(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    unsigned mode =
        daemon->config.data_plane == DATAPLANE_NONE ? PROTECT_NO : daemon->config.protect;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", protect_modes[mode]);
}

bool bus_protection_is_counter(const char *property)
{
    return strcmp(property, DROPS_IN) == 0 || strcmp(property, DROPS_OUT) == 0;
}

uint64_t bus_protection_counter(const Daemon *daemon, const char *property)
{
    ProtectionCounters counters;

    dataplane_protection_counters(daemon->dataplane, &counters);
    return strcmp(property, DROPS_IN) == 0 ? counters.dropped_in : counters.dropped_out;
}

int bus_get_protection_counter(sd_bus *bus, const char *path, const char *interface,
                               const char *property, sd_bus_message *reply, void *userdata,
                               sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)error;
    return sd_bus_message_append(reply, "t", bus_protection_counter(userdata, property));
}

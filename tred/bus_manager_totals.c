/* org.tred.TrE1.Manager: what outlives an exchange. */
#include "tred/bus_manager_totals.h"

#include "tred/bus_exchange.h"

int bus_get_totals(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    SaCounters traffic;
    int r;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    dataplane_totals(daemon->dataplane, &traffic);
    r = sd_bus_message_open_container(reply, 'a', "{st}");
    if (r >= 0)
        r = sd_bus_message_append(reply, "{st}", "Exchanges", daemon->last_exchange);
    if (r >= 0)
        r = bus_append_counters(reply, &traffic, false, false);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_certificate_expires(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    const time_t expires = daemon->identity ? daemon->identity->expires : 0;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "t", (uint64_t)expires);
}

/* What the Manager tells of the guarded anchors, and how it takes new ones. */
#include "tred/bus_manager_anchors.h"

#include "base/log.h"
#include "tred/anchor_install.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"

#include <string.h>

int bus_get_anchors_guarded(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "b", daemon->identity && daemon->identity->facts.anchors_guarded);
}

int bus_get_anchors_version(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "t",
                                 daemon->identity ? daemon->identity->facts.anchors_version : 0);
}

int bus_get_last_known_time(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "t", (uint64_t)daemon->last_known);
}

int bus_install_anchors(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Bytes bundle, approval;
    int r;

    (void)error;
    r = bus_read_bytes(call, &bundle);
    if (r >= 0)
        r = bus_read_bytes(call, &approval);
    if (r >= 0)
        r = anchor_install(userdata, bundle, approval, call);
    return r < 0 ? r : 1;
}

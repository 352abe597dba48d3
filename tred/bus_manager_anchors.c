/* What does the Manager tell of the guarded anchors, and how does it take new ones? */
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
    return sd_bus_message_append(reply, "b", daemon->identity && daemon->identity->anchors_guarded);
}

int bus_get_anchors_version(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "t",
                                 daemon->identity ? daemon->identity->anchors_version : 0);
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
    char reason[ANCHOR_INSTALL_REASON_SIZE] = "";
    Daemon *daemon = userdata;
    Bytes bundle, approval;
    uint64_t version = 0;
    int r;

    r = bus_read_bytes(call, &bundle);
    if (r >= 0)
        r = bus_read_bytes(call, &approval);
    if (r < 0)
        return r;
    r = anchor_install(daemon, bundle, approval, &version, reason);
    if (r == 0)
        return sd_bus_reply_method_return(call, "t", version);
    log_warning("The anchors handed in by %s are not in force: %s.",
                sd_bus_message_get_sender(call), reason[0] != '\0' ? reason : strerror(-r));
    if (r < 0 && reason[0] != '\0')
        return sd_bus_error_setf(error, SD_BUS_ERROR_FAILED, "%s.", reason);
    return bus_error_set(error, r, reason);
}

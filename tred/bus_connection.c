/* Why is there no bus, or no name on it, for us? */
#include "tred/bus_connection.h"

#include "tred/bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int bus_connection_open(sd_bus **ret, char *reason)
{
    int r = sd_bus_open_system_with_description(ret, "tred");

    if (r < 0) {
        (void)snprintf(reason, BUS_REASON_SIZE,
                       "The system bus can't be reached: %s. Start dbus: systemctl start dbus.",
                       strerror(-r));
    }
    return r < 0 ? r : 0;
}

int bus_connection_take_name(sd_bus *bus, char *reason)
{
    int r = sd_bus_request_name(bus, BUS_NAME, 0);

    if (r == -EACCES || r == -EPERM) {
        (void)snprintf(reason, BUS_REASON_SIZE,
                       "The bus refuses the name " BUS_NAME " to this user. Install the bus policy "
                       "org.tred.TrE1.conf in /usr/share/dbus-1/system.d, reload dbus "
                       "(systemctl reload dbus), and run tred as user tred.");
    } else if (r == -EEXIST) {
        (void)snprintf(reason, BUS_REASON_SIZE,
                       "Another process has the bus name " BUS_NAME ". Stop it first; "
                       "\"busctl status " BUS_NAME "\" tells which it is.");
    } else if (r < 0) {
        (void)snprintf(reason, BUS_REASON_SIZE, "The bus name " BUS_NAME " can't be had: %s.",
                       strerror(-r));
    }
    return r < 0 ? r : 0;
}

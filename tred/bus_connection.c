/* Reaches the bus and takes the name, and says why either failed. */
#include "tred/bus_connection.h"

#include <errno.h>
#include <string.h>

int bus_connection_open(sd_bus **ret, Reason *reason)
{
    int r = sd_bus_open_system_with_description(ret, "tred");

    if (r < 0) {
        reason_set(reason, 0,
                   "The system bus can't be reached: %s. Start dbus: systemctl start dbus",
                   strerror(-r));
    }
    return r < 0 ? r : 0;
}

int bus_connection_take_name(sd_bus *bus, Reason *reason)
{
    int r = sd_bus_request_name(bus, BUS_NAME, 0);

    if (r == -EACCES || r == -EPERM) {
        reason_set(reason, 0,
                   "The bus refuses the name " BUS_NAME " to this user. Install the bus policy "
                   "org.tred.TrE1.conf in /usr/share/dbus-1/system.d, reload dbus "
                   "(systemctl reload dbus), and run tred as user tred");
    } else if (r == -EEXIST) {
        reason_set(reason, 0,
                   "Another process has the bus name " BUS_NAME ". Stop it first; "
                   "\"busctl status " BUS_NAME "\" tells which it is");
    } else if (r < 0) {
        reason_set(reason, 0, "The bus name " BUS_NAME " can't be had: %s", strerror(-r));
    }
    return r < 0 ? r : 0;
}

/* Reaching the system bus and taking tred's name on it, and what stands in the way of either; the
 * names that tred has there. */
#pragma once

#include "base/reason.h"

#include <systemd/sd-bus.h>

#define BUS_NAME "org.tred.TrE1"
#define BUS_MANAGER_PATH "/org/tred/TrE1"
#define BUS_OBJECTS_PATH "/org/tred" /* its ObjectManager shows the manager, which is below it */
#define BUS_MANAGER_INTERFACE "org.tred.TrE1.Manager"
#define BUS_EXCHANGES_PATH "/org/tred/TrE1/exchange"
#define BUS_EXCHANGE_INTERFACE "org.tred.TrE1.Exchange"

/* Connects to the system bus. Returns 0, or -errno with `reason` saying what was found and what to
 * do. *ret is the caller's to sd_bus_flush_close_unref(). */
int bus_connection_open(sd_bus **ret, Reason *reason);

/* Takes the name org.tred.TrE1. Returns as above; -EEXIST if another process has it. */
int bus_connection_take_name(sd_bus *bus, Reason *reason);

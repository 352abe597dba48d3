/* Reaching the system bus and taking tred's name on it, and what stands in the way of either. */
#pragma once

#include <systemd/sd-bus.h>

enum { BUS_REASON_SIZE = 320 };

/* Connects to the system bus. Returns 0, or -errno with `reason` (BUS_REASON_SIZE octets) saying
 * what was found and what to do. *ret is the caller's to sd_bus_flush_close_unref(). */
int bus_connection_open(sd_bus **ret, char *reason);

/* Takes the name org.tred.TrE1. Returns as above; -EEXIST if another process has it. */
int bus_connection_take_name(sd_bus *bus, char *reason);

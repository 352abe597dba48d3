/* Which calls are carried out at all. */
#pragma once

#include <systemd/sd-bus.h>

/* A filter of the bus's and of channels, to be asked before all others. A call that wants no reply
 * is dropped, unless it gives something back: of the others the bus lets a connection have only so
 * many under way (max_replies_per_connection), and of these any number. */
int bus_admit_filter(sd_bus_message *call, void *userdata, sd_bus_error *error);

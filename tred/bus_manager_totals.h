/* The part of org.tred.TrE1.Manager that counts; for bus_manager.c's vtable. */
#pragma once

#include <systemd/sd-bus.h>

/* The property Totals, with the traffic as the data plane's counters last came. */
int bus_get_totals(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* The property CertificateExpires. */
int bus_get_certificate_expires(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *error);

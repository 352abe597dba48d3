/* The part of org.tred.TrE1.Manager that is about CRLs; for bus_manager.c's vtable. */
#pragma once

#include <systemd/sd-bus.h>

int bus_get_crl_issuers(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error);
int bus_get_crl_problem(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error);

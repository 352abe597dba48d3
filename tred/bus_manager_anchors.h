/* The part of org.tred.TrE1.Manager that is about anchors and time; for bus_manager.c's vtable. */
#pragma once

#include <systemd/sd-bus.h>

int bus_get_anchors_guarded(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error);
int bus_get_anchors_version(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error);
int bus_get_last_known_time(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error);
int bus_install_anchors(sd_bus_message *call, void *userdata, sd_bus_error *error);

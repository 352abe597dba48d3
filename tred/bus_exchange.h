/* The methods of org.tred.TrE1.Exchange, as sd-bus calls them, and what they share. Each begins
 * with bus_exchange_check_owner(). */
#pragma once

#include "tred/bus.h"

/* -errno with `error` set to NotOwner unless the caller is the exchange's owner. */
int bus_exchange_check_owner(const CallerExchange *held, sd_bus_message *call, sd_bus_error *error);

/* An "ay": read as a view that lives as long as the message, and written. 0 or more, or -errno. */
int bus_read_bytes(sd_bus_message *message, Bytes *ret);
int bus_append_bytes(sd_bus_message *message, Bytes bytes);

int bus_exchange_agree(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_sign_auth(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_verify_peer(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_protect(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_unprotect(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_open_transport(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_allocate_spi(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_add_child(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_use_child(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_prepare_create(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_add_ike_sa(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_inherit_children(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_move_transport(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_exchange_remove_child(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Carries an AddChild out that waited for the verdict, if there is one. */
void bus_exchange_child_resume(CallerExchange *held);

/* A filter of the bus's that sees to it that Get of Children, and of the manager's Totals, is
 * answered with counters of now, which have to be asked for first. */
int bus_exchange_children_filter(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Each of the counters as a dictionary entry from its name: a variant, where `variant`, else a
 * uint64 ("t"); those of how long an SA is idle only with `idle`. */
int bus_append_counters(sd_bus_message *reply, const SaCounters *counters, bool variant, bool idle);

/* The property Children: each Child SA with its counters as they last came. */
int bus_exchange_get_children(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error);

/* Any property, for the vtable. */
int bus_exchange_get_property(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error);

/* Has what bus_exchange_changed() is told announced from now on. 0 or -errno. */
int bus_exchange_announce_begin(Daemon *daemon);

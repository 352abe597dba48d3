/* The bus face: where things are, and the objects' vtables (described by the XML in dbus/). */
#pragma once

#include "tred/bus_call.h"
#include "tred/context.h"

enum { BUS_PATH_SIZE = 64 };

/* Put the objects on daemon->bus; they stay until the bus is closed. 0 or -errno. */
int bus_manager_register(Daemon *daemon);
int bus_exchange_register(Daemon *daemon);

/* Put on a channel what may be called there. 0 or -errno. */
int bus_manager_register_channel(Daemon *daemon, sd_bus *channel);
int bus_exchange_register_channel(Daemon *daemon, sd_bus *channel);

/* Tells everyone what has changed of the manager's properties, if anything has. */
void bus_manager_changed(Daemon *daemon);

/* 0 if the caller, whose user is known, may have one exchange more; else TOO_MANY_EXCHANGES, or
 * BUSY where the user has had its share of tred's time. */
int bus_check_room(const Caller *caller, Reason *reason);

/* Gives the caller an exchange, which is freed where that fails. Its peer is to be verified in
 * time, or was judged for `from`, unless that is NULL. 0 or -errno. */
int bus_exchange_begun(Caller *caller, Exchange *exchange, const CallerExchange *from,
                       CallerExchange **ret);

/* The object path of an exchange into `path` (BUS_PATH_SIZE octets). */
void bus_exchange_path(const CallerExchange *exchange, char *path);

/* Lets go of a VerifyPeer that waits for its verdict, and answers it. */
void bus_exchange_verify_cancel(CallerExchange *exchange);

/* The same of an AddChild that waits with it. */
void bus_exchange_child_cancel(CallerExchange *exchange);

/* The exchange that an object path stands for, or NULL. */
CallerExchange *bus_exchange_of_path(const Daemon *daemon, const char *path);

typedef enum ExchangeProperty {
    EXCHANGE_PROPERTY_STATE = 1 << 0,
    EXCHANGE_PROPERTY_SPI_R = 1 << 1,
    EXCHANGE_PROPERTY_SUITE = 1 << 2,
    EXCHANGE_PROPERTY_PEER_IDENTITY = 1 << 3,
    EXCHANGE_ADDED = 1 << 4, /* all of it: the exchange is new */
} ExchangeProperty;

/* Tells who watches that these (ExchangeProperty) have changed, within some hundredths of a second
 * and together: who waits for an answer goes first. */
void bus_exchange_changed(CallerExchange *held, unsigned changed);

/* Before an exchange is freed: tells its owner, who was told that it is there. */
void bus_exchange_gone(CallerExchange *held);

/* Tells the owner that tred closes its exchange. */
void bus_exchange_closed(const CallerExchange *exchange, const char *reason);

/* Tells the owner until when the exchange lives, as a certificate expires then. */
void bus_exchange_expires_soon(const CallerExchange *exchange, time_t when);

/* Tells the owner that it is time to replace a Child SA, or (hard) that it carries nothing any
 * more. */
void bus_exchange_lifetime_reached(const CallerExchange *exchange, uint32_t spi_in, bool hard);

/* sd-bus's getters of all properties of either object. */
int bus_manager_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error);
int bus_exchange_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* Each of the counters as a dictionary entry from its name: a variant, where `variant`, else a
 * uint64 ("t"); those of how long an SA is idle only with `idle`. */
int bus_append_counters(sd_bus_message *reply, const SaCounters *counters, bool variant, bool idle);

/* A filter of the bus's that sees to it that Get of Children, and of what the Manager counts, is
 * answered with counters of now, which have to be asked for first. */
int bus_counters_filter(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* The data plane's counters have come, or will not: whoever has asked for Children is answered. */
void bus_exchange_children_counted(Daemon *daemon);

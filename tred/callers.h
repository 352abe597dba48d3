/* Who holds which exchange: each belongs to the unique bus name that began it, and goes when that
 * name does. */
#pragma once

#include "tred/context.h"

/* Has the bus tell who leaves it: their exchanges are wiped, and their waiting calls forgotten. One
 * subscription serves all callers. It is to be asked for before any of their calls is read: the bus
 * then tells of a caller's leaving after the calls that it made. 0 or -errno. */
int callers_watch(Daemon *daemon);

/* The caller with that unique name, made known if need be, until it leaves the bus. Returns 0 or
 * -ENOMEM. */
int caller_get(Daemon *daemon, const char *name, Caller **ret);

/* For a caller without a user: asks the bus, and has `call` carried on when it has answered. Where
 * it does not, the call is answered with an error. 0, -EBUSY (CALLER_WAITING_MAX wait already), or
 * another -errno. */
int caller_ask_user(Caller *caller, sd_bus_message *call, CallerKnown known);

/* Lets go of all callers; their exchanges are closed before. */
void callers_deinit(Daemon *daemon);

/* Gives it, whose user is known, `exchange`, which is then owned here. 0 or -ENOMEM. */
int caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret);

/* The exchange with that number, or NULL. */
CallerExchange *caller_exchange_find(const Daemon *daemon, uint64_t number);

/* What holds that exchange for the caller, or NULL. */
CallerExchange *caller_exchange_of(const Caller *caller, const Exchange *exchange);

/* The exchange that has the Child SA `spi_in`, or NULL. */
CallerExchange *caller_exchange_find_child(Daemon *daemon, uint32_t spi_in);

/* Wipes it. */
void caller_exchange_free(CallerExchange *exchange);

/* Wipes those that have not signed yet, those that have and rest on it or are to, those whose peer
 * is still to be verified, or all of them, and tells their owners why. */
void callers_close_unsigned(Daemon *daemon, const char *reason);
void callers_close_signed(Daemon *daemon, const char *reason);
void callers_close_unverified(Daemon *daemon, const char *reason);
void callers_close_all(Daemon *daemon, const char *reason);

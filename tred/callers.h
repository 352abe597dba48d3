/* Who holds which exchange: each belongs to the unique bus name that began it, and goes when that
 * name does. */
#pragma once

#include "tred/context.h"

/* All callers' exchanges together: bounds what a user with many connections can make us hold. */
enum { EXCHANGES_TOTAL_MAX = 1024 };

/* Has the bus tell who leaves it: their exchanges are wiped, and their waiting calls forgotten. One
 * subscription serves all callers. It is to be asked for before any of their calls is read: the bus
 * then tells of a caller's leaving after the calls that it made. 0 or -errno. */
int callers_watch(Daemon *daemon);

/* The caller with that unique name, made known if need be. A caller without exchanges is dropped by
 * caller_release(). Returns 0 or -ENOMEM. */
int caller_get(Daemon *daemon, const char *name, Caller **ret);

/* Drops the caller if it holds nothing. */
void caller_release(Caller *caller);

/* True if it may hold one exchange more. */
bool caller_has_room(const Caller *caller);

/* Gives it `exchange`, which is then owned here. 0 or -ENOMEM. */
int caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret);

/* The exchange with that number, or NULL. */
CallerExchange *caller_exchange_find(const Daemon *daemon, uint64_t number);

/* The exchange that has the Child SA `spi_in`, or NULL. */
CallerExchange *caller_exchange_find_child(Daemon *daemon, uint32_t spi_in);

/* Wipes it; its caller is then to be released. */
void caller_exchange_free(CallerExchange *exchange);

/* Wipes those that have not signed yet, or all of them, and tells their owners why. */
void callers_close_unsigned(Daemon *daemon, const char *reason);
void callers_close_all(Daemon *daemon, const char *reason);

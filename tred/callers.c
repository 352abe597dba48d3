/* Knows whose each exchange is and how many a caller holds, and wipes them when it leaves the bus.
 */
#include "tred/callers.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/channel.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <string.h>

static void caller_free(Caller *caller)
{
    free(caller->name);
    free(caller);
}

DEFINE_POINTER_CLEANUP(Caller, caller_free);

static void caller_unlink(Caller *caller)
{
    Caller **place = &caller->daemon->callers;

    while (*place != caller)
        place = &(*place)->next;
    *place = caller->next;
}

void caller_release(Caller *caller)
{
    if (caller->n_exchanges > 0)
        return;
    caller_unlink(caller);
    caller_free(caller);
}

static Caller *caller_find(const Daemon *daemon, const char *name)
{
    Caller *caller = daemon->callers;

    while (caller && strcmp(caller->name, name) != 0)
        caller = caller->next;
    return caller;
}

static void caller_vanished(Caller *caller)
{
    log_info("%s left the bus; its exchanges are wiped", caller->name);
    while (caller->exchanges)
        caller_exchange_free(caller->exchanges);
    caller_release(caller);
}

/* NameOwnerChanged(name, old owner, new owner). */
static int on_name_lost(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;
    const char *name;
    Caller *caller;

    (void)error;
    if (sd_bus_message_read(signal, "s", &name) < 0)
        return 0;
    work_forget_caller(daemon, name);
    channel_close(daemon, name);
    caller = caller_find(daemon, name);
    if (caller)
        caller_vanished(caller);
    return 0;
}

int callers_watch(Daemon *daemon)
{
    return sd_bus_add_match_async(daemon->bus, NULL,
                                  "type='signal',sender='org.freedesktop.DBus',"
                                  "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                  "member='NameOwnerChanged',arg2=''",
                                  on_name_lost, NULL, daemon);
}

int caller_get(Daemon *daemon, const char *name, Caller **ret)
{
    _cleanup_(caller_freep) Caller *caller = NULL;

    *ret = caller_find(daemon, name);
    if (*ret)
        return 0;
    caller = calloc(1, sizeof(*caller));
    if (!caller)
        return -ENOMEM;
    caller->name = strdup(name);
    if (!caller->name)
        return -ENOMEM;
    caller->daemon = daemon;
    caller->next = daemon->callers;
    daemon->callers = caller;
    *ret = steal_pointer(caller);
    return 0;
}

bool caller_has_room(const Caller *caller)
{
    return caller->n_exchanges < caller->daemon->config.max_exchanges &&
           caller->daemon->n_exchanges < EXCHANGES_TOTAL_MAX;
}

int caller_add_exchange(Caller *caller, Exchange *exchange, CallerExchange **ret)
{
    CallerExchange *held = calloc(1, sizeof(*held));

    if (!held)
        return -ENOMEM;
    held->caller = caller;
    held->number = ++caller->daemon->last_exchange;
    held->exchange = exchange;
    held->next = caller->exchanges;
    caller->exchanges = held;
    caller->n_exchanges++;
    caller->daemon->n_exchanges++;
    *ret = held;
    return 0;
}

typedef bool (*ExchangeIs)(const CallerExchange *held, const void *wanted);

static CallerExchange *find_where(const Daemon *daemon, ExchangeIs is, const void *wanted)
{
    for (Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (is(held, wanted))
                return held;
        }
    }
    return NULL;
}

static bool has_number(const CallerExchange *held, const void *wanted)
{
    return held->number == *(const uint64_t *)wanted;
}

static bool has_child(const CallerExchange *held, const void *wanted)
{
    return exchange_has_child(held->exchange, *(const uint32_t *)wanted);
}

CallerExchange *caller_exchange_find(const Daemon *daemon, uint64_t number)
{
    return find_where(daemon, has_number, &number);
}

CallerExchange *caller_exchange_find_child(Daemon *daemon, uint32_t spi_in)
{
    return find_where(daemon, has_child, &spi_in);
}

void caller_exchange_free(CallerExchange *held)
{
    Caller *caller = held->caller;
    CallerExchange **place = &caller->exchanges;

    while (*place != held)
        place = &(*place)->next;
    *place = held->next;
    caller->n_exchanges--;
    caller->daemon->n_exchanges--;
    bus_exchange_verify_cancel(held);
    bus_exchange_child_cancel(held);
    sd_event_source_disable_unref(held->expiry);
    sd_event_source_disable_unref(held->expiry_bound);
    exchange_free(held->exchange);
    free(held);
    daemon_key_released(caller->daemon);
}

static void close_where(Daemon *daemon, bool (*wanted)(const Exchange *), const char *reason)
{
    Caller *next_caller;
    CallerExchange *next;

    for (Caller *caller = daemon->callers; caller; caller = next_caller) {
        next_caller = caller->next;
        for (CallerExchange *held = caller->exchanges; held; held = next) {
            next = held->next;
            if (!wanted(held->exchange))
                continue;
            bus_exchange_closed(held, reason);
            caller_exchange_free(held);
        }
        caller_release(caller);
    }
}

static bool is_any(const Exchange *exchange)
{
    (void)exchange;
    return true;
}

void callers_close_unsigned(Daemon *daemon, const char *reason)
{
    close_where(daemon, exchange_is_unsigned, reason);
}

void callers_close_all(Daemon *daemon, const char *reason)
{
    close_where(daemon, is_any, reason);
}

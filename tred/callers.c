/* Knows whose each exchange is and how many a caller holds, and wipes them when it leaves the bus.
 */
#include "tred/callers.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/bus_call.h"
#include "tred/channel.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void caller_free(Caller *caller)
{
    sd_bus_slot_unref(caller->asking);
    for (size_t i = 0; i < caller->n_waiting; i++)
        sd_bus_message_unref(caller->waiting[i]);
    user_drop(&caller->daemon->users, caller->user);
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

static Caller *caller_find(const Daemon *daemon, const char *name)
{
    Caller *caller = daemon->callers;

    while (caller && strcmp(caller->name, name) != 0)
        caller = caller->next;
    return caller;
}

static void caller_vanished(Caller *caller)
{
    if (caller->exchanges)
        log_info("%s left the bus; its exchanges are wiped", caller->name);
    while (caller->exchanges)
        caller_exchange_free(caller->exchanges);
    caller_unlink(caller);
    caller_free(caller);
}

/* NameOwnerChanged(name, old owner, new owner). */
static int on_name_lost(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;
    const char *name;
    Caller *caller;

    (void)error;
    if (sd_bus_message_read(signal, "s", &name) <= 0)
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

/* Each call that has waited goes on, or is refused with what the bus said. */
static void waiting_go_on(Caller *caller, const sd_bus_error *error)
{
    Daemon *daemon = caller->daemon;

    for (size_t i = 0; i < caller->n_waiting; i++) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(caller->waiting[i]);

        if (caller->user) {
            caller->known(daemon, call);
        } else {
            bus_answer_error(call, -ECONNRESET, error);
        }
    }
    caller->n_waiting = 0;
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    Caller *caller = userdata;
    uint32_t uid = 0;
    int r = 0;

    (void)error;
    caller->asking = sd_bus_slot_unref(caller->asking);
    if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "u", &uid) > 0)
        r = user_take(&caller->daemon->users, uid, &caller->user);
    if (r < 0)
        log_warning("Out of memory for user %u", uid);
    waiting_go_on(caller, sd_bus_message_get_error(reply));
    return 0;
}

int caller_ask_user(Caller *caller, sd_bus_message *call, CallerKnown known)
{
    if (caller->n_waiting == CALLER_WAITING_MAX)
        return -EBUSY;
    if (!caller->asking) {
        int r = sd_bus_call_method_async(
            caller->daemon->bus, &caller->asking, "org.freedesktop.DBus", "/org/freedesktop/DBus",
            "org.freedesktop.DBus", "GetConnectionUnixUser", on_user, caller, "s", caller->name);

        if (r < 0)
            return r;
    }
    caller->known = known;
    caller->waiting[caller->n_waiting++] = sd_bus_message_ref(call);
    return 0;
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
    user_add_exchange(&caller->daemon->users, caller->user);
    bus_exchange_changed(held, EXCHANGE_ADDED);
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

CallerExchange *caller_exchange_of(const Caller *caller, const Exchange *exchange)
{
    CallerExchange *held = caller->exchanges;

    while (held && held->exchange != exchange)
        held = held->next;
    return held;
}

void caller_exchange_free(CallerExchange *held)
{
    Caller *caller = held->caller;
    CallerExchange **place = &caller->exchanges;

    bus_exchange_gone(held);
    while (*place != held)
        place = &(*place)->next;
    *place = held->next;
    user_remove_exchange(&caller->daemon->users, caller->user);
    if (caller->daemon->judged_again == held)
        caller->daemon->judged_again = NULL; /* the verdict on it is nobody's */
    bus_exchange_verify_cancel(held);
    bus_exchange_child_cancel(held);
    sd_event_source_disable_unref(held->expiry);
    sd_event_source_disable_unref(held->expiry_bound);
    sd_event_source_disable_unref(held->deadline);
    exchange_free(held->exchange);
    free(held);
    daemon_key_released(caller->daemon);
}

static void close_where(Daemon *daemon, bool (*wanted)(const Exchange *), const char *reason)
{
    CallerExchange *next;

    for (Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = next) {
            next = held->next;
            if (!wanted(held->exchange))
                continue;
            bus_exchange_closed(held, reason);
            caller_exchange_free(held);
        }
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

/* What is refused comes to nothing. */
static bool is_signed(const Exchange *exchange)
{
    return !exchange_is_unsigned(exchange) && exchange_state(exchange) != EXCHANGE_REFUSED;
}

static bool is_to_be_verified(const Exchange *exchange)
{
    return exchange_state(exchange) != EXCHANGE_VERIFIED &&
           exchange_state(exchange) != EXCHANGE_REPLACED &&
           exchange_state(exchange) != EXCHANGE_REFUSED;
}

void callers_close_signed(Daemon *daemon, const char *reason)
{
    close_where(daemon, is_signed, reason);
}

void callers_close_unverified(Daemon *daemon, const char *reason)
{
    close_where(daemon, is_to_be_verified, reason);
}

void callers_close_all(Daemon *daemon, const char *reason)
{
    close_where(daemon, is_any, reason);
}

void callers_deinit(Daemon *daemon)
{
    while (daemon->callers) {
        Caller *caller = daemon->callers;

        caller_unlink(caller);
        caller_free(caller);
    }
    users_deinit(&daemon->users);
}

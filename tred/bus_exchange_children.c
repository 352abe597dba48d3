/* The property Children: an exchange's Child SAs with their counters. Those, and what the Manager
 * has of the data plane's, are asked of the data plane when somebody gets such a property by its
 * name; GetAll shows them as they last came. */
#include "base/cleanup.h"
#include "base/log.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/bus_manager_protection.h"
#include "tred/bus_manager_totals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { COUNT_PERIOD_USEC = 100 * 1000, COUNT_ACCURACY_USEC = 1000 };

typedef struct CounterName {
    const char *name;
    size_t offset; /* in SaCounters; each is a uint64_t */
    bool idle;     /* no sum can be made of it */
} CounterName;

static const CounterName counter_names[] = {
    {"PacketsIn", offsetof(SaCounters, packets_in)},
    {"BytesIn", offsetof(SaCounters, bytes_in)},
    {"PacketsOut", offsetof(SaCounters, packets_out)},
    {"BytesOut", offsetof(SaCounters, bytes_out)},
    {"Replays", offsetof(SaCounters, replays)},
    {"AuthenticationFailures", offsetof(SaCounters, authentication_failures)},
    {"Malformed", offsetof(SaCounters, malformed)},
    {"SelectorDropsIn", offsetof(SaCounters, selector_drops_in)},
    {"EcnDropsIn", offsetof(SaCounters, ecn_drops_in)},
    {"IdleInMilliseconds", offsetof(SaCounters, idle_in_ms), true},
    {"IdleOutMilliseconds", offsetof(SaCounters, idle_out_ms), true},
};

int bus_append_counters(sd_bus_message *reply, const SaCounters *counters, bool variant, bool idle)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ELEMENTS(counter_names); i++) {
        uint64_t value;

        if (counter_names[i].idle && !idle)
            continue;
        memcpy(&value, (const char *)counters + counter_names[i].offset, sizeof(value));
        r = variant ? sd_bus_message_append(reply, "{sv}", counter_names[i].name, "t", value)
                    : sd_bus_message_append(reply, "{st}", counter_names[i].name, value);
    }
    return r;
}

static int append_child(sd_bus_message *reply, const ChildStatus *child)
{
    int r = sd_bus_message_open_container(reply, 'a', "{sv}");

    if (r >= 0) {
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}", "SpiIn", "u", child->spi_in,
                                  "SpiOut", "u", child->spi_out, "Suite", "s", child->suite,
                                  "Since", "t", (uint64_t)child->since, "SoftLifetimeSeconds", "t",
                                  child->soft_seconds);
    }
    if (r >= 0)
        r = bus_append_counters(reply, &child->counters, true, true);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_exchange_get_children(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
    const CallerExchange *held = userdata;
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    size_t count = exchange_children(held->exchange, children);
    int r;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = append_child(reply, &children[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Which property a Get of the Properties interface is for. */
typedef struct Asked {
    const char *interface;
    const char *property;
} Asked;

static bool read_asked(sd_bus_message *call, Asked *ret)
{
    bool read = sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get") > 0 &&
                sd_bus_message_read(call, "ss", &ret->interface, &ret->property) > 0;

    (void)sd_bus_message_rewind(call, true);
    return read;
}

static bool is_totals(const Asked *asked)
{
    return strcmp(asked->interface, BUS_MANAGER_INTERFACE) == 0 &&
           strcmp(asked->property, "Totals") == 0;
}

static bool is_protection(const Asked *asked)
{
    return strcmp(asked->interface, BUS_MANAGER_INTERFACE) == 0 &&
           bus_protection_is_counter(asked->property);
}

static int get_protection_reply(const Daemon *daemon, sd_bus_message *call, const char *property)
{
    return sd_bus_reply_method_return(call, "v", "t", bus_protection_counter(daemon, property));
}

/* The reply to Get: a variant, filled as the property's getter does it. */
static int variant_reply(sd_bus_message *call, const char *contents, sd_bus_property_get_t get,
                         void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_return(call, &reply);

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', contents);
    if (r >= 0)
        r = get(NULL, NULL, NULL, NULL, reply, userdata, NULL);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_message_send(reply);
}

static int get_children_reply(Daemon *daemon, sd_bus_message *call)
{
    CallerExchange *held = bus_exchange_of_path(daemon, sd_bus_message_get_path(call));

    if (!held) {
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT,
                                          "There is no such exchange any more");
    }
    return variant_reply(call, "aa{sv}", bus_exchange_get_children, held);
}

static int get_reply(Daemon *daemon, sd_bus_message *call)
{
    Asked asked = {"", ""};

    if (!read_asked(call, &asked))
        return get_children_reply(daemon, call);
    if (is_totals(&asked))
        return variant_reply(call, "a{st}", bus_get_totals, daemon);
    return is_protection(&asked) ? get_protection_reply(daemon, call, asked.property)
                                 : get_children_reply(daemon, call);
}

void bus_exchange_children_counted(Daemon *daemon)
{
    for (size_t i = 0; i < daemon->n_counting; i++) {
        int r = get_reply(daemon, daemon->counting[i]);

        if (r < 0)
            log_warning("Counters could not be answered: %s", strerror(-r));
        daemon->counting[i] = sd_bus_message_unref(daemon->counting[i]);
    }
    daemon->n_counting = 0;
}

static void counted(void *userdata)
{
    bus_exchange_children_counted(userdata);
}

static bool asks_for_counters(const Daemon *daemon, sd_bus_message *call)
{
    Asked asked = {"", ""};

    if (!read_asked(call, &asked))
        return false;
    if (is_protection(&asked) || is_totals(&asked))
        return strcmp(sd_bus_message_get_path(call), BUS_MANAGER_PATH) == 0;
    return strcmp(asked.interface, BUS_EXCHANGE_INTERFACE) == 0 &&
           strcmp(asked.property, "Children") == 0 &&
           bus_exchange_of_path(daemon, sd_bus_message_get_path(call)) != NULL;
}

/* -EBUSY: those that are on their way are for these callers, too. -ENOTCONN: there are none. */
static void count(Daemon *daemon)
{
    daemon->count_asked = daemon_now(daemon);
    if (dataplane_count(daemon->dataplane, counted, daemon) == -ENOTCONN)
        bus_exchange_children_counted(daemon);
}

static int on_count_due(sd_event_source *source, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source, (void)usec;
    if (daemon->n_counting > 0)
        count(daemon);
    return 0;
}

/* Anybody may read, and whoever has the ESP keys has more to do than to count for them: it is asked
 * at most ten times a second, and its answer is for all who have asked by then. */
static int count_soon(Daemon *daemon)
{
    const uint64_t due = daemon->count_asked + COUNT_PERIOD_USEC;
    int r = 0;

    if (daemon_now(daemon) >= due) {
        count(daemon);
    } else if (!daemon->count_timer) {
        r = sd_event_add_time(daemon->event, &daemon->count_timer, CLOCK_MONOTONIC, due,
                              COUNT_ACCURACY_USEC, on_count_due, daemon);
    } else {
        r = sd_event_source_set_time(daemon->count_timer, due);
        if (r >= 0)
            r = sd_event_source_set_enabled(daemon->count_timer, SD_EVENT_ONESHOT);
    }
    return r;
}

int bus_exchange_children_filter(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;

    (void)error;
    /* With too many who wait, it is answered like any property: as they last came, a moment ago. */
    if (!asks_for_counters(daemon, call) || daemon->n_counting == DAEMON_COUNTING_MAX)
        return 0;
    daemon->counting[daemon->n_counting++] = sd_bus_message_ref(call);
    if (count_soon(daemon) < 0)
        bus_exchange_children_counted(daemon);
    return 1;
}

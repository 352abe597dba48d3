/* What is counted: an exchange's Child SAs, and the Manager's totals. The data plane is asked for
 * it when somebody gets such a property by its name; GetAll shows what came last. */
#include "base/log.h"
#include "tred/bus_exchange_internal.h"

#include <errno.h>
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
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}", "SpiIn", "u", child->spi_in,
                                  "SpiOut", "u", child->spi_out, "Suite", "s", child->suite,
                                  "Since", "t", (uint64_t)child->since, "SoftLifetimeSeconds", "t",
                                  child->soft_seconds, "Dscps", "t", child->dscps);
    }
    if (r >= 0)
        r = bus_append_counters(reply, &child->counters, true, true);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_append_children(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    size_t count = exchange_children(held->exchange, children);
    int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = append_child(reply, &children[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- Get, answered once it is counted ---- */

typedef struct CountedProperty {
    const char *interface, *name, *type;
} CountedProperty;

static const CountedProperty counted_properties[] = {
    {BUS_EXCHANGE_INTERFACE, "Children", "aa{sv}"},
    {BUS_MANAGER_INTERFACE, "Totals", "a{st}"},
    {BUS_MANAGER_INTERFACE, "CleartextDropsIn", "t"},
    {BUS_MANAGER_INTERFACE, "CleartextDropsOut", "t"},
};

/* Which of these a call gets; NULL: it is another call. */
static const CountedProperty *counted_find(sd_bus_message *call)
{
    const char *interface = "", *name = "";
    bool read = sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get") > 0 &&
                bus_read(call, "ss", &interface, &name) == 0;

    (void)sd_bus_message_rewind(call, true);
    for (size_t i = 0; read && i < ELEMENTS(counted_properties); i++) {
        const CountedProperty *property = &counted_properties[i];

        if (strcmp(property->interface, interface) == 0 && strcmp(property->name, name) == 0)
            return property;
    }
    return NULL;
}

/* What it is a property of; NULL: there is no such object (any more). */
static void *counted_object(Daemon *daemon, const CountedProperty *property, const char *path)
{
    if (strcmp(property->interface, BUS_EXCHANGE_INTERFACE) == 0)
        return bus_exchange_of_path(daemon, path);
    return strcmp(path, BUS_MANAGER_PATH) == 0 ? daemon : NULL;
}

/* A variant, filled as the property's getter does it. */
static int get_reply(Daemon *daemon, sd_bus_message *call, const CountedProperty *property)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    void *object = counted_object(daemon, property, sd_bus_message_get_path(call));
    int r;

    if (!object) {
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT,
                                          "There is no such exchange any more");
    }
    r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', property->type);
    if (r >= 0) {
        r = object == daemon
                ? bus_manager_get(NULL, NULL, NULL, property->name, reply, object, NULL)
                : bus_exchange_get(NULL, NULL, NULL, property->name, reply, object, NULL);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_message_send(reply);
}

void bus_exchange_children_counted(Daemon *daemon)
{
    for (size_t i = 0; i < daemon->n_counting; i++) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = steal_pointer(daemon->counting[i]);
        const CountedProperty *property = counted_find(call);
        int r = property ? get_reply(daemon, call, property) : 0;

        if (r < 0)
            log_warning("Counters could not be answered: %s", strerror(-r));
    }
    daemon->n_counting = 0;
}

static void counted(void *userdata)
{
    bus_exchange_children_counted(userdata);
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

int bus_counters_filter(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    Daemon *daemon = userdata;
    const CountedProperty *property = counted_find(call);

    (void)error;
    /* With too many who wait, it is answered like any property: as they last came, a moment ago. */
    if (!property || !counted_object(daemon, property, sd_bus_message_get_path(call)) ||
        daemon->n_counting == DAEMON_COUNTING_MAX)
        return 0;
    daemon->counting[daemon->n_counting++] = sd_bus_message_ref(call);
    if (count_soon(daemon) < 0)
        bus_exchange_children_counted(daemon);
    return 1;
}

/* What do an exchange's Child SAs carry? The property Children. */
#include "base/cleanup.h"
#include "tred/bus_exchange.h"

#include <stddef.h>
#include <string.h>

typedef struct CounterName {
    const char *name;
    size_t offset; /* in SaCounters; each is a uint64_t */
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
    {"IdleInMilliseconds", offsetof(SaCounters, idle_in_ms)},
    {"IdleOutMilliseconds", offsetof(SaCounters, idle_out_ms)},
};

static int append_child(sd_bus_message *reply, const ChildStatus *child)
{
    int r = sd_bus_message_open_container(reply, 'a', "{sv}");

    if (r >= 0) {
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "SpiIn", "u", child->spi_in, "SpiOut", "u",
                                  child->spi_out, "Suite", "s", child->suite);
    }
    for (size_t i = 0; r >= 0 && i < ELEMENTS(counter_names); i++) {
        uint64_t value;

        memcpy(&value, (const char *)&child->counters + counter_names[i].offset, sizeof(value));
        r = sd_bus_message_append(reply, "{sv}", counter_names[i].name, "t", value);
    }
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

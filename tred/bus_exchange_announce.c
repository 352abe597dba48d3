/* What tred says of exchanges by itself: signals, properties that have changed, objects that come
 * and go. */
#include "tred/bus_exchange.h"

#include "base/log.h"
#include "base/messages.h"
#include "tred/key_care.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { CHANGES_USEC = 20 * 1000 }; /* a handshake's changes make one signal */

static LogFields fields_of(const CallerExchange *held, const char *message_id, const char *error)
{
    return (LogFields){.message_id = message_id,
                       .peer = held->caller->daemon->config.segw_name,
                       .spi = exchange_spi_i(held->exchange),
                       .error = error};
}

void bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    const Daemon *daemon = held->caller->daemon;
    char path[BUS_PATH_SIZE];
    int r;

    const LogFields fields = fields_of(held, MESSAGE_EXCHANGE_CLOSED, reason);

    log_fields(daemon_is_ending(daemon) ? LOG_INFO : LOG_NOTICE, &fields,
               "Exchange %" PRIu64 " is closed: %s", held->number, reason);
    if (sd_bus_is_open(daemon->bus) <= 0) /* its owner has seen the bus go, too */
        return;
    bus_exchange_path(held, path);
    r = sd_bus_emit_signal(daemon->bus, path, BUS_EXCHANGE_INTERFACE, "Closed", "s", reason);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

void bus_exchange_lifetime_reached(const CallerExchange *held, uint32_t spi_in, bool hard)
{
    char path[BUS_PATH_SIZE];
    int r;

    const LogFields fields = fields_of(held, MESSAGE_LIFETIME_REACHED, NULL);

    log_fields(LOG_NOTICE, &fields,
               "Exchange %" PRIu64 ": Child SA %08x has reached its %s lifetime", held->number,
               spi_in, hard ? "hard" : "soft");
    bus_exchange_path(held, path);
    r = sd_bus_emit_signal(held->caller->daemon->bus, path, BUS_EXCHANGE_INTERFACE,
                           "LifetimeReached", "ub", spi_in, hard);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

void bus_exchange_expires_soon(const CallerExchange *held, time_t when)
{
    char path[BUS_PATH_SIZE];
    int r;

    const LogFields fields = fields_of(held, MESSAGE_CERTIFICATE_EXPIRES, NULL);

    log_fields(LOG_NOTICE, &fields,
               "Exchange %" PRIu64 ": a certificate that it rests on expires soon", held->number);
    bus_exchange_path(held, path);
    r = sd_bus_emit_signal(held->caller->daemon->bus, path, BUS_EXCHANGE_INTERFACE, "ExpiresSoon",
                           "t", (uint64_t)when);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

static int append_state(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "s", exchange_state_name(exchange_state(held->exchange)));
}

static int append_spi_i(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "t", exchange_spi_i(held->exchange));
}

static int append_spi_r(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "t", exchange_spi_r(held->exchange));
}

static int append_suite(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "s", exchange_suite_name(held->exchange));
}

static int append_peer_identity(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "s", exchange_peer_identity(held->exchange));
}

static int append_peer_expires(sd_bus_message *message, CallerExchange *held)
{
    return sd_bus_message_append(message, "t", (uint64_t)exchange_peer_expires(held->exchange));
}

static int append_children(sd_bus_message *message, CallerExchange *held)
{
    return bus_exchange_get_children(NULL, NULL, NULL, NULL, message, held, NULL);
}

static const struct {
    unsigned changed; /* ExchangeProperty; 0: not announced by itself */
    char name[24];
    const char *type;
    int (*append)(sd_bus_message *message, CallerExchange *held);
} properties[] = {
    {EXCHANGE_PROPERTY_STATE, "State", "s", append_state},
    {0, "SpiI", "t", append_spi_i},
    {EXCHANGE_PROPERTY_SPI_R, "SpiR", "t", append_spi_r},
    {EXCHANGE_PROPERTY_SUITE, "Suite", "s", append_suite},
    {EXCHANGE_PROPERTY_PEER_IDENTITY, "PeerIdentity", "s", append_peer_identity},
    {EXCHANGE_PROPERTY_PEER_IDENTITY, "PeerCertificateExpires", "t", append_peer_expires},
    {0, "Children", "aa{sv}", append_children},
};

int bus_exchange_get_property(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)error;
    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        if (strcmp(properties[i].name, property) == 0)
            return properties[i].append(reply, userdata);
    }
    return -ENOENT; /* the vtable has no other */
}

static void changes_emit(CallerExchange *held)
{
    char names[ELEMENTS(properties)][sizeof(properties[0].name)];
    char *list[ELEMENTS(properties) + 1] = {0}; /* sd-bus has no const, and only reads */
    char path[BUS_PATH_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        if (!(held->changed & properties[i].changed))
            continue;
        memcpy(names[count], properties[i].name, sizeof(names[count]));
        list[count] = names[count];
        count++;
    }
    bus_exchange_path(held, path);
    (void)sd_bus_emit_properties_changed_strv(held->caller->daemon->bus, path,
                                              BUS_EXCHANGE_INTERFACE, list);
}

static int properties_append(sd_bus_message *signal, CallerExchange *held)
{
    int r = sd_bus_message_open_container(signal, 'a', "{sv}");

    for (size_t i = 0; r >= 0 && i < ELEMENTS(properties); i++) {
        r = sd_bus_message_open_container(signal, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(signal, "s", properties[i].name);
        if (r >= 0)
            r = sd_bus_message_open_container(signal, 'v', properties[i].type);
        if (r >= 0)
            r = properties[i].append(signal, held);
        if (r >= 0)
            r = sd_bus_message_close_container(signal);
        if (r >= 0)
            r = sd_bus_message_close_container(signal);
    }
    return r < 0 ? r : sd_bus_message_close_container(signal);
}

static int added_append(sd_bus_message *signal, CallerExchange *held)
{
    int r = sd_bus_message_open_container(signal, 'a', "{sa{sv}}");

    if (r >= 0)
        r = sd_bus_message_open_container(signal, 'e', "sa{sv}");
    if (r >= 0)
        r = sd_bus_message_append(signal, "s", BUS_EXCHANGE_INTERFACE);
    if (r >= 0)
        r = properties_append(signal, held);
    if (r >= 0)
        r = sd_bus_message_close_container(signal);
    return r < 0 ? r : sd_bus_message_close_container(signal);
}

/* InterfacesAdded or InterfacesRemoved, to the owner alone, who alone is shown it by
 * GetManagedObjects. */
static void object_emit(CallerExchange *held, bool added)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
    char path[BUS_PATH_SIZE];
    int r = sd_bus_message_new_signal(held->caller->daemon->bus, &signal, BUS_OBJECTS_PATH,
                                      "org.freedesktop.DBus.ObjectManager",
                                      added ? "InterfacesAdded" : "InterfacesRemoved");

    bus_exchange_path(held, path);
    if (r >= 0)
        r = sd_bus_message_set_destination(signal, held->caller->name);
    if (r >= 0)
        r = sd_bus_message_append(signal, "o", path);
    if (r >= 0) {
        r = added ? added_append(signal, held)
                  : sd_bus_message_append(signal, "as", 1, BUS_EXCHANGE_INTERFACE);
    }
    if (r >= 0)
        r = sd_bus_message_send(signal);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

static void announce(CallerExchange *held)
{
    if (held->changed & EXCHANGE_ADDED)
        object_emit(held, true);
    if (held->changed & ~(unsigned)EXCHANGE_ADDED)
        changes_emit(held);
    held->changed = 0;
}

void bus_exchange_gone(CallerExchange *held)
{
    if (!(held->changed & EXCHANGE_ADDED) && sd_bus_is_open(held->caller->daemon->bus) > 0)
        object_emit(held, false);
}

static int on_changes(sd_event_source *source, uint64_t usec, void *userdata)
{
    const Daemon *daemon = userdata;

    (void)source, (void)usec;
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (held->changed)
                announce(held);
        }
    }
    return 0;
}

void bus_exchange_changed(CallerExchange *held, unsigned changed)
{
    const Daemon *daemon = held->caller->daemon;
    int enabled = SD_EVENT_OFF;
    int r = sd_event_source_get_enabled(daemon->changes, &enabled);

    held->changed |= changed;
    if (r >= 0 && enabled == SD_EVENT_OFF) {
        r = sd_event_source_set_time_relative(daemon->changes, CHANGES_USEC);
        if (r >= 0)
            r = sd_event_source_set_enabled(daemon->changes, SD_EVENT_ONESHOT);
    }
    if (r < 0)
        announce(held);
}

int bus_exchange_announce_begin(Daemon *daemon)
{
    int r = sd_event_add_time_relative(daemon->event, &daemon->changes, CLOCK_MONOTONIC,
                                       CHANGES_USEC, CHANGES_USEC, on_changes, daemon);

    return r < 0 ? r : sd_event_source_set_enabled(daemon->changes, SD_EVENT_OFF);
}

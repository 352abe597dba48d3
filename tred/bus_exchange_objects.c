/* Exchanges as objects that come and go (org.freedesktop.DBus.ObjectManager): told to the owner
 * alone, who alone is shown them by GetManagedObjects. */
#include "tred/bus_exchange_internal.h"

#include "base/log.h"
#include "tred/callers.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *name, *type;
} properties[] = {
    {"State", "s"},         {"SpiI", "t"},         {"SpiR", "t"},
    {"Suite", "s"},         {"PeerIdentity", "s"}, {"PeerCertificateExpires", "t"},
    {"Children", "aa{sv}"},
};

static int property_append(sd_bus_message *signal, CallerExchange *held, const char *name,
                           const char *type)
{
    int r = sd_bus_message_open_container(signal, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append(signal, "s", name);
    if (r >= 0)
        r = sd_bus_message_open_container(signal, 'v', type);
    if (r >= 0)
        r = bus_exchange_get(NULL, NULL, NULL, name, signal, held, NULL);
    if (r >= 0)
        r = sd_bus_message_close_container(signal);
    return r < 0 ? r : sd_bus_message_close_container(signal);
}

/* The one interface with its properties: a{sa{sv}}. */
static int interface_append(sd_bus_message *signal, CallerExchange *held)
{
    int r = sd_bus_message_open_container(signal, 'a', "{sa{sv}}");

    if (r >= 0)
        r = sd_bus_message_open_container(signal, 'e', "sa{sv}");
    if (r >= 0)
        r = sd_bus_message_append(signal, "s", BUS_EXCHANGE_INTERFACE);
    if (r >= 0)
        r = sd_bus_message_open_container(signal, 'a', "{sv}");
    for (size_t i = 0; r >= 0 && i < ELEMENTS(properties); i++)
        r = property_append(signal, held, properties[i].name, properties[i].type);
    for (int depth = 0; r >= 0 && depth < 3; depth++)
        r = sd_bus_message_close_container(signal);
    return r;
}

void bus_exchange_object_tell(CallerExchange *held, bool added)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
    sd_bus *bus = held->caller->daemon->bus;
    char path[BUS_PATH_SIZE];
    int r;

    if (sd_bus_is_open(bus) <= 0) /* it has seen the bus go, too */
        return;
    bus_exchange_path(held, path);
    r = sd_bus_message_new_signal(bus, &signal, BUS_OBJECTS_PATH,
                                  "org.freedesktop.DBus.ObjectManager",
                                  added ? "InterfacesAdded" : "InterfacesRemoved");
    if (r >= 0)
        r = sd_bus_message_set_destination(signal, held->caller->name);
    if (r >= 0)
        r = sd_bus_message_append(signal, "o", path);
    if (r >= 0) {
        r = added ? interface_append(signal, held)
                  : sd_bus_message_append(signal, "as", 1, BUS_EXCHANGE_INTERFACE);
    }
    if (r >= 0)
        r = sd_bus_message_send(signal);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

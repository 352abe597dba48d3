/* What both services say of themselves at one moment, as JSON. */
#include "trectl/snapshot.h"

#include "base/cleanup.h"
#include "trectl/busjson.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A number of 64 bits is more than JSON's readers can be trusted with. */
static void spi_rewrite(json_object *object, const char *name, int digits)
{
    json_object *found = NULL;
    char text[2 * sizeof(uint64_t) + 1];

    if (!json_object_object_get_ex(object, name, &found))
        return;
    (void)snprintf(text, sizeof(text), "%0*" PRIx64, digits, json_object_get_uint64(found));
    (void)json_object_object_add(object, name, json_object_new_string(text));
}

static void children_rewrite(json_object *children)
{
    for (size_t i = 0; i < json_count(children); i++) {
        json_object *child = json_item(children, i);

        spi_rewrite(child, "SpiIn", 2 * (int)sizeof(uint32_t));
        spi_rewrite(child, "SpiOut", 2 * (int)sizeof(uint32_t));
    }
}

/* One that is not there any more is no exchange. */
static json_object *exchange_take(sd_bus *bus, const char *path)
{
    json_object *exchange = NULL, *children = NULL;

    if (strcmp(path, "") == 0 || strcmp(path, "/") == 0)
        return NULL;
    /* First, as this has them counted. */
    if (bus_json_property(bus, BUS_NAME, path, BUS_EXCHANGE_INTERFACE, "Children", &children) < 0)
        return NULL;
    if (bus_json_properties(bus, BUS_NAME, path, BUS_EXCHANGE_INTERFACE, &exchange) < 0) {
        json_object_put(children);
        return NULL;
    }
    children_rewrite(children);
    spi_rewrite(exchange, "SpiI", 2 * (int)sizeof(uint64_t));
    spi_rewrite(exchange, "SpiR", 2 * (int)sizeof(uint64_t));
    (void)json_object_object_add(exchange, "Children", children);
    return exchange;
}

static json_object *tre_take(sd_bus *bus)
{
    json_object *tre = NULL, *totals = NULL;

    /* First, as this has all of them counted. */
    (void)bus_json_property(bus, BUS_NAME, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE, "Totals",
                            &totals);
    if (bus_json_properties(bus, BUS_NAME, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE, &tre) < 0) {
        json_object_put(totals);
        return NULL;
    }
    json_object_object_del(tre, "CertificateChain");
    json_object_object_del(tre, "AnchorHashes");
    if (totals)
        (void)json_object_object_add(tre, "Totals", totals);
    return tre;
}

json_object *client_connections(sd_bus *bus)
{
    json_object *connections = NULL;

    (void)bus_json_property(bus, CLIENT_NAME, CLIENT_PATH, CLIENT_INTERFACE, "Connections",
                            &connections);
    return connections;
}

const char *client_connection_name(json_object *connections, size_t i)
{
    return json_object_get_string(json_item(json_item(connections, i), 0));
}

json_object *client_connection_take(sd_bus *bus, json_object *connections, size_t i)
{
    const char *path = json_object_get_string(json_item(json_item(connections, i), 1));
    json_object *client = NULL;

    (void)bus_json_properties(bus, CLIENT_NAME, path, CLIENT_INTERFACE, &client);
    return client;
}

int client_path_find(sd_bus *bus, const char *name, char **ret, Reason *reason)
{
    _cleanup_(json_object_putp) json_object *connections = NULL;
    const char *path = name ? NULL : CLIENT_PATH;

    if (name)
        connections = client_connections(bus);
    for (size_t i = 0; name && i < json_count(connections); i++) {
        if (strcmp(client_connection_name(connections, i), name) == 0)
            path = json_object_get_string(json_item(json_item(connections, i), 1));
    }
    if (!path && json_count(connections) == 0) {
        return reason_set(reason, -ENXIO,
                          "ikeclient does not run. Start it: systemctl start ikeclient");
    }
    if (!path) {
        return reason_set(reason, -ENOENT,
                          "ikeclient has no connection %s; write [connection %s] into "
                          "ikeclient.conf, or see trectl status for those that it has",
                          name, name);
    }
    *ret = strdup(path);
    return *ret ? 0 : reason_set(reason, -ENOMEM, "out of memory");
}

/* Each with its properties, and its exchange by its name, where there are several. */
static int connections_take(sd_bus *bus, json_object *snapshot)
{
    _cleanup_(json_object_putp) json_object *connections = client_connections(bus);
    json_object *taken, *exchanges;

    if (json_count(connections) <= 1)
        return 0;
    taken = json_object_new_array();
    exchanges = json_object_new_object();
    (void)json_object_object_add(snapshot, "Connections", taken);
    (void)json_object_object_add(snapshot, "Exchanges", exchanges);
    for (size_t i = 0; taken && exchanges && i < json_count(connections); i++) {
        json_object *client = client_connection_take(bus, connections, i);

        if (!client)
            continue;
        json_object_object_del(client, "Steps");
        (void)json_object_array_add(taken, client);
        (void)json_object_object_add(exchanges, json_text(client, "Name"),
                                     exchange_take(bus, json_text(client, "Exchange")));
    }
    return taken && exchanges ? 0 : -ENOMEM;
}

int snapshot_take(sd_bus *bus, const char *client_path, json_object **ret)
{
    json_object *snapshot = json_object_new_object(), *client = NULL;

    if (!snapshot)
        return -ENOMEM;
    (void)bus_json_properties(bus, CLIENT_NAME, client_path, CLIENT_INTERFACE, &client);
    (void)json_object_object_add(snapshot, "Time", json_object_new_int64(time(NULL)));
    (void)json_object_object_add(snapshot, "TrE", tre_take(bus));
    (void)json_object_object_add(snapshot, "IkeClient", client);
    (void)json_object_object_add(snapshot, "Exchange",
                                 client ? exchange_take(bus, json_text(client, "Exchange")) : NULL);
    int r = connections_take(bus, snapshot);
    if (r < 0) {
        json_object_put(snapshot);
        return r;
    }
    *ret = snapshot;
    return 0;
}

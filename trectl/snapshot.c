/* Asks both services. */
#include "trectl/snapshot.h"

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

/* An ikeclient that does not run has none. */
static json_object *connections_read(sd_bus *bus)
{
    json_object *connections = NULL;

    (void)bus_json_property(bus, CLIENT_NAME, CLIENT_PATH, CLIENT_INTERFACE, "Connections",
                            &connections);
    return connections;
}

static const char *connection_text(json_object *connection, size_t i)
{
    return json_object_get_string(json_item(connection, i));
}

int client_path_find(sd_bus *bus, const char *name, char **ret, Reason *reason)
{
    _cleanup_(json_object_putp) json_object *connections = NULL;
    const char *path = name ? NULL : CLIENT_PATH;

    if (name)
        connections = connections_read(bus);
    for (size_t i = 0; name && i < json_count(connections); i++) {
        json_object *connection = json_item(connections, i);

        if (strcmp(connection_text(connection, 0), name) == 0)
            path = connection_text(connection, 1);
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

/* Each with its properties; NULL where there is but one. */
static json_object *connections_take(sd_bus *bus)
{
    _cleanup_(json_object_putp) json_object *connections = connections_read(bus);
    json_object *taken = json_count(connections) > 1 ? json_object_new_array() : NULL;

    for (size_t i = 0; taken && i < json_count(connections); i++) {
        json_object *client = NULL;

        if (bus_json_properties(bus, CLIENT_NAME, connection_text(json_item(connections, i), 1),
                                CLIENT_INTERFACE, &client) >= 0) {
            json_object_object_del(client, "Steps");
            (void)json_object_array_add(taken, client);
        }
    }
    return taken;
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
    json_object *connections = connections_take(bus);
    if (connections)
        (void)json_object_object_add(snapshot, "Connections", connections);
    *ret = snapshot;
    return 0;
}

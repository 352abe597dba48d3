/* What both services say of themselves, as JSON. */
#include "trectl/snapshot.h"

#include "tred/bus_connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- D-Bus values to JSON ---- */

/* What anybody on the bus can make us go down into; tred's own values go four deep. */
enum { DEPTH_MAX = 16 };

/* Both services answer within milliseconds; one that hangs is not waited for like one that works.
 */
enum { PATIENCE_USEC = 5 * 1000 * 1000 };

static int value_read(sd_bus_message *message, unsigned depth, json_object **ret);

static int number_read(sd_bus_message *message, char type, json_object **ret)
{
    union {
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
    } value = {0};
    int r = sd_bus_message_read_basic(message, type, &value);

    if (r < 0)
        return r;
    switch (type) {
    case 'y':
        *ret = json_object_new_int(value.y);
        break;
    case 'b':
        *ret = json_object_new_boolean(value.b);
        break;
    case 'n':
        *ret = json_object_new_int(value.n);
        break;
    case 'q':
        *ret = json_object_new_int(value.q);
        break;
    case 'i':
        *ret = json_object_new_int(value.i);
        break;
    case 'u':
        *ret = json_object_new_uint64(value.u);
        break;
    case 'x':
        *ret = json_object_new_int64(value.x);
        break;
    case 't':
        *ret = json_object_new_uint64(value.t);
        break;
    case 'd':
        *ret = json_object_new_double(value.d);
        break;
    default:
        return -EOPNOTSUPP;
    }
    return *ret ? 0 : -ENOMEM;
}

static int text_read(sd_bus_message *message, char type, json_object **ret)
{
    const char *text = NULL;
    int r = sd_bus_message_read_basic(message, type, &text);

    if (r < 0)
        return r;
    *ret = json_object_new_string(text);
    return *ret ? 0 : -ENOMEM;
}

static int octets_read(sd_bus_message *message, json_object **ret)
{
    static const char digits[] = "0123456789abcdef";
    const void *data = NULL;
    size_t size = 0;
    int r = sd_bus_message_read_array(message, 'y', &data, &size);

    if (r < 0)
        return r;
    _cleanup_(free_charp) char *text = malloc(2 * size + 1);
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++) {
        const uint8_t octet = ((const uint8_t *)data)[i];

        text[2 * i] = digits[octet >> 4];
        text[2 * i + 1] = digits[octet & 15];
    }
    text[2 * size] = '\0';
    *ret = json_object_new_string(text);
    return *ret ? 0 : -ENOMEM;
}

static int entry_read(sd_bus_message *message, unsigned depth, json_object *object)
{
    _cleanup_(json_object_putp) json_object *key = NULL, *value = NULL;
    int r = sd_bus_message_enter_container(message, 'e', NULL);

    if (r <= 0)
        return r;
    r = value_read(message, depth, &key);
    if (r >= 0)
        r = value_read(message, depth, &value);
    if (r >= 0 && json_object_object_add(object, json_object_get_string(key), value) < 0)
        r = -ENOMEM;
    if (r < 0)
        return r;
    value = NULL; /* the object's now */
    r = sd_bus_message_exit_container(message);
    return r < 0 ? r : 1;
}

/* What is in an array or a structure, one after the other; a dictionary's entries. */
static int container_read(sd_bus_message *message, char type, const char *contents, unsigned depth,
                          json_object **ret)
{
    const bool dictionary = type == 'a' && contents[0] == '{';
    _cleanup_(json_object_putp) json_object *made =
        dictionary ? json_object_new_object() : json_object_new_array();
    int r = made ? sd_bus_message_enter_container(message, type, contents) : -ENOMEM;

    while (r >= 0 && sd_bus_message_at_end(message, false) == 0) {
        json_object *item = NULL;

        if (dictionary) {
            r = entry_read(message, depth, made);
            continue;
        }
        r = value_read(message, depth, &item);
        if (r >= 0 && json_object_array_add(made, item) < 0) {
            json_object_put(item);
            r = -ENOMEM;
        }
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return r;
    *ret = steal_pointer(made);
    return 0;
}

static int variant_read(sd_bus_message *message, const char *contents, unsigned depth,
                        json_object **ret)
{
    int r = sd_bus_message_enter_container(message, 'v', contents);

    if (r >= 0)
        r = value_read(message, depth, ret);
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    return r;
}

static int value_read(sd_bus_message *message, unsigned depth, json_object **ret)
{
    const char *contents = NULL;
    char type = 0;
    int r = sd_bus_message_peek_type(message, &type, &contents);

    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    if (depth == DEPTH_MAX)
        return -EMSGSIZE;
    switch (type) {
    case 's':
    case 'o':
    case 'g':
        return text_read(message, type, ret);
    case 'a':
        return strcmp(contents, "y") == 0 ? octets_read(message, ret)
                                          : container_read(message, type, contents, depth + 1, ret);
    case 'r':
        return container_read(message, type, contents, depth + 1, ret);
    case 'v':
        return variant_read(message, contents, depth + 1, ret);
    default:
        return number_read(message, type, ret);
    }
}

int bus_json_read(sd_bus_message *message, json_object **ret)
{
    *ret = NULL;
    int r = value_read(message, 0, ret);

    if (r < 0) {
        json_object_put(*ret);
        *ret = NULL;
    }
    return r;
}

static int properties_call(sd_bus *bus, const char *name, const char *path, const char *interface,
                           const char *property, json_object **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
    int r = sd_bus_message_new_method_call(
        bus, &call, name, path, "org.freedesktop.DBus.Properties", property ? "Get" : "GetAll");

    if (r >= 0)
        r = sd_bus_message_set_auto_start(call, false);
    if (r >= 0)
        r = sd_bus_message_append(call, "s", interface);
    if (r >= 0 && property)
        r = sd_bus_message_append(call, "s", property);
    if (r >= 0)
        r = sd_bus_call(bus, call, PATIENCE_USEC, NULL, &reply);
    return r < 0 ? r : bus_json_read(reply, ret);
}

int bus_json_properties(sd_bus *bus, const char *name, const char *path, const char *interface,
                        json_object **ret)
{
    int r = properties_call(bus, name, path, interface, NULL, ret);

    if (r == 0 && !json_object_is_type(*ret, json_type_object)) {
        json_object_put(*ret);
        *ret = NULL;
        r = -EBADMSG;
    }
    return r;
}

int bus_json_property(sd_bus *bus, const char *name, const char *path, const char *interface,
                      const char *property, json_object **ret)
{
    return properties_call(bus, name, path, interface, property, ret);
}

json_object *json_member(json_object *object, const char *member)
{
    json_object *found = NULL;

    (void)json_object_object_get_ex(object, member, &found);
    return found;
}

const char *json_text(json_object *object, const char *member)
{
    json_object *found = json_member(object, member);

    return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : "";
}

uint64_t json_number(json_object *object, const char *member)
{
    return json_object_get_uint64(json_member(object, member));
}

size_t json_count(json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

json_object *json_item(json_object *array, size_t i)
{
    return i < json_count(array) ? json_object_array_get_idx(array, i) : NULL;
}

/* ---- both services at one moment ---- */

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

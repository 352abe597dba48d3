/* The connection on the bus: its object with methods and signals. */
#include "ikeclient/bus.h"

#include "ikeclient/bus_properties.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME "org.tred.IkeClient1"
#define PATH "/org/tred/IkeClient1"
#define INTERFACE "org.tred.IkeClient1"

#define CONNECTIONS_PATH PATH "/connection"

/* Above the object itself, as ObjectManager shows what is below it. */
#define MANAGER_PATH "/org/tred"

struct BusObject {
    BusFace *face;
    Connection *connection;
    char *path;
    BusTold told;
};

struct BusFace {
    sd_bus *bus;
    sd_bus_slot *manager;
    sd_bus_slot *slot;     /* of the client's own object, which is the first one's, too */
    sd_bus_slot *fallback; /* of all that are below CONNECTIONS_PATH */
    sd_bus_slot *enumerator;
    size_t count;
    BusObject **objects;
};

/* ---- properties ---- */

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus, (void)path, (void)interface, (void)error;

    connection_info(object->connection, &info);
    return bus_property_append(&info, property, reply);
}

static int get_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    (void)bus, (void)path, (void)interface, (void)property, (void)error;

    return sd_bus_message_append(reply, "s", connection_name(object->connection));
}

static int get_connections(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error)
{
    const BusFace *face = ((const BusObject *)userdata)->face;
    (void)bus, (void)path, (void)interface, (void)property, (void)error;

    int r = sd_bus_message_open_container(reply, 'a', "(so)");
    for (size_t i = 0; r >= 0 && i < face->count; i++) {
        r = sd_bus_message_append(reply, "(so)", connection_name(face->objects[i]->connection),
                                  face->objects[i]->path);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- methods ---- */

static int method_rekey_child_sas(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    (void)error;

    connection_rekey(object->connection, false);
    return sd_bus_reply_method_return(m, "");
}

static int method_rekey_ike_sa(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    (void)error;

    connection_rekey(object->connection, true);
    return sd_bus_reply_method_return(m, "");
}

static int method_connect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    (void)error;

    connection_open(object->connection);
    return sd_bus_reply_method_return(m, "");
}

static int method_disconnect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    (void)error;

    connection_close(object->connection);
    return sd_bus_reply_method_return(m, "");
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    /* Read by Get alone: were all of them described with each, a description of 1,000 would be
     * larger than the bus lets through, which then closes the sender's connection. */
    SD_BUS_PROPERTY("Connections", "a(so)", get_connections, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
    SD_BUS_PROPERTY("State", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("LastError", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Identity", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("SegwIdentity", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("SegwAddress", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Suite", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("EspSuite", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("ExternalAddress", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Interface", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Addresses", "as", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("DnsServers", "as", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("ChildSas", "a(uus)", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("NamedChildSas", "a(sus)", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("NatDetected", "b", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Exchange", "o", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("EstablishedSince", "t", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("NextAttempt", "t", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Steps", "a(ttussss)", get_property, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Totals", "a{st}", get_property, 0, 0),
    /* Who may call is said by the bus policy, org.tred.IkeClient1.conf: were it asked here, each
     * call would wait for the bus to tell who made it. */
    SD_BUS_METHOD("Connect", "", "", method_connect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Disconnect", "", "", method_disconnect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RekeyChildSas", "", "", method_rekey_child_sas, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RekeyIkeSa", "", "", method_rekey_ike_sa, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL_WITH_NAMES("Established", "sas",
                             SD_BUS_PARAM(segw_identity) SD_BUS_PARAM(addresses), 0),
    SD_BUS_SIGNAL_WITH_NAMES("Closed", "s", SD_BUS_PARAM(reason), 0),
    SD_BUS_VTABLE_END,
};

/* ---- the objects ---- */

static int find_object(sd_bus *bus, const char *path, const char *interface, void *userdata,
                       void **ret, sd_bus_error *error)
{
    const BusFace *face = userdata;
    (void)bus, (void)interface, (void)error;

    for (size_t i = 0; i < face->count; i++) {
        if (strcmp(face->objects[i]->path, path) == 0) {
            *ret = face->objects[i];
            return 1;
        }
    }
    return 0;
}

static int list_objects(sd_bus *bus, const char *prefix, void *userdata, char ***ret,
                        sd_bus_error *error)
{
    const BusFace *face = userdata;
    (void)bus, (void)prefix, (void)error;

    char **paths = calloc(face->count + 1, sizeof(*paths)); /* sd-bus frees it, and what is in it */
    for (size_t i = 0; paths && i < face->count; i++)
        paths[i] = strdup(face->objects[i]->path); /* NULL: those behind it are not listed */
    *ret = paths;
    return paths ? 0 : -ENOMEM;
}

int bus_face_new(sd_bus *bus, BusFace **ret)
{
    _cleanup_(bus_face_freep) BusFace *face = calloc(1, sizeof(*face));

    if (!face)
        return -ENOMEM;
    face->bus = bus;
    int r = sd_bus_add_object_manager(bus, &face->manager, MANAGER_PATH);
    if (r >= 0) {
        r = sd_bus_add_fallback_vtable(bus, &face->fallback, CONNECTIONS_PATH, INTERFACE, vtable,
                                       find_object, face);
    }
    if (r >= 0) {
        r = sd_bus_add_node_enumerator(bus, &face->enumerator, CONNECTIONS_PATH, list_objects,
                                       face);
    }
    if (r < 0)
        return r;
    *ret = steal_pointer(face);
    return 0;
}

static void object_free(BusObject *object)
{
    bus_told_deinit(&object->told);
    free(object->path);
    free(object);
}

int bus_face_add(BusFace *face, Connection *connection, BusObject **ret)
{
    BusObject **objects = reallocarray(face->objects, face->count + 1, sizeof(BusObject *));
    ConnectionInfo info;

    if (!objects)
        return -ENOMEM;
    face->objects = objects;
    BusObject *object = calloc(1, sizeof(*object));
    if (!object)
        return -ENOMEM;
    *object = (BusObject){.face = face, .connection = connection};
    objects[face->count++] = object;
    int r = sd_bus_path_encode(CONNECTIONS_PATH, connection_name(connection), &object->path);
    if (r >= 0 && face->count == 1)
        r = sd_bus_add_object_vtable(face->bus, &face->slot, PATH, INTERFACE, vtable, object);
    if (r < 0) {
        face->count--;
        object_free(object);
        return r;
    }
    connection_info(connection, &info);
    (void)bus_told_update(&object->told, &info); /* what a reader finds from now on */
    *ret = object;
    return 0;
}

void bus_face_free(BusFace *face)
{
    sd_bus_slot_unref(face->enumerator);
    sd_bus_slot_unref(face->fallback);
    sd_bus_slot_unref(face->slot);
    sd_bus_slot_unref(face->manager);
    for (size_t i = 0; i < face->count; i++)
        object_free(face->objects[i]);
    free(face->objects);
    free(face);
}

int bus_face_claim_name(sd_bus *bus)
{
    int r = sd_bus_request_name(bus, NAME, 0);
    return r < 0 ? r : 0;
}

/* ---- signals: one that can't be sent is like one that nobody heard ---- */

/* Where an object is seen: below CONNECTIONS_PATH, and the first one as the client, too. */
static size_t paths_of(const BusObject *object, const char *paths[2])
{
    paths[0] = object->path;
    paths[1] = PATH;
    return object->face->objects[0] == object ? 2 : 1;
}

/* As sd_bus_emit_properties_changed() does, which looks each property up again in each vtable on
 * the way to the object. */
static void emit_changes(const BusObject *object, const char *path, const ConnectionInfo *info,
                         uint32_t changed)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

    int r = sd_bus_message_new_signal(object->face->bus, &m, path,
                                      "org.freedesktop.DBus.Properties", "PropertiesChanged");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', INTERFACE);
    if (r >= 0)
        r = bus_properties_append(info, changed, m);
    if (r >= 0)
        (void)sd_bus_send(object->face->bus, m, NULL);
}

void bus_object_changed(BusObject *object)
{
    const char *paths[2];
    ConnectionInfo info;

    connection_info(object->connection, &info);
    const uint32_t changed = bus_told_update(&object->told, &info);
    if (changed == 0)
        return;
    for (size_t i = paths_of(object, paths); i > 0; i--)
        emit_changes(object, paths[i - 1], &info, changed);
}

static void emit_established(const BusObject *object, const char *path)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    ConnectionInfo info;

    connection_info(object->connection, &info);
    int r = sd_bus_message_new_signal(object->face->bus, &m, path, INTERFACE, "Established");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", info.sa.segw_identity);
    if (r >= 0)
        r = bus_property_append(&info, "Addresses", m);
    if (r >= 0)
        (void)sd_bus_send(object->face->bus, m, NULL);
}

void bus_object_established(BusObject *object)
{
    const char *paths[2];

    for (size_t i = paths_of(object, paths); i > 0; i--)
        emit_established(object, paths[i - 1]);
}

void bus_object_closed(BusObject *object, const char *reason)
{
    const char *paths[2];

    for (size_t i = paths_of(object, paths); i > 0; i--) {
        (void)sd_bus_emit_signal(object->face->bus, paths[i - 1], INTERFACE, "Closed", "s", reason);
    }
}

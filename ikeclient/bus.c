/* The connection on the bus: its properties, methods and signals. */
#include "ikeclient/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "org.tred.IkeClient1"
#define PATH "/org/tred/IkeClient1"
#define INTERFACE "org.tred.IkeClient1"

#define CONNECTIONS_PATH PATH "/connection"

/* Above the object itself, as ObjectManager shows what is below it. */
#define MANAGER_PATH "/org/tred"

enum { PROPERTIES = 17, NUMBER_SIZE = 24, CHILDREN_TEXT_SIZE = 512 };

struct BusObject {
    BusFace *face;
    Connection *connection;
    char *path;
    char *told[PROPERTIES]; /* the values of the last PropertiesChanged; NULL: none yet */
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

static int append_addresses(sd_bus_message *m, const InnerAddress *addresses, size_t count,
                            bool prefix)
{
    int r = sd_bus_message_open_container(m, 'a', "s");
    for (size_t i = 0; r >= 0 && i < count; i++) {
        char text[CHILD_ADDRESS_TEXT_SIZE];
        r = sd_bus_message_append(m, "s", inner_address_text(&addresses[i], prefix, text));
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* tred's object; "/" where there is none. */
static const char *exchange_path(const ConnectionInfo *info)
{
    return info->sa.exchange[0] != 0 ? info->sa.exchange : "/";
}

/* What the first child of `info` was granted, or nothing of all. */
static const ChildAnswer *child_of(const ConnectionInfo *info)
{
    static const ChildAnswer none;

    return info->sa.children ? &info->sa.children->answer : &none;
}

/* The properties that are text; the bus is told of those that have changed. */
static const char *const text_names[] = {"State",       "LastError", "Identity", "SegwIdentity",
                                         "SegwAddress", "Suite",     "EspSuite", "ExternalAddress"};

typedef struct Texts {
    char address[ENDPOINT_TEXT_SIZE];
    char external[ENDPOINT_TEXT_SIZE];
    char esp[ESP_SUITE_NAME_SIZE];
    const char *values[ELEMENTS(text_names)]; /* in the order of the names */
} Texts;

static void fill_texts(const ConnectionInfo *info, Texts *ret)
{
    *ret = (Texts){.values = {info->state_name, info->last_error, info->sa.identity,
                              info->sa.segw_identity, ret->address, info->sa.suite, ret->esp,
                              ret->external}};
    if (info->sa.segw)
        (void)endpoint_text(info->sa.segw, ret->address);
    if (info->sa.external)
        (void)endpoint_text(info->sa.external, ret->external);
    if (info->sa.children)
        esp_choice_name(&info->sa.children->answer.esp, ret->esp);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    Texts texts;
    (void)bus;
    (void)path;
    (void)interface;
    (void)error;

    connection_info(object->connection, &info);
    fill_texts(&info, &texts);
    for (size_t i = 0; i < ELEMENTS(text_names); i++) {
        if (strcmp(property, text_names[i]) == 0)
            return sd_bus_message_append(reply, "s", texts.values[i]);
    }
    return -ENOENT;
}

static int get_addresses(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)error;

    connection_info(object->connection, &info);
    const ChildAnswer *child = child_of(&info);
    if (strcmp(property, "DnsServers") == 0)
        return append_addresses(reply, child->dns, child->n_dns, false);
    return append_addresses(reply, child->addresses, child->n_addresses, true);
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

static int get_nat(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    return sd_bus_message_append(reply, "b", (int)info.sa.nat);
}

static int get_exchange(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    return sd_bus_message_append(reply, "o", exchange_path(&info));
}

static int get_time(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)error;

    connection_info(object->connection, &info);
    time_t when = strcmp(property, "NextAttempt") == 0 ? info.next_attempt : info.since;
    return sd_bus_message_append(reply, "t", (uint64_t)when);
}

static int get_steps(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    int r = sd_bus_message_open_container(reply, 'a', "(ttussss)");
    for (size_t i = 0; r >= 0 && i < info.flow->n_steps; i++) {
        const FlowStep *step = &info.flow->steps[i];
        r = sd_bus_message_append(reply, "(ttussss)", step->realtime, step->elapsed, step->number,
                                  step->what, step->from, step->to, step->details);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_totals(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    return sd_bus_message_append(reply, "a{st}", 4, "Attempts", info.totals.attempts, "Established",
                                 info.totals.established, "Failures", info.totals.failures,
                                 "Losses", info.totals.losses);
}

static int get_children(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const BusObject *object = userdata;
    char esp[ESP_SUITE_NAME_SIZE];
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    int r = sd_bus_message_open_container(reply, 'a', "(uus)");
    for (const ChildSa *child = info.sa.children; r >= 0 && child; child = child->next) {
        esp_choice_name(&child->answer.esp, esp);
        r = sd_bus_message_append(reply, "(uus)", child->spi_in, child->answer.esp.spi_out, esp);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Where the Child SA of a place receives; 0: it is not there. */
static uint32_t spi_at(const ConnectionInfo *info, unsigned place)
{
    for (const ChildSa *child = info->sa.children; child; child = child->next) {
        if (child->place == place && !child->unwanted)
            return child->spi_in;
    }
    return 0;
}

static const char *missing_reason(const ConnectionInfo *info, unsigned place)
{
    return info->sa.missing[place] ? info->sa.missing[place] : "";
}

static int get_named_children(sd_bus *bus, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
    const BusObject *object = userdata;
    ConnectionInfo info;
    (void)bus;
    (void)path;
    (void)interface;
    (void)property;
    (void)error;

    connection_info(object->connection, &info);
    int r = sd_bus_message_open_container(reply, 'a', "(sus)");
    for (unsigned i = 0; r >= 0 && i < info.config->n_children; i++) {
        r = sd_bus_message_append(reply, "(sus)", info.config->children[i].name,
                                  spi_at(&info, CHILD_NAMED + i),
                                  missing_reason(&info, CHILD_NAMED + i));
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *named_text(const ConnectionInfo *info, char *text)
{
    size_t n = 0;

    text[0] = 0;
    for (unsigned i = 0; i < info->config->n_children && n < CHILDREN_TEXT_SIZE; i++) {
        n += (size_t)snprintf(text + n, CHILDREN_TEXT_SIZE - n, "%08x %s ",
                              spi_at(info, CHILD_NAMED + i), missing_reason(info, CHILD_NAMED + i));
    }
    return text;
}

/* By their SPIs: the suite stays as it is as long as they do. */
static const char *children_text(const ConnectionInfo *info, char *text)
{
    size_t n = 0;

    text[0] = 0;
    for (const ChildSa *child = info->sa.children; child && n < CHILDREN_TEXT_SIZE;
         child = child->next) {
        n += (size_t)snprintf(text + n, CHILDREN_TEXT_SIZE - n, "%08x %08x ", child->spi_in,
                              child->answer.esp.spi_out);
    }
    return text;
}

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
    SD_BUS_PROPERTY("State", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("LastError", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("Identity", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("SegwIdentity", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("SegwAddress", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("Suite", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("EspSuite", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("ExternalAddress", "s", get_text, 0, CHANGES),
    SD_BUS_PROPERTY("Addresses", "as", get_addresses, 0, CHANGES),
    SD_BUS_PROPERTY("DnsServers", "as", get_addresses, 0, CHANGES),
    SD_BUS_PROPERTY("ChildSas", "a(uus)", get_children, 0, CHANGES),
    SD_BUS_PROPERTY("NamedChildSas", "a(sus)", get_named_children, 0, CHANGES),
    SD_BUS_PROPERTY("NatDetected", "b", get_nat, 0, CHANGES),
    SD_BUS_PROPERTY("Exchange", "o", get_exchange, 0, CHANGES),
    SD_BUS_PROPERTY("EstablishedSince", "t", get_time, 0, CHANGES),
    SD_BUS_PROPERTY("NextAttempt", "t", get_time, 0, CHANGES),
    SD_BUS_PROPERTY("Steps", "a(ttussss)", get_steps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
    SD_BUS_PROPERTY("Totals", "a{st}", get_totals, 0, 0),
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

/* Keeps a copy of `value`; true if it differs from the one that was kept. */
static bool note(char **kept, const char *value)
{
    if (*kept && strcmp(*kept, value) == 0)
        return false;
    free(*kept);
    *kept = strdup(value); /* NULL: told once more the next time */
    return true;
}

/* Takes the values of now for told; writes the names of those that differ, with NULL at the end, to
 * `changed`, and returns their number. */
static size_t note_all(BusObject *object, const char *changed[PROPERTIES + 1])
{
    char addresses[CHILD_ADDRESSES_TEXT_SIZE], dns[CHILD_ADDRESSES_TEXT_SIZE];
    char since[NUMBER_SIZE], next_attempt[NUMBER_SIZE], steps[2 * NUMBER_SIZE];
    char children[CHILDREN_TEXT_SIZE], named[CHILDREN_TEXT_SIZE];
    size_t count = 0;
    ConnectionInfo info;
    Texts texts;

    connection_info(object->connection, &info);
    const ChildAnswer *child = child_of(&info);
    fill_texts(&info, &texts);
    for (size_t i = 0; i < ELEMENTS(text_names); i++) {
        if (note(&object->told[i], texts.values[i]))
            changed[count++] = text_names[i];
    }
    (void)snprintf(since, sizeof(since), "%jd", (intmax_t)info.since);
    (void)snprintf(next_attempt, sizeof(next_attempt), "%jd", (intmax_t)info.next_attempt);
    (void)snprintf(steps, sizeof(steps), "%" PRIu64 " %zu", info.flow->begun, info.flow->n_steps);
    const struct {
        const char *name;
        const char *value;
    } others[] = {
        {"Addresses", inner_addresses_text(child->addresses, child->n_addresses, true, addresses)},
        {"DnsServers", inner_addresses_text(child->dns, child->n_dns, false, dns)},
        {"ChildSas", children_text(&info, children)},
        {"NamedChildSas", named_text(&info, named)},
        {"NatDetected", info.sa.nat ? "yes" : "no"},
        {"Exchange", exchange_path(&info)},
        {"EstablishedSince", since},
        {"NextAttempt", next_attempt},
        {"Steps", steps},
    };
    _Static_assert(PROPERTIES == ELEMENTS(text_names) + ELEMENTS(others), "each has its place");
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        if (note(&object->told[ELEMENTS(text_names) + i], others[i].value))
            changed[count++] = others[i].name;
    }
    changed[count] = NULL;
    return count;
}

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
    for (size_t i = 0; i < ELEMENTS(object->told); i++)
        free(object->told[i]);
    free(object->path);
    free(object);
}

int bus_face_add(BusFace *face, Connection *connection, BusObject **ret)
{
    BusObject **objects = reallocarray(face->objects, face->count + 1, sizeof(BusObject *));

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
    (void)note_all(object,
                   (const char * [PROPERTIES + 1]){0}); /* what a reader finds from now on */
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

/* Signals that can't be sent are like signals that nobody heard. */

/* Where an object is seen: below CONNECTIONS_PATH, and the first one as the client, too. */
static size_t paths_of(const BusObject *object, const char *paths[2])
{
    paths[0] = object->path;
    paths[1] = PATH;
    return object->face->objects[0] == object ? 2 : 1;
}

void bus_object_changed(BusObject *object)
{
    const char *changed[PROPERTIES + 1], *paths[2];
    char *names[PROPERTIES + 1];

    if (note_all(object, changed) == 0)
        return;
    memcpy(names, changed, sizeof(names)); /* sd-bus has no const, and only reads */
    for (size_t i = paths_of(object, paths); i > 0; i--) {
        (void)sd_bus_emit_properties_changed_strv(object->face->bus, paths[i - 1], INTERFACE,
                                                  names);
    }
}

static void emit_established(const BusObject *object, const char *path)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    ConnectionInfo info;

    connection_info(object->connection, &info);
    const ChildAnswer *child = child_of(&info);
    int r = sd_bus_message_new_signal(object->face->bus, &m, path, INTERFACE, "Established");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", info.sa.segw_identity);
    if (r >= 0)
        r = append_addresses(m, child->addresses, child->n_addresses, true);
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

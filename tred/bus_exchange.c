/* The objects of org.tred.TrE1.Exchange: their properties, their signals, and how their methods are
 * called. */
#include "tred/bus_exchange_internal.h"

#include "base/log.h"
#include "base/messages.h"
#include "tred/callers.h"
#include "tred/key_care.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void bus_exchange_path(const CallerExchange *held, char *path)
{
    (void)snprintf(path, BUS_PATH_SIZE, BUS_EXCHANGES_PATH "/%" PRIu64, held->number);
}

/* ---- signals ---- */

static LogFields fields_of(const CallerExchange *held, const char *message_id, const char *error)
{
    return (LogFields){.message_id = message_id,
                       .peer = exchange_segw(held->exchange)->name,
                       .spi = exchange_spi_i(held->exchange),
                       .error = error};
}

static void owner_tell(const CallerExchange *held, const char *member, const char *types, ...)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
    sd_bus *bus = held->caller->daemon->bus;
    char path[BUS_PATH_SIZE];
    va_list values;
    int r;

    if (sd_bus_is_open(bus) <= 0) /* it has seen the bus go, too */
        return;
    bus_exchange_path(held, path);
    r = sd_bus_message_new_signal(bus, &signal, path, BUS_EXCHANGE_INTERFACE, member);
    va_start(values, types);
    if (r >= 0)
        r = sd_bus_message_appendv(signal, types, values);
    va_end(values);
    if (r >= 0)
        r = sd_bus_message_send(signal);
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
}

void bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    const LogFields fields = fields_of(held, MESSAGE_EXCHANGE_CLOSED, reason);

    log_fields(daemon_is_ending(held->caller->daemon) ? LOG_INFO : LOG_NOTICE, &fields,
               "Exchange %" PRIu64 " is closed: %s", held->number, reason);
    owner_tell(held, "Closed", "s", reason);
}

void bus_exchange_lifetime_reached(const CallerExchange *held, uint32_t spi_in, bool hard)
{
    const LogFields fields = fields_of(held, MESSAGE_LIFETIME_REACHED, NULL);

    log_fields(LOG_NOTICE, &fields,
               "Exchange %" PRIu64 ": Child SA %08x has reached its %s lifetime", held->number,
               spi_in, hard ? "hard" : "soft");
    owner_tell(held, "LifetimeReached", "ub", spi_in, hard);
}

void bus_exchange_expires_soon(const CallerExchange *held, time_t when)
{
    const LogFields fields = fields_of(held, MESSAGE_CERTIFICATE_EXPIRES, NULL);

    log_fields(LOG_NOTICE, &fields,
               "Exchange %" PRIu64 ": a certificate that it rests on expires soon", held->number);
    owner_tell(held, "ExpiresSoon", "t", (uint64_t)when);
}

/* ---- properties ---- */

enum { CHANGES_USEC = 20 * 1000 }; /* a handshake's changes make one signal */

static void changes_emit(CallerExchange *held)
{
    static const struct {
        ExchangeProperty property;
        char name[24];
    } properties[] = {{EXCHANGE_PROPERTY_STATE, "State"},
                      {EXCHANGE_PROPERTY_SPI_R, "SpiR"},
                      {EXCHANGE_PROPERTY_SUITE, "Suite"},
                      {EXCHANGE_PROPERTY_PEER_IDENTITY, "PeerIdentity"},
                      {EXCHANGE_PROPERTY_PEER_IDENTITY, "PeerCertificateExpires"}};
    char names[ELEMENTS(properties)][sizeof(properties[0].name)];
    char *list[ELEMENTS(properties) + 1] = {0}; /* sd-bus has no const, and only reads */
    char path[BUS_PATH_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        if (!(held->changed & properties[i].property))
            continue;
        memcpy(names[count], properties[i].name, sizeof(names[count]));
        list[count] = names[count];
        count++;
    }
    bus_exchange_path(held, path);
    (void)sd_bus_emit_properties_changed_strv(held->caller->daemon->bus, path,
                                              BUS_EXCHANGE_INTERFACE, list);
}

static void announce(CallerExchange *held)
{
    if (held->changed & EXCHANGE_ADDED)
        bus_exchange_object_tell(held, true);
    if (held->changed & ~(unsigned)EXCHANGE_ADDED)
        changes_emit(held);
    held->changed = 0;
}

void bus_exchange_gone(CallerExchange *held)
{
    if (!(held->changed & EXCHANGE_ADDED))
        bus_exchange_object_tell(held, false);
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

static int append_state(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "s", exchange_state_name(exchange_state(held->exchange)));
}

static int append_spi_i(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "t", exchange_spi_i(held->exchange));
}

static int append_spi_r(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "t", exchange_spi_r(held->exchange));
}

static int append_suite(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "s", exchange_suite_name(held->exchange));
}

static int append_peer_identity(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "s", exchange_peer_identity(held->exchange));
}

static int append_peer_expires(sd_bus_message *reply, const void *object)
{
    const CallerExchange *held = object;

    return sd_bus_message_append(reply, "t", (uint64_t)exchange_peer_expires(held->exchange));
}

static const BusProperty properties[] = {
    {"State", append_state},
    {"SpiI", append_spi_i},
    {"SpiR", append_spi_r},
    {"Suite", append_suite},
    {"PeerIdentity", append_peer_identity},
    {"PeerCertificateExpires", append_peer_expires},
    {"Children", bus_append_children},
    {NULL, NULL},
};

int bus_exchange_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)error;
    return bus_property_append(properties, property, reply, userdata);
}

/* ---- methods ---- */

static const ExchangeMethod methods[] = {
    {"ChooseGroup", bus_exchange_choose_group, .makes_keys = true},
    {"Agree", bus_exchange_agree, .counts_refusals = true, .log_refusal = LOG_INFO},
    {"Fork", bus_exchange_fork},
    {"SignAuth", bus_exchange_sign_auth},
    {"Protect", bus_exchange_protect},
    /* Anyone on the path can send such a datagram: not worth a line at info. */
    {"Unprotect", bus_exchange_unprotect, .log_refusal = LOG_DEBUG},
    {"VerifyPeer", bus_exchange_verify_peer},
    {"OpenTransport", bus_exchange_open_transport},
    {"AllocateSpi", bus_exchange_allocate_spi},
    {"SetDscps", bus_exchange_set_dscps},
    {"AddChild", bus_exchange_add_child, .log_refusal = LOG_WARNING},
    /* A KE costs as much as that of a new exchange, and is counted likewise. */
    {"PrepareCreateChildSa", bus_exchange_prepare_create, .makes_keys = true},
    {"UseChild", bus_exchange_use_child},
    {"AddIkeSa", bus_exchange_add_ike_sa, .log_refusal = LOG_WARNING},
    {"InheritChildren", bus_exchange_inherit_children},
    {"MoveTransport", bus_exchange_move_transport},
    {"RemoveChild", bus_exchange_remove_child},
    {"Close", bus_exchange_close},
};

static const ExchangeMethod *method_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

static int method_run(const ExchangeMethod *method, CallerExchange *held, sd_bus_message *call,
                      Reason *reason)
{
    User *user = held->caller->user;

    if (!method->makes_keys && !method->counts_refusals)
        return method->run(held, call, reason);
    if (method->makes_keys && !user_has_time(user))
        return BUS_E_BUSY;
    const uint64_t begun = user_time_begin();
    int r = method->run(held, call, reason);
    if (method->makes_keys || r != 0)
        user_time_end(user, begun);
    return r;
}

/* An exchange belongs to one connection, and takes no call from another. */
static int on_method(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    const ExchangeMethod *method = method_find(sd_bus_message_get_member(call));
    CallerExchange *held = userdata;
    const uint64_t number = held->number;
    Reason reason = {0};
    int r;

    if (!method)
        return -ENOSYS;
    if (strcmp(call_sender(call), held->caller->name) != 0)
        return bus_error_set(error, BUS_E_NOT_OWNER, NULL);
    r = method_run(method, held, call, &reason);
    if (r > EXCHANGE_E_WRONG_STATE && method->log_refusal) {
        log_line(method->log_refusal, "Exchange %" PRIu64 ": %s is refused. %s", number,
                 method->name, reason.text);
    }
    return r == 0 ? 1 : bus_error_set(error, r, reason.text);
}

static const sd_bus_vtable exchange_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("State", "s", bus_exchange_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SpiI", "t", bus_exchange_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("SpiR", "t", bus_exchange_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Suite", "s", bus_exchange_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PeerIdentity", "s", bus_exchange_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PeerCertificateExpires", "t", bus_exchange_get, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_METHOD_WITH_ARGS("ChooseGroup", SD_BUS_ARGS("q", group), SD_BUS_RESULT("ay", ke_i),
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Agree", SD_BUS_ARGS("ay", request, "ay", response),
                            SD_BUS_RESULT("s", suite), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Fork", SD_BUS_NO_ARGS, SD_BUS_RESULT("o", exchange), on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "SignAuth", SD_BUS_NO_ARGS,
        SD_BUS_RESULT("y", id_type, "ay", id_data, "y", auth_method, "ay", auth_data), on_method,
        SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Protect",
                            SD_BUS_ARGS("y", exchange_type, "b", response, "y", first_payload, "ay",
                                        payloads, "u", max_datagram),
                            SD_BUS_RESULT("u", message_id, "aay", datagrams), on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Unprotect", SD_BUS_ARGS("ay", datagram),
                            SD_BUS_RESULT("b", complete, "y", exchange_type, "b", response, "u",
                                          message_id, "y", first_payload, "ay", payloads),
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("VerifyPeer", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", peer_identity),
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Children", "aa{sv}", bus_exchange_get, 0, 0),
    SD_BUS_METHOD_WITH_ARGS("OpenTransport", SD_BUS_ARGS("ay", address, "q", port, "b", nat),
                            SD_BUS_RESULT("h", socket), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AllocateSpi", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", spi_in), on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("SetDscps", SD_BUS_ARGS("u", spi_in, "t", dscps), SD_BUS_NO_RESULT,
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AddChild", SD_BUS_ARGS("u", spi_in), SD_BUS_RESULT("s", interface),
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("PrepareCreateChildSa", SD_BUS_ARGS("q", group),
                            SD_BUS_RESULT("t", spi, "ay", nonce, "ay", ke), on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("UseChild", SD_BUS_ARGS("u", spi_in), SD_BUS_NO_RESULT, on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AddIkeSa", SD_BUS_ARGS("t", spi), SD_BUS_RESULT("o", exchange),
                            on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("InheritChildren", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("MoveTransport", SD_BUS_ARGS("ay", address, "q", port, "b", nat),
                            SD_BUS_RESULT("h", socket), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RemoveChild", SD_BUS_ARGS("u", spi_in), SD_BUS_NO_RESULT, on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_method,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL_WITH_ARGS("LifetimeReached", SD_BUS_ARGS("u", spi_in, "b", hard), 0),
    SD_BUS_SIGNAL_WITH_ARGS("ExpiresSoon", SD_BUS_ARGS("t", when), 0),
    SD_BUS_SIGNAL_WITH_ARGS("Closed", SD_BUS_ARGS("s", reason), 0),
    SD_BUS_VTABLE_END,
};

CallerExchange *bus_exchange_of_path(const Daemon *daemon, const char *path)
{
    _cleanup_(free_charp) char *name = NULL;
    CallerExchange *held;
    char expected[BUS_PATH_SIZE];

    if (sd_bus_path_decode(path, BUS_EXCHANGES_PATH, &name) <= 0)
        return NULL;
    held = caller_exchange_find(daemon, strtoull(name, NULL, 10));
    if (!held)
        return NULL;
    bus_exchange_path(held, expected); /* "/07" and "/7x" are no names of exchange 7 */
    return strcmp(path, expected) == 0 ? held : NULL;
}

/* sd-bus asks which exchange an object path stands for. */
static int exchange_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                         void **ret_found, sd_bus_error *error)
{
    (void)bus, (void)interface, (void)error;
    *ret_found = bus_exchange_of_path(userdata, path);
    return *ret_found != NULL;
}

/* GetManagedObjects, which shows a caller its own exchanges alone: what it costs is bounded by what
 * its caller may hold, and it tells nobody what others are at. NULL: it is not what is asked. */
static const char *managed_for(sd_bus *bus)
{
    sd_bus_message *call = sd_bus_get_current_message(bus);

    return call && sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
                                                 "GetManagedObjects") > 0
               ? call_sender(call)
               : NULL;
}

/* The exchanges' object paths, for introspection and GetManagedObjects. */
static int exchange_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                              sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    const char *owner = managed_for(bus);
    char **nodes = calloc(daemon->users.n_exchanges + 1, sizeof(*nodes));
    char path[BUS_PATH_SIZE];
    size_t count = 0;

    (void)prefix, (void)error;
    if (!nodes)
        return -ENOMEM;
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        if (owner && strcmp(caller->name, owner) != 0)
            continue;
        for (const CallerExchange *held = caller->exchanges; held; held = held->next) {
            bus_exchange_path(held, path);
            nodes[count] = strdup(path);
            if (nodes[count])
                count++;
        }
    }
    *ret_nodes = nodes;
    return 0;
}

int bus_exchange_register_channel(Daemon *daemon, sd_bus *channel)
{
    return sd_bus_add_fallback_vtable(channel, NULL, BUS_EXCHANGES_PATH, BUS_EXCHANGE_INTERFACE,
                                      exchange_vtable, exchange_find, daemon);
}

int bus_exchange_register(Daemon *daemon)
{
    int r =
        sd_bus_add_fallback_vtable(daemon->bus, NULL, BUS_EXCHANGES_PATH, BUS_EXCHANGE_INTERFACE,
                                   exchange_vtable, exchange_find, daemon);

    if (r >= 0)
        r = sd_bus_add_filter(daemon->bus, NULL, bus_counters_filter, daemon);
    if (r >= 0) /* the last one is asked first */
        r = sd_bus_add_filter(daemon->bus, NULL, bus_admit_filter, daemon);
    if (r >= 0) {
        r = sd_event_add_time_relative(daemon->event, &daemon->changes, CLOCK_MONOTONIC,
                                       CHANGES_USEC, CHANGES_USEC, on_changes, daemon);
    }
    if (r >= 0)
        r = sd_event_source_set_enabled(daemon->changes, SD_EVENT_OFF);
    if (r < 0)
        return r;
    return sd_bus_add_node_enumerator(daemon->bus, NULL, BUS_EXCHANGES_PATH, exchange_enumerate,
                                      daemon);
}

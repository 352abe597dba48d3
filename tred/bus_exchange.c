/* The objects of org.tred.TrE1.Exchange. Each method reads its arguments, asks the exchange, and
 * answers. */
#include "tred/bus_exchange.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "tred/bus_admit.h"
#include "tred/bus_error.h"
#include "tred/callers.h"
#include "tred/channel.h"
#include "tred/expiry.h"
#include "tred/key_care.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void bus_exchange_path(const CallerExchange *held, char *path)
{
    (void)snprintf(path, BUS_PATH_SIZE, BUS_EXCHANGES_PATH "/%" PRIu64, held->number);
}

static LogFields fields_of(const CallerExchange *held, const char *message_id, const char *error)
{
    return (LogFields){.message_id = message_id,
                       .peer = exchange_segw(held->exchange)->name,
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
    held->changed = 0;
    bus_exchange_path(held, path);
    (void)sd_bus_emit_properties_changed_strv(held->caller->daemon->bus, path,
                                              BUS_EXCHANGE_INTERFACE, list);
}

static int on_changes(sd_event_source *source, uint64_t usec, void *userdata)
{
    const Daemon *daemon = userdata;

    (void)source, (void)usec;
    for (const Caller *caller = daemon->callers; caller; caller = caller->next) {
        for (CallerExchange *held = caller->exchanges; held; held = held->next) {
            if (held->changed)
                changes_emit(held);
        }
    }
    return 0;
}

void bus_exchange_changed(CallerExchange *held, unsigned properties)
{
    const Daemon *daemon = held->caller->daemon;
    int enabled = SD_EVENT_OFF;
    int r = sd_event_source_get_enabled(daemon->changes, &enabled);

    held->changed |= properties;
    if (r >= 0 && enabled == SD_EVENT_OFF) {
        r = sd_event_source_set_time_relative(daemon->changes, CHANGES_USEC);
        if (r >= 0)
            r = sd_event_source_set_enabled(daemon->changes, SD_EVENT_ONESHOT);
    }
    if (r < 0)
        changes_emit(held);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const CallerExchange *held = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", exchange_state_name(exchange_state(held->exchange)));
}

static int get_spi(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const CallerExchange *held = userdata;
    bool initiator = strcmp(property, "SpiI") == 0;

    (void)bus, (void)path, (void)interface, (void)error;
    return sd_bus_message_append(
        reply, "t", initiator ? exchange_spi_i(held->exchange) : exchange_spi_r(held->exchange));
}

static int get_suite(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const CallerExchange *held = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", exchange_suite_name(held->exchange));
}

static int get_peer_identity(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error)
{
    const CallerExchange *held = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", exchange_peer_identity(held->exchange));
}

static int get_peer_expires(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    const CallerExchange *held = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "t", (uint64_t)exchange_peer_expires(held->exchange));
}

/* The exchange belongs to one connection: every method asks this first. */
int bus_exchange_check_owner(const CallerExchange *held, sd_bus_message *call, sd_bus_error *error)
{
    if (strcmp(call_sender(call), held->caller->name) != 0)
        return bus_error_set(error, BUS_E_NOT_OWNER, NULL);
    return 0;
}

int bus_read_bytes(sd_bus_message *message, Bytes *ret)
{
    const void *data = NULL;
    size_t size = 0;
    int r = sd_bus_message_read_array(message, 'y', &data, &size);

    if (r < 0)
        return r;
    *ret = (Bytes){data, size};
    return 0;
}

int bus_append_bytes(sd_bus_message *message, Bytes bytes)
{
    return sd_bus_message_append_array(message, 'y', bytes.data, bytes.size);
}

static int method_choose_group(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    CallerExchange *held = userdata;
    Reason reason = {0};
    uint16_t group = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "q", &group);
    if (r < 0)
        return r;
    if (!user_has_time(held->caller->user))
        return bus_error_set(error, BUS_E_BUSY, NULL);
    const uint64_t begun = user_time_begin();
    r = exchange_choose_group(held->exchange, group, &reason);
    user_time_end(held->caller->user, begun);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    log_info("Exchange %" PRIu64 ": new KE in group %u", held->number, group);

    r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = bus_append_bytes(reply, exchange_ke_i(held->exchange));
    return r < 0 ? r : sd_bus_message_send(reply);
}

static int fork_for(Caller *caller, Exchange *exchange, CallerExchange **ret, sd_bus_error *error)
{
    Exchange *fork = NULL;
    Reason reason = {0};
    int r;

    r = bus_check_room(caller, error);
    if (r != 0)
        return r;
    r = exchange_fork(exchange, &fork, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    r = caller_add_exchange(caller, fork, ret);
    if (r < 0) {
        exchange_free(fork);
        return r;
    }
    r = deadline_set(*ret);
    if (r < 0)
        caller_exchange_free(*ret);
    return r;
}

static int method_fork(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata, *fork = NULL;
    char path[BUS_PATH_SIZE];
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = fork_for(held->caller, held->exchange, &fork, error);
    if (r < 0)
        return r;
    assert(fork);
    log_info("Exchange %" PRIu64 ": a fork of exchange %" PRIu64
             ", for another response to its IKE_SA_INIT request",
             fork->number, held->number);
    daemon_key_wanted(held->caller->daemon);
    bus_exchange_path(fork, path);
    return sd_bus_reply_method_return(call, "o", path);
}

static int method_close(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    log_info("Exchange %" PRIu64 " is closed by its owner", held->number);
    caller_exchange_free(held);
    return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable exchange_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SpiI", "t", get_spi, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("SpiR", "t", get_spi, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Suite", "s", get_suite, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PeerIdentity", "s", get_peer_identity, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PeerCertificateExpires", "t", get_peer_expires, 0,
                    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_METHOD_WITH_ARGS("ChooseGroup", SD_BUS_ARGS("q", group), SD_BUS_RESULT("ay", ke_i),
                            method_choose_group, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Agree", SD_BUS_ARGS("ay", request, "ay", response),
                            SD_BUS_RESULT("s", suite), bus_exchange_agree,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Fork", SD_BUS_NO_ARGS, SD_BUS_RESULT("o", exchange), method_fork,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "SignAuth", SD_BUS_NO_ARGS,
        SD_BUS_RESULT("y", id_type, "ay", id_data, "y", auth_method, "ay", auth_data),
        bus_exchange_sign_auth, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Protect",
                            SD_BUS_ARGS("y", exchange_type, "b", response, "y", first_payload, "ay",
                                        payloads, "u", max_datagram),
                            SD_BUS_RESULT("u", message_id, "aay", datagrams), bus_exchange_protect,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Unprotect", SD_BUS_ARGS("ay", datagram),
                            SD_BUS_RESULT("b", complete, "y", exchange_type, "b", response, "u",
                                          message_id, "y", first_payload, "ay", payloads),
                            bus_exchange_unprotect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("VerifyPeer", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", peer_identity),
                            bus_exchange_verify_peer, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Children", "aa{sv}", bus_exchange_get_children, 0, 0),
    SD_BUS_METHOD_WITH_ARGS("OpenTransport", SD_BUS_ARGS("ay", address, "q", port, "b", nat),
                            SD_BUS_RESULT("h", socket), bus_exchange_open_transport,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AllocateSpi", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", spi_in),
                            bus_exchange_allocate_spi, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AddChild", SD_BUS_ARGS("u", spi_in), SD_BUS_RESULT("s", interface),
                            bus_exchange_add_child, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("PrepareCreateChildSa", SD_BUS_ARGS("q", group),
                            SD_BUS_RESULT("t", spi, "ay", nonce, "ay", ke),
                            bus_exchange_prepare_create, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("UseChild", SD_BUS_ARGS("u", spi_in), SD_BUS_NO_RESULT,
                            bus_exchange_use_child, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AddIkeSa", SD_BUS_ARGS("t", spi), SD_BUS_RESULT("o", exchange),
                            bus_exchange_add_ike_sa, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("InheritChildren", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                            bus_exchange_inherit_children, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("MoveTransport", SD_BUS_ARGS("ay", address, "q", port, "b", nat),
                            SD_BUS_RESULT("h", socket), bus_exchange_move_transport,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RemoveChild", SD_BUS_ARGS("u", spi_in), SD_BUS_NO_RESULT,
                            bus_exchange_remove_child, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close,
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
        r = sd_bus_add_filter(daemon->bus, NULL, bus_exchange_children_filter, daemon);
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

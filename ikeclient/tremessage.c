/* The calls of tre.h written as bus messages, and tred's answers read from them. */
#include "ikeclient/tremessage.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* ---- arguments ---- */

static int append_bytes(sd_bus_message *m, Bytes bytes)
{
    return sd_bus_message_append_array(m, 'y', bytes.data, bytes.size);
}

static int append_nothing(sd_bus_message *m, const TreCall *call)
{
    (void)m;
    (void)call;
    return 0;
}

static int append_manager(sd_bus_message *m, const TreCall *call)
{
    (void)call;
    return sd_bus_message_append(m, "s", TRE_MANAGER);
}

static int append_children(sd_bus_message *m, const TreCall *call)
{
    (void)call;
    return sd_bus_message_append(m, "ss", TRE_EXCHANGE, "Children");
}

static int append_group(sd_bus_message *m, const TreCall *call)
{
    return sd_bus_message_append(m, "q", call->group);
}

static int append_begin(sd_bus_message *m, const TreCall *call)
{
    int r = call->begin.segw ? sd_bus_message_append(m, "s", call->begin.segw) : 0;
    return r < 0 ? r : sd_bus_message_append(m, "q", call->begin.group);
}

static int append_agree(sd_bus_message *m, const TreCall *call)
{
    int r = append_bytes(m, call->agree.request);
    return r < 0 ? r : append_bytes(m, call->agree.response);
}

static int append_protect(sd_bus_message *m, const TreCall *call)
{
    int r = sd_bus_message_append(m, "yby", call->protect.exchange_type,
                                  (int)call->protect.response, call->protect.first);
    if (r >= 0)
        r = append_bytes(m, call->protect.payloads);
    return r < 0 ? r : sd_bus_message_append(m, "u", call->protect.max_datagram);
}

static int append_datagram(sd_bus_message *m, const TreCall *call)
{
    return append_bytes(m, call->datagram);
}

static int append_remote(sd_bus_message *m, const TreCall *call)
{
    int r = append_bytes(m, call->remote.address);
    return r < 0 ? r : sd_bus_message_append(m, "qb", call->remote.port, (int)call->remote.nat);
}

static int append_spi(sd_bus_message *m, const TreCall *call)
{
    return sd_bus_message_append(m, "u", call->spi_in);
}

static int append_sends(sd_bus_message *m, const TreCall *call)
{
    return sd_bus_message_append(m, "ut", call->sends.spi_in, call->sends.dscps);
}

static int append_ike_spi(sd_bus_message *m, const TreCall *call)
{
    return sd_bus_message_append(m, "t", call->spi);
}

/* ---- answers ---- */

static int read_bytes(sd_bus_message *m, Bytes *ret)
{
    const void *data = NULL;
    size_t size = 0;

    int r = sd_bus_message_read_array(m, 'y', &data, &size);
    if (r >= 0)
        *ret = (Bytes){data, size};
    return r;
}

static int read_bytes_list(sd_bus_message *m, Bytes *list, size_t most, size_t *ret_count)
{
    size_t count = 0;

    int r = sd_bus_message_enter_container(m, 'a', "ay");
    while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
        if (count == most)
            return -EMSGSIZE;
        r = read_bytes(m, &list[count++]);
    }
    if (r < 0)
        return r;
    *ret_count = count;
    return sd_bus_message_exit_container(m);
}

static int read_bytes_list_variant(sd_bus_message *m, Bytes *list, size_t most, size_t *ret_count)
{
    int r = sd_bus_message_enter_container(m, 'v', "aay");
    if (r >= 0)
        r = read_bytes_list(m, list, most, ret_count);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_nothing(sd_bus_message *m, TreReply *reply)
{
    (void)m;
    (void)reply;
    return 0;
}

static int read_property(sd_bus_message *m, TreDescription *description)
{
    const char *name = NULL;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (strcmp(name, "State") == 0)
        return sd_bus_message_read(m, "v", "s", &description->state);
    if (strcmp(name, "StateReason") == 0)
        return sd_bus_message_read(m, "v", "s", &description->reason);
    if (strcmp(name, "Identity") == 0)
        return sd_bus_message_read(m, "v", "s", &description->identity);
    if (strcmp(name, "SegwIdentity") == 0)
        return sd_bus_message_read(m, "v", "s", &description->segw_identity);
    if (strcmp(name, "DataPlane") == 0)
        return sd_bus_message_read(m, "v", "s", &description->data_plane);
    if (strcmp(name, "OcspWanted") == 0)
        return sd_bus_message_read(m, "v", "b", &description->ocsp_wanted);
    if (strcmp(name, "StrongerChild") == 0)
        return sd_bus_message_read(m, "v", "b", &description->stronger_child);
    if (strcmp(name, "CertificateChain") == 0) {
        return read_bytes_list_variant(m, description->certificates, TRE_CHAIN_MAX,
                                       &description->n_certificates);
    }
    if (strcmp(name, "AnchorHashes") == 0) {
        return read_bytes_list_variant(m, description->anchors, TRE_ANCHORS_MAX,
                                       &description->n_anchors);
    }
    return sd_bus_message_skip(m, "v");
}

static int read_description(sd_bus_message *m, TreReply *reply)
{
    TreDescription *description = &reply->description;

    *description = (TreDescription){
        .state = "", .reason = "", .identity = "", .segw_identity = "", .data_plane = ""};
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = read_property(m, description);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_begun(sd_bus_message *m, TreReply *reply)
{
    int r = sd_bus_message_read(m, "ot", &reply->begun.exchange, &reply->begun.spi_i);
    if (r >= 0)
        r = read_bytes(m, &reply->begun.nonce_i);
    if (r >= 0)
        r = read_bytes(m, &reply->begun.ke_i);
    if (r < 0 || sd_bus_message_at_end(m, true) > 0)
        return r;
    r = sd_bus_message_read(m, "s", &reply->begun.segw_identity);
    return r < 0
               ? r
               : read_bytes_list(m, reply->begun.anchors, TRE_ANCHORS_MAX, &reply->begun.n_anchors);
}

static int read_forked(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "o", &reply->begun.exchange);
}

static int read_ke(sd_bus_message *m, TreReply *reply)
{
    return read_bytes(m, &reply->ke_i);
}

static int read_suite(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "s", &reply->suite);
}

static int read_signed(sd_bus_message *m, TreReply *reply)
{
    int r = sd_bus_message_read(m, "y", &reply->signed_.id_type);
    if (r >= 0)
        r = read_bytes(m, &reply->signed_.id_data);
    if (r >= 0)
        r = sd_bus_message_read(m, "y", &reply->signed_.auth_method);
    return r < 0 ? r : read_bytes(m, &reply->signed_.auth_data);
}

static int read_sealed(sd_bus_message *m, TreReply *reply)
{
    int r = sd_bus_message_read(m, "u", &reply->sealed.message_id);
    return r < 0 ? r
                 : read_bytes_list(m, reply->sealed.datagrams, DATAGRAMS_MAX, &reply->sealed.count);
}

static int read_opened(sd_bus_message *m, TreReply *reply)
{
    int complete = 0, response = 0;

    int r = sd_bus_message_read(m, "bybuy", &complete, &reply->opened.exchange_type, &response,
                                &reply->opened.message_id, &reply->opened.first);
    if (r < 0)
        return r;
    reply->opened.complete = complete != 0;
    reply->opened.response = response != 0;
    return read_bytes(m, &reply->opened.payloads);
}

static int read_peer(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "s", &reply->peer_identity);
}

static int read_socket(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "h", &reply->socket);
}

static int read_spi(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "u", &reply->spi_in);
}

static int read_interface(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "s", &reply->interface);
}

static int read_prepared(sd_bus_message *m, TreReply *reply)
{
    int r = sd_bus_message_read(m, "t", &reply->prepared.spi);
    if (r >= 0)
        r = read_bytes(m, &reply->prepared.nonce);
    return r < 0 ? r : read_bytes(m, &reply->prepared.ke);
}

static int read_exchange(sd_bus_message *m, TreReply *reply)
{
    return sd_bus_message_read(m, "o", &reply->exchange);
}

static int read_counter(sd_bus_message *m, TreReply *reply, uint64_t *idle_in, uint64_t *idle_out)
{
    const char *name = NULL;
    uint64_t packets = 0;

    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    if (strcmp(name, "IdleInMilliseconds") == 0)
        return sd_bus_message_read(m, "v", "t", idle_in);
    if (strcmp(name, "IdleOutMilliseconds") == 0)
        return sd_bus_message_read(m, "v", "t", idle_out);
    bool in = strcmp(name, "PacketsIn") == 0;
    if (!in && strcmp(name, "PacketsOut") != 0)
        return sd_bus_message_skip(m, "v");
    r = sd_bus_message_read(m, "v", "t", &packets);
    *(in ? &reply->traffic.packets_in : &reply->traffic.packets_out) += packets;
    return r;
}

/* One child of the list. */
static int read_child(sd_bus_message *m, TreReply *reply)
{
    uint64_t idle_in = UINT64_MAX, idle_out = UINT64_MAX;
    int r = 0;

    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = read_counter(m, reply, &idle_in, &idle_out);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    reply->traffic.children++;
    if (idle_in < reply->traffic.idle_in_ms)
        reply->traffic.idle_in_ms = idle_in;
    if (idle_out < reply->traffic.idle_out_ms)
        reply->traffic.idle_out_ms = idle_out;
    return r;
}

static int read_traffic(sd_bus_message *m, TreReply *reply)
{
    reply->traffic.idle_in_ms = reply->traffic.idle_out_ms = UINT64_MAX;
    int r = sd_bus_message_enter_container(m, 'v', "aa{sv}");
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'a', "{sv}")) > 0) {
        r = read_child(m, reply);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r;
}

/* ---- whole messages ---- */

static const struct {
    const char *interface;
    const char *member;
    int (*append)(sd_bus_message *m, const TreCall *call);
    int (*read)(sd_bus_message *m, TreReply *reply);
} methods[TRE_METHODS] = {
    [TRE_DESCRIBE] = {"org.freedesktop.DBus.Properties", "GetAll", append_manager,
                      read_description},
    [TRE_BEGIN] = {TRE_MANAGER, "BeginExchange", append_begin, read_begun},
    [TRE_CHOOSE_GROUP] = {TRE_EXCHANGE, "ChooseGroup", append_group, read_ke},
    [TRE_AGREE] = {TRE_EXCHANGE, "Agree", append_agree, read_suite},
    [TRE_FORK] = {TRE_EXCHANGE, "Fork", append_nothing, read_forked},
    [TRE_SIGN_AUTH] = {TRE_EXCHANGE, "SignAuth", append_nothing, read_signed},
    [TRE_PROTECT] = {TRE_EXCHANGE, "Protect", append_protect, read_sealed},
    [TRE_UNPROTECT] = {TRE_EXCHANGE, "Unprotect", append_datagram, read_opened},
    [TRE_VERIFY_PEER] = {TRE_EXCHANGE, "VerifyPeer", append_nothing, read_peer},
    [TRE_OPEN_TRANSPORT] = {TRE_EXCHANGE, "OpenTransport", append_remote, read_socket},
    [TRE_ALLOCATE_SPI] = {TRE_EXCHANGE, "AllocateSpi", append_nothing, read_spi},
    [TRE_SET_DSCPS] = {TRE_EXCHANGE, "SetDscps", append_sends, read_nothing},
    [TRE_ADD_CHILD] = {TRE_EXCHANGE, "AddChild", append_spi, read_interface},
    [TRE_REMOVE_CHILD] = {TRE_EXCHANGE, "RemoveChild", append_spi, read_nothing},
    [TRE_PREPARE_CREATE_CHILD] = {TRE_EXCHANGE, "PrepareCreateChildSa", append_group,
                                  read_prepared},
    [TRE_USE_CHILD] = {TRE_EXCHANGE, "UseChild", append_spi, read_nothing},
    [TRE_ADD_IKE_SA] = {TRE_EXCHANGE, "AddIkeSa", append_ike_spi, read_exchange},
    [TRE_INHERIT_CHILDREN] = {TRE_EXCHANGE, "InheritChildren", append_nothing, read_nothing},
    [TRE_MOVE_TRANSPORT] = {TRE_EXCHANGE, "MoveTransport", append_remote, read_socket},
    [TRE_CLOSE] = {TRE_EXCHANGE, "Close", append_nothing, read_nothing},
    [TRE_TRAFFIC] = {"org.freedesktop.DBus.Properties", "Get", append_children, read_traffic},
};

static void read_error(const sd_bus_error *error, TreReply *reply, Reason *reason)
{
    const char *name = error->name ? error->name : "";
    const char *message = error->message ? error->message : "";

    reply->error = name;
    reply->outcome = TRE_GONE;
    if (strncmp(name, TRE_ERROR_PREFIX, strlen(TRE_ERROR_PREFIX)) == 0) {
        reply->outcome = TRE_REFUSED;
        reply->error = name + strlen(TRE_ERROR_PREFIX);
        reason_set(reason, 0, "%s", message);
    } else if (strcmp(name, SD_BUS_ERROR_ACCESS_DENIED) == 0) {
        reason_set(reason, 0,
                   "the bus does not let this user call " TRE_NAME " (%s): run ikeclient as the "
                   "user that tred's bus policy names, and install that policy",
                   message);
    } else if (strcmp(name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0 ||
               strcmp(name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) == 0) {
        reason_set(reason, 0,
                   "the trusted environment (" TRE_NAME ") is not on the bus: start tred");
    } else if (strcmp(name, SD_BUS_ERROR_NO_REPLY) == 0 ||
               strcmp(name, SD_BUS_ERROR_TIMEOUT) == 0) {
        reason_set(reason, 0,
                   "the trusted environment (" TRE_NAME ") did not answer: see tred's log");
    } else {
        reason_set(reason, 0, "the trusted environment (" TRE_NAME ") failed: %s: %s", name,
                   message);
    }
}

void tre_message_read(sd_bus_message *m, TreMethod method, Reason *reason, TreReply *ret)
{
    reason->text[0] = 0;
    *ret = (TreReply){.method = method, .outcome = TRE_DONE, .error = "", .text = reason->text};
    if (sd_bus_message_is_method_error(m, NULL)) {
        read_error(sd_bus_message_get_error(m), ret, reason);
        return;
    }
    int r = methods[method].read(m, ret);
    if (r < 0) {
        ret->outcome = TRE_GONE;
        reason_set(reason, 0,
                   "the answer of " TRE_NAME " to %s can't be read (%s): are tred and "
                   "ikeclient of one version?",
                   methods[method].member, strerror(-r));
    }
}

int tre_message_new(sd_bus *bus, const TreCall *call, sd_bus_message **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *path = call->exchange ? call->exchange : TRE_PATH;

    int r = sd_bus_message_new_method_call(bus, &m, TRE_NAME, path, methods[call->method].interface,
                                           call->method == TRE_BEGIN && call->begin.segw
                                               ? "BeginExchangeWith"
                                               : methods[call->method].member);
    if (r >= 0 && call->exchange) /* a tred that starts anew does not know the exchange */
        r = sd_bus_message_set_auto_start(m, false);
    if (r >= 0)
        r = methods[call->method].append(m, call);
    if (r < 0)
        return r;
    *ret = steal_pointer(m);
    return 0;
}

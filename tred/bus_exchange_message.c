/* Sealed messages on the bus: Protect and Unprotect. */
#include "base/log.h"
#include "base/reason.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"

#include <inttypes.h>

/* IKE_AUTH is a step of the call flow; liveness checks go on for as long as the SA lives. */
static int message_log_level(uint8_t exchange_type)
{
    return exchange_type == IKE_AUTH ? LOG_INFO : LOG_DEBUG;
}

static int protect_reply(sd_bus_message *call, const SealedMessage *sealed)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r;

    r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "u", sealed->message_id);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "ay");
    for (size_t i = 0; r >= 0 && i < sealed->count; i++)
        r = bus_append_bytes(reply, (Bytes){sealed->datagrams[i].data, sealed->datagrams[i].size});
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_message_send(reply);
}

int bus_exchange_protect(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    CallerExchange *held = userdata;
    Reason reason = {0};
    PlainMessage message = {0};
    uint32_t max_datagram = 0;
    int response = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "yby", &message.exchange_type, &response, &message.first);
    if (r >= 0)
        r = bus_read_bytes(call, &message.payloads);
    if (r >= 0)
        r = sd_bus_message_read(call, "u", &max_datagram);
    if (r < 0)
        return r;
    message.response = response != 0;
    r = exchange_protect(held->exchange, &message, max_datagram, &sealed, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    log_line(message_log_level(message.exchange_type),
             "Exchange %" PRIu64 ": %s %s %u sealed in %zu datagram(s)", held->number,
             ike_exchange_name(message.exchange_type), response ? "response" : "request",
             sealed.message_id, sealed.count);
    return protect_reply(call, &sealed);
}

static int unprotect_reply(sd_bus_message *call, bool complete, const OpenedMessage *opened)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r;

    r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0) {
        r = sd_bus_message_append(reply, "bybuy", complete, opened->exchange_type, opened->response,
                                  opened->message_id, opened->first);
    }
    if (r >= 0)
        r = bus_append_bytes(reply, (Bytes){opened->plain, opened->plain_size});
    return r < 0 ? r : sd_bus_message_send(reply);
}

int bus_exchange_unprotect(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(opened_message_deinit) OpenedMessage opened = {0};
    CallerExchange *held = userdata;
    Reason reason = {0};
    bool complete = false;
    Bytes datagram;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = bus_read_bytes(call, &datagram);
    if (r < 0)
        return r;
    r = exchange_unprotect(held->exchange, datagram, &complete, &opened, &reason);
    if (r > 0) /* anyone on the path can send such a datagram: not worth a line at info */
        log_debug("Exchange %" PRIu64 ": Unprotect is refused. %s", held->number, reason.text);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    if (complete) {
        log_line(message_log_level(opened.exchange_type), "Exchange %" PRIu64 ": %s %s %u opened",
                 held->number, ike_exchange_name(opened.exchange_type),
                 opened.response ? "response" : "request", opened.message_id);
    }
    return unprotect_reply(call, complete, &opened);
}

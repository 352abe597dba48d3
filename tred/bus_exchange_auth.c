/* The handshake's first half on the bus: Agree and SignAuth. */
#include "base/log.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"

#include <errno.h>
#include <inttypes.h>

int bus_exchange_agree(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    Bytes request, response;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = bus_read_bytes(call, &request);
    if (r < 0)
        return r;
    r = bus_read_bytes(call, &response);
    if (r < 0)
        return r;
    r = exchange_agree(held->exchange, request, response, reason);
    if (r > 0)
        log_info("Exchange %" PRIu64 ": Agree is refused. %s", held->number, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    log_info("Exchange %" PRIu64 ": agreed on %s, SPI_r %016" PRIx64 ".", held->number,
             exchange_suite_name(held->exchange), exchange_spi_r(held->exchange));

    r = sd_bus_reply_method_return(call, "s", exchange_suite_name(held->exchange));
    bus_exchange_changed(held);
    return r;
}

static int sign_auth_reply(sd_bus_message *call, const OwnAuth *auth)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r;

    r = sd_bus_message_new_method_return(call, &reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "y", auth->id_type);
    if (r >= 0)
        r = bus_append_bytes(reply, auth->id_data);
    if (r >= 0)
        r = sd_bus_message_append(reply, "y", auth->method);
    if (r >= 0)
        r = bus_append_bytes(reply, auth->data);
    return r < 0 ? r : sd_bus_message_send(reply);
}

int bus_exchange_sign_auth(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Daemon *daemon = held->caller->daemon;
    char reason[EXCHANGE_REASON_SIZE] = "";
    OwnAuth auth;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_sign_auth(held->exchange, &auth, reason);
    if (r == EXCHANGE_E_TPM_FAILED)
        daemon_tpm_failed(daemon, reason);
    if (r == EXCHANGE_E_INTEGRITY_FAILED)
        daemon_integrity_failed(daemon, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);

    r = sign_auth_reply(call, &auth);
    daemon_key_released(daemon);
    log_info("Exchange %" PRIu64 ": the TPM signed our AUTH as %s (%s).", held->number,
             daemon->exchange_context.identity, ike_auth_method_name(auth.method));
    bus_exchange_changed(held);
    return r;
}

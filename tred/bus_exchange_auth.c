/* The handshake's first half on the bus: Agree and SignAuth. */
#include "base/log.h"
#include "base/reason.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/daemon_identity.h"
#include "tred/key_care.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int bus_exchange_agree(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
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
    r = exchange_agree(held->exchange, request, response, &reason);
    if (r > 0)
        log_info("Exchange %" PRIu64 ": Agree is refused. %s", held->number, reason.text);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    log_info("Exchange %" PRIu64 ": agreed on %s, SPI_r %016" PRIx64, held->number,
             exchange_suite_name(held->exchange), exchange_spi_r(held->exchange));

    r = sd_bus_reply_method_return(call, "s", exchange_suite_name(held->exchange));
    bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE | EXCHANGE_PROPERTY_SPI_R |
                                   EXCHANGE_PROPERTY_SUITE);
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

/* A SignAuth whose answer is owed. */
typedef struct SignCall {
    CallerExchange *held;
    sd_bus_message *call;
} SignCall;

static int signed_answer(const SignCall *sign, int r, const OwnAuth *auth, const char *reason)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

    if (r == 0)
        return sign_auth_reply(sign->call, auth);
    if (r == -ECANCELED) {
        r = EXCHANGE_E_WRONG_STATE;
        reason = "The exchange was closed before the TPM had signed";
    }
    (void)bus_error_set(&error, r, reason);
    return sd_bus_reply_method_error(sign->call, &error);
}

/* The device key has signed, or failed; or the exchange is going (-ECANCELED), and `held` with it.
 */
static void on_signed(Exchange *exchange, int r, const OwnAuth *auth, const char *reason,
                      void *userdata)
{
    SignCall *sign = userdata;
    CallerExchange *held = sign->held;
    Daemon *daemon = held->caller->daemon;
    int sent;

    (void)exchange;
    sent = signed_answer(sign, r, auth, reason);
    if (sent < 0)
        log_warning("SignAuth could not be answered: %s", strerror(-sent));
    sd_bus_message_unref(sign->call);
    free(sign);
    if (r == -ECANCELED)
        return;
    if (r == EXCHANGE_E_TPM_FAILED)
        daemon_tpm_failed(daemon, reason);
    if (r == EXCHANGE_E_INTEGRITY_FAILED)
        daemon_integrity_failed(daemon, reason);
    daemon_key_released(daemon);
    if (r != 0)
        return;
    log_info("Exchange %" PRIu64 ": the TPM signed our AUTH as %s (%s)", held->number,
             daemon->exchange_context.identity, ike_auth_method_name(auth->method));
    bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE);
}

int bus_exchange_sign_auth(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    SignCall *sign;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    sign = malloc(sizeof(*sign));
    if (!sign)
        return -ENOMEM;
    *sign = (SignCall){.held = held, .call = sd_bus_message_ref(call)};
    r = exchange_sign_auth(held->exchange, on_signed, sign, &reason);
    if (r == 0)
        return 1;
    sd_bus_message_unref(sign->call);
    free(sign);
    if (r == EXCHANGE_E_TPM_FAILED)
        daemon_tpm_failed(held->caller->daemon, reason.text);
    return bus_error_set(error, r, reason.text);
}

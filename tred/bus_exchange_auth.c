/* The handshake on the bus: Agree, SignAuth, VerifyPeer. What comes in, what goes out, what is
 * logged? */
#include "base/log.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/clock.h"
#include "tred/expiry.h"

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

static int read_certificates(sd_bus_message *call, PeerAuth *peer, sd_bus_error *error)
{
    int r = sd_bus_message_enter_container(call, 'a', "(yay)");

    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "yay")) > 0) {
        IkeCert certificate = {0};

        if (peer->n_certificates == ELEMENTS(peer->certificates)) {
            return bus_error_set(error, EXCHANGE_E_TOO_LARGE,
                                 "The SeGW sent more certificates than are looked at. Make it send "
                                 "its chain alone.");
        }
        r = sd_bus_message_read(call, "y", &certificate.encoding);
        if (r >= 0)
            r = bus_read_bytes(call, &certificate.data);
        if (r >= 0)
            r = sd_bus_message_exit_container(call);
        peer->certificates[peer->n_certificates++] = certificate;
    }
    return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int read_peer(sd_bus_message *call, PeerAuth *peer, sd_bus_error *error)
{
    int r;

    r = sd_bus_message_read(call, "y", &peer->id_type);
    if (r >= 0)
        r = bus_read_bytes(call, &peer->id_data);
    if (r >= 0)
        r = sd_bus_message_read(call, "y", &peer->method);
    if (r >= 0)
        r = bus_read_bytes(call, &peer->data);
    return r < 0 ? r : read_certificates(call, peer, error);
}

int bus_exchange_verify_peer(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    PeerAuth peer = {0};
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = read_peer(call, &peer, error);
    if (r < 0)
        return r;
    segw_policy_refresh(&held->caller->daemon->segw_policy);
    r = exchange_verify_peer(held->exchange, &peer, clock_now(held->caller->daemon), reason);
    if (r > 0 && r != EXCHANGE_E_WRONG_STATE) {
        log_warning("Exchange %" PRIu64 ": the SeGW is refused (%s). %s", held->number,
                    bus_error_name(r), reason);
        bus_exchange_changed(held);
    }
    if (r != 0)
        return bus_error_set(error, r, reason);
    log_info("Exchange %" PRIu64 ": SeGW %s verified: certificate, identity and AUTH (%s).",
             held->number, exchange_peer_identity(held->exchange),
             ike_auth_method_name(peer.method));

    r = expiry_watch(held);
    if (r < 0)
        return r;
    r = sd_bus_reply_method_return(call, "s", exchange_peer_identity(held->exchange));
    bus_exchange_changed(held);
    return r;
}

/* VerifyPeer on the bus. */
#include "base/log.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/clock.h"
#include "tred/expiry.h"

#include <errno.h>
#include <inttypes.h>

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

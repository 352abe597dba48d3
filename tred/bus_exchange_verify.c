/* VerifyPeer on the bus. */
#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/clock.h"
#include "tred/expiry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A call that waits for the verdict. */
struct PendingVerification {
    CallerExchange *held;
    sd_bus_message *call;
    Verification *verification; /* NULL once it is over */
};

static void pending_free(PendingVerification *pending)
{
    if (!pending)
        return;
    pending->held->pending = NULL;
    verification_cancel(pending->verification);
    sd_bus_message_unref(pending->call);
    free(pending);
}

DEFINE_POINTER_CLEANUP(PendingVerification, pending_free);

void bus_exchange_verify_cancel(CallerExchange *held)
{
    if (!held->pending)
        return;
    (void)sd_bus_reply_method_errorf(held->pending->call, bus_error_name(EXCHANGE_E_WRONG_STATE),
                                     "The exchange was closed before its peer was judged. Begin "
                                     "another");
    pending_free(held->pending);
}

static void refusal_log(const CallerExchange *held, int r, const Reason *reason)
{
    const char *error = r > 0 ? bus_error_name(r) : strerror(-r);
    const LogFields fields = {.message_id = MESSAGE_PEER_REFUSED,
                              .peer = exchange_segw(held->exchange)->name,
                              .spi = exchange_spi_i(held->exchange),
                              .error = error};

    log_fields(LOG_WARNING, &fields, "Exchange %" PRIu64 ": the SeGW is refused (%s). %s",
               held->number, error, reason->text);
}

/* Logs what has become of the peer; 0 or what bus_error_set() needs. */
static int verify_end(CallerExchange *held, const Verdict *verdict, Reason *reason)
{
    int r = exchange_verify_end(held->exchange, verdict, reason);

    if (r == 0) {
        log_info("Exchange %" PRIu64 ": SeGW %s verified: certificate, identity and AUTH (%s)",
                 held->number, exchange_peer_identity(held->exchange),
                 ike_auth_method_name(exchange_peer_method(held->exchange)));
        clock_vouched(held->caller->daemon, exchange_peer_vouched(held->exchange));
        if (verdict && verdict->note[0] != '\0')
            log_info("Exchange %" PRIu64 ": revocation: %s", held->number, verdict->note);
        return expiry_watch(held);
    }
    refusal_log(held, r, reason);
    return r;
}

static void on_verdict(const Verdict *verdict, const char *why, void *userdata)
{
    _cleanup_(pending_freep) PendingVerification *pending = userdata;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    CallerExchange *held = pending->held;
    Reason reason;

    pending->verification = NULL;
    reason_set(&reason, 0, "%s", why);
    int r = verify_end(held, verdict, &reason);
    if (r == 0) {
        r = sd_bus_reply_method_return(pending->call, "s", exchange_peer_identity(held->exchange));
    } else {
        (void)bus_error_set(&error, r, reason.text);
        r = sd_bus_reply_method_error(pending->call, &error);
    }
    if (r < 0)
        log_warning("Its owner could not be told: %s", strerror(-r));
    bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE | EXCHANGE_PROPERTY_PEER_IDENTITY);
    bus_exchange_child_resume(held);
}

static int verify_ask(CallerExchange *held, sd_bus_message *call, const VerifyRequest *request)
{
    _cleanup_(pending_freep) PendingVerification *pending = calloc(1, sizeof(*pending));
    int r;

    if (!pending)
        return -ENOMEM;
    pending->held = held;
    r = verifier_ask(exchange_verifier(held->exchange), request, on_verdict, pending,
                     &pending->verification);
    if (r < 0)
        return r;
    pending->call = sd_bus_message_ref(call);
    held->pending = steal_pointer(pending);
    return 0;
}

/* The reply comes when the verdict is there. */
int bus_exchange_verify_peer(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    VerifyRequest request;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_verify_begin(held->exchange, clock_now(held->caller->daemon), &request, &reason);
    if (r == 0) {
        r = verify_ask(held, call, &request);
        if (r == 0)
            return 1;
        reason_set(&reason, 0, "No verifier can be asked: %s", strerror(-r));
        r = exchange_verify_end(held->exchange, NULL, &reason);
    }
    if (r != EXCHANGE_E_WRONG_STATE) {
        refusal_log(held, r, &reason);
        bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE);
    }
    return bus_error_set(error, r, reason.text);
}

/* The methods of an exchange that are about its IKE SA, in the order of the call flow, and what
 * those are held by that are answered later. */
#include "base/log.h"
#include "base/messages.h"
#include "tred/bus_exchange_internal.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/daemon_state.h"
#include "tred/expiry.h"
#include "tred/key_care.h"
#include "tred/rejudge.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- calls that are answered later ---- */

PendingCall *pending_call_new(CallerExchange *held, sd_bus_message *call)
{
    PendingCall *pending = calloc(1, sizeof(*pending));

    if (pending)
        *pending = (PendingCall){.held = held, .call = sd_bus_message_ref(call)};
    return pending;
}

void pending_call_free(PendingCall *pending)
{
    sd_bus_message_unref(pending->call);
    free(pending);
}

/* ---- IKE_SA_INIT ---- */

int bus_exchange_choose_group(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    uint16_t group = 0;
    int r = bus_read(call, "q", &group);

    if (r == 0)
        r = exchange_choose_group(held->exchange, group, reason);
    if (r != 0)
        return r;
    log_info("Exchange %" PRIu64 ": new KE in group %u", held->number, group);
    return bus_reply(call, "A", exchange_ke_i(held->exchange));
}

int bus_exchange_agree(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    Bytes request, response;
    int r = bus_read(call, "AA", &request, &response);

    if (r == 0)
        r = exchange_agree(held->exchange, request, response, reason);
    if (r != 0)
        return r;
    log_info("Exchange %" PRIu64 ": agreed on %s, SPI_r %016" PRIx64, held->number,
             exchange_suite_name(held->exchange), exchange_spi_r(held->exchange));
    r = bus_reply(call, "s", exchange_suite_name(held->exchange));
    bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE | EXCHANGE_PROPERTY_SPI_R |
                                   EXCHANGE_PROPERTY_SUITE);
    return r;
}

int bus_exchange_fork(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    CallerExchange *fork = NULL;
    Exchange *exchange = NULL;
    char path[BUS_PATH_SIZE];
    int r = bus_check_room(held->caller, reason);

    if (r == 0)
        r = exchange_fork(held->exchange, &exchange, reason);
    if (r == 0)
        r = bus_exchange_begun(held->caller, exchange, NULL, &fork);
    if (r != 0)
        return r;
    assert(fork);
    log_info("Exchange %" PRIu64 ": a fork of exchange %" PRIu64
             ", for another response to its IKE_SA_INIT request",
             fork->number, held->number);
    daemon_key_wanted(held->caller->daemon);
    bus_exchange_path(fork, path);
    return bus_reply(call, "o", path);
}

/* ---- IKE_AUTH ---- */

/* The device key has signed, or failed; or the exchange is going (-ECANCELED), and `held` with it.
 */
static void on_signed(Exchange *exchange, int r, const OwnAuth *auth, const char *reason,
                      void *userdata)
{
    _cleanup_(pending_call_freep) PendingCall *pending = userdata;
    CallerExchange *held = pending->held;
    Daemon *daemon = held->caller->daemon;

    (void)exchange;
    if (r == -ECANCELED) {
        bus_answer(pending->call, EXCHANGE_E_WRONG_STATE,
                   "The exchange was closed before the TPM had signed", "");
        return;
    }
    if (r == 0) {
        bus_answer(pending->call, 0, "", "yAyA", auth->id_type, auth->id_data, auth->method,
                   auth->data);
    } else {
        bus_answer(pending->call, r, reason, "");
    }
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

/* Answered by on_signed(). */
int bus_exchange_sign_auth(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    PendingCall *pending = pending_call_new(held, call);
    int r;

    if (!pending)
        return -ENOMEM;
    r = exchange_sign_auth(held->exchange, on_signed, pending, reason);
    if (r == 0)
        return 0;
    pending_call_free(pending);
    if (r == EXCHANGE_E_TPM_FAILED)
        daemon_tpm_failed(held->caller->daemon, reason->text);
    return r;
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
    Daemon *daemon = held->caller->daemon;
    const bool by_another = exchange_verifier(held->exchange) != daemon->exchange_context.verifier;
    int r = exchange_verify_end(held->exchange, verdict, reason);

    if (r != 0) {
        refusal_log(held, r, reason);
        return r;
    }
    log_info("Exchange %" PRIu64 ": SeGW %s verified: certificate, identity and AUTH (%s)",
             held->number, exchange_peer_identity(held->exchange),
             ike_auth_method_name(exchange_peer_method(held->exchange)));
    clock_vouched(daemon, exchange_peer_vouched(held->exchange));
    if (verdict && verdict->note[0] != '\0')
        log_info("Exchange %" PRIu64 ": revocation: %s", held->number, verdict->note);
    r = expiry_watch(held);
    if (r == 0 && by_another)
        rejudge_one(held);
    return r;
}

static void on_verdict(const Verdict *verdict, const char *why, void *userdata)
{
    _cleanup_(pending_call_freep) PendingCall *pending = userdata;
    CallerExchange *held = pending->held;
    Reason reason;
    int r;

    held->pending = NULL;
    reason_set(&reason, 0, "%s", why);
    r = verify_end(held, verdict, &reason);
    bus_answer(pending->call, r, reason.text, "s", exchange_peer_identity(held->exchange));
    if (r < 0 && exchange_state(held->exchange) == EXCHANGE_VERIFIED) {
        expiry_close_unwatched(held);
        return;
    }
    bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE | EXCHANGE_PROPERTY_PEER_IDENTITY);
    bus_exchange_child_resume(held);
}

void bus_exchange_verify_cancel(CallerExchange *held)
{
    _cleanup_(pending_call_freep) PendingCall *pending = steal_pointer(held->pending);

    if (!pending)
        return;
    bus_answer(pending->call, EXCHANGE_E_WRONG_STATE,
               "The exchange was closed before its peer was judged. Begin another", "");
    verification_cancel(pending->verification);
}

static int verify_ask(CallerExchange *held, sd_bus_message *call, const VerifyRequest *request)
{
    _cleanup_(pending_call_freep) PendingCall *pending = pending_call_new(held, call);
    int r;

    if (!pending)
        return -ENOMEM;
    r = verifier_ask(exchange_verifier(held->exchange), request, on_verdict, pending,
                     &pending->verification);
    if (r == 0)
        held->pending = steal_pointer(pending);
    return r;
}

/* Answered by on_verdict(). */
int bus_exchange_verify_peer(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    VerifyRequest request;
    int r =
        exchange_verify_begin(held->exchange, clock_now(held->caller->daemon), &request, reason);

    if (r == 0) {
        r = verify_ask(held, call, &request);
        if (r == 0)
            return 0;
        reason_set(reason, 0, "No verifier can be asked: %s", strerror(-r));
        r = exchange_verify_end(held->exchange, NULL, reason);
    }
    if (r != EXCHANGE_E_WRONG_STATE) {
        refusal_log(held, r, reason);
        bus_exchange_changed(held, EXCHANGE_PROPERTY_STATE);
    }
    return r;
}

/* ---- sealed messages ---- */

/* IKE_AUTH is a step of the call flow; liveness checks go on for as long as the SA lives. */
static int message_log_level(uint8_t exchange_type)
{
    return exchange_type == IKE_AUTH ? LOG_INFO : LOG_DEBUG;
}

static int protect_reply(sd_bus_message *call, const SealedMessage *sealed)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_return(call, &reply);

    if (r >= 0)
        r = sd_bus_message_append(reply, "u", sealed->message_id);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "ay");
    for (size_t i = 0; r >= 0 && i < sealed->count; i++) {
        r = sd_bus_message_append_array(reply, 'y', sealed->datagrams[i].data,
                                        sealed->datagrams[i].size);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_message_send(reply);
    return r < 0 ? r : 0;
}

int bus_exchange_protect(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    PlainMessage message = {0};
    uint32_t max_datagram = 0;
    int response = 0;
    int r = bus_read(call, "ybyAu", &message.exchange_type, &response, &message.first,
                     &message.payloads, &max_datagram);

    message.response = response != 0;
    if (r == 0)
        r = exchange_protect(held->exchange, &message, max_datagram, &sealed, reason);
    if (r != 0)
        return r;
    log_line(message_log_level(message.exchange_type),
             "Exchange %" PRIu64 ": %s %s %u sealed in %zu datagram(s)", held->number,
             ike_exchange_name(message.exchange_type), response ? "response" : "request",
             sealed.message_id, sealed.count);
    return protect_reply(call, &sealed);
}

int bus_exchange_unprotect(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    _cleanup_(opened_message_deinit) OpenedMessage opened = {0};
    bool complete = false;
    Bytes datagram;
    int r = bus_read(call, "A", &datagram);

    if (r == 0)
        r = exchange_unprotect(held->exchange, datagram, &complete, &opened, reason);
    if (r != 0)
        return r;
    if (complete) {
        log_line(message_log_level(opened.exchange_type), "Exchange %" PRIu64 ": %s %s %u opened",
                 held->number, ike_exchange_name(opened.exchange_type),
                 opened.response ? "response" : "request", opened.message_id);
    }
    return bus_reply(call, "bybuyA", complete, opened.exchange_type, opened.response,
                     opened.message_id, opened.first, (Bytes){opened.plain, opened.plain_size});
}

/* ---- new keys, and the end ---- */

int bus_exchange_prepare_create(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    CreateOffer offer;
    uint16_t group = 0;
    int r = bus_read(call, "q", &group);

    if (r == 0)
        r = exchange_prepare_create(held->exchange, group, &offer, reason);
    return r != 0 ? r : bus_reply(call, "tAA", offer.spi, offer.nonce, offer.ke);
}

int bus_exchange_add_ike_sa(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    CallerExchange *made = NULL;
    Exchange *exchange = NULL;
    char path[BUS_PATH_SIZE];
    uint64_t spi = 0;
    int r = bus_read(call, "t", &spi);

    if (r == 0)
        r = bus_check_room(held->caller, reason);
    if (r == 0)
        r = exchange_add_ike_sa(held->exchange, spi, &exchange, reason);
    if (r == 0)
        r = bus_exchange_begun(held->caller, exchange, held, &made);
    if (r != 0)
        return r;
    assert(made);
    log_info("Exchange %" PRIu64 ": new keys for exchange %" PRIu64 ", %s, SPI_i %016" PRIx64
             ", SPI_r %016" PRIx64,
             made->number, held->number, exchange_suite_name(exchange), exchange_spi_i(exchange),
             exchange_spi_r(exchange));
    daemon_prepare_exchange(held->caller->daemon);
    bus_exchange_path(made, path);
    return bus_reply(call, "o", path);
}

int bus_exchange_inherit_children(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    CallerExchange *before;
    Exchange *from = NULL;
    int r = exchange_inherit_children(held->exchange, &from, reason);

    if (r != 0)
        return r;
    r = bus_reply(call, "");
    before = caller_exchange_of(held->caller, from);
    if (before) {
        log_info("Exchange %" PRIu64 " has the Child SAs of exchange %" PRIu64, held->number,
                 before->number);
        bus_exchange_changed(before, EXCHANGE_PROPERTY_STATE);
    }
    return r;
}

int bus_exchange_close(CallerExchange *held, sd_bus_message *call, Reason *reason)
{
    (void)reason;
    log_info("Exchange %" PRIu64 " is closed by its owner", held->number);
    caller_exchange_free(held);
    return bus_reply(call, "");
}

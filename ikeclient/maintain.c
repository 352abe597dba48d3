/* What becomes of an IKE SA that is up, and how does one end? Step 7 of the call flow, and every
 * other way out. */
#include "ikeclient/association_internal.h"

#include "base/log.h"
#include "ikeclient/report.h"

#include <limits.h>
#include <stdio.h>

static int seal(Association *a, bool response, uint8_t first, Bytes payloads, TreHandler handler)
{
    TreCall call = {
        .method = TRE_PROTECT,
        .exchange = a->exchange,
        .protect = {.exchange_type = response ? a->peer_exchange_type : (uint8_t)IKE_INFORMATIONAL,
                    .response = response,
                    .first = first,
                    .payloads = payloads,
                    .max_datagram = transport_max_message(a->transport, a->config->fragment_size)}};

    return handler ? tre_call(a->tre, &call, handler, a) : association_call(a, &call);
}

/* ---- our last words ---- */

static int seal_delete(Association *a)
{
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_IKE};
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    writer_init(&writer, a->scratch, sizeof(a->scratch));
    ike_chain_init(&chain, &writer);
    ike_chain_add_delete(&chain, &delete_);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : seal(a, false, chain.first, payloads, NULL);
}

int association_delete(Association *a, AssociationEnd end)
{
    a->end = end;
    a->state = STATE_DELETING;
    int r = seal_delete(a);
    return r < 0 ? r : ASSOCIATION_STATE_SET;
}

int action_delete(Association *a, const AssociationInput *input)
{
    if (a->checking) { /* one request at a time (RFC 7296 2.3) */
        (void)action_stop_later(a, input);
        return ASSOCIATION_STATE_SET;
    }
    association_explain(a, "stopped");
    return association_delete(a, ASSOCIATION_STOPPED);
}

int action_refuse_child(Association *a, const AssociationInput *input)
{
    association_explain(a, "tred did not take the Child SA (%s): %s", input->reply->error,
                        input->reply->text);
    return association_delete(a, ASSOCIATION_FAILED);
}

int action_refuse_peer(Association *a, const AssociationInput *input)
{
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    a->end = ASSOCIATION_FAILED;
    association_explain(a, "the SeGW did not verify (%s): %s", input->reply->error,
                        input->reply->text);
    steps_log(&a->steps, 6, "TrE's check of the SeGW", STEP_AT_HENB, "refused: %s",
              input->reply->error);
    writer_init(&writer, a->scratch, sizeof(a->scratch));
    ike_chain_init(&chain, &writer);
    ike_chain_add_notify(&chain, IKE_NOTIFY_AUTHENTICATION_FAILED, (Bytes){0}); /* 2.21.2 */
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : seal(a, false, chain.first, payloads, NULL);
}

static int send_request(Association *a, const TreReply *reply, unsigned tries_max)
{
    int r = datagrams_set(&a->request, reply->sealed.datagrams, reply->sealed.count);
    if (r == 0)
        r = association_await(a, reply->sealed.message_id, tries_max);
    if (r < 0)
        return r;
    association_send_request(a);
    return 0;
}

int action_send_closing(Association *a, const AssociationInput *input)
{
    return send_request(a, input->reply, CLOSING_TRIES_MAX);
}

int action_finish(Association *a, const AssociationInput *input)
{
    (void)input;
    return association_end(a, a->end);
}

int action_stop_later(Association *a, const AssociationInput *input)
{
    (void)input;
    a->stopping = true;
    return 0;
}

int action_stop_now(Association *a, const AssociationInput *input)
{
    (void)input;
    association_explain(a, "stopped");
    return association_end(a, ASSOCIATION_STOPPED);
}

int action_give_up(Association *a, const AssociationInput *input)
{
    char segw[ENDPOINT_TEXT_SIZE];
    RetransmitSchedule schedule = {a->config->retransmit_timeout,
                                   (unsigned)a->config->retransmit_tries};
    bool init = a->state != STATE_AUTH_SENT;
    (void)input;

    association_explain(
        a, "no %s from the SeGW at %s within %.1f s%s%s: %s",
        init ? "answer that could be used" : "IKE_AUTH response",
        endpoint_text(transport_remote(a->transport), segw),
        (double)retransmit_total_ms(&schedule) / 1000, a->hint[0] != 0 ? "; " : "", a->hint,
        a->hint_error != 0
            ? advice_for(a->hint_error)
            : "check [segw] address, and that UDP ports 500 and 4500 pass the networks between");
    return association_end(a, ASSOCIATION_FAILED);
}

/* ---- is the peer there? (RFC 7296 2.4) ---- */

int action_check(Association *a, const AssociationInput *input)
{
    (void)input;
    if (a->checking)
        return 0;
    a->checking = true;
    log_debug("nothing heard of the SeGW for %u s: asking", (unsigned)a->config->liveness);
    return seal(a, false, IKE_PAYLOAD_NONE, (Bytes){0}, NULL);
}

int action_send_check(Association *a, const AssociationInput *input)
{
    return send_request(a, input->reply, UINT_MAX);
}

int action_alive(Association *a, const AssociationInput *input)
{
    retransmit_stop(&a->retransmit);
    a->request_open = false;
    a->checking = false;
    return a->stopping ? action_delete(a, input) : 0;
}

int action_dead(Association *a, const AssociationInput *input)
{
    (void)input;
    association_explain(a, a->stopping ? "stopped; the SeGW is silent"
                                       : "the SeGW does not answer any more: it was restarted, or "
                                         "the network between is down");
    return association_end(a, a->stopping ? ASSOCIATION_STOPPED : ASSOCIATION_LOST);
}

/* ---- the peer's requests ---- */

static void remove_child(Association *a)
{
    TreCall call = {
        .method = TRE_REMOVE_CHILD, .exchange = a->exchange, .spi_in = a->child_offer.spi_in};

    a->has_child = false;
    (void)tre_call(a->tre, &call, NULL, NULL);
}

static int follow_request(Association *a)
{
    if (a->peer_request.deletes_ike || a->peer_request.auth_failed) {
        steps_log(&a->steps, 7, "INFORMATIONAL request", STEP_SEGW_TO_HENB, "%s, answered",
                  a->peer_request.what);
        /* Deleting at the same time, we get what we want (RFC 7296 2.8.1 says so of both). */
        if (a->state == STATE_DELETING)
            return action_finish(a, NULL);
        association_explain(a, "the SeGW sent %s", a->peer_request.what);
        return association_end(a, ASSOCIATION_DELETED_BY_PEER);
    }
    if (a->peer_request.deletes_child && a->has_child) {
        steps_log(&a->steps, 7, "INFORMATIONAL request", STEP_SEGW_TO_HENB, "%s, answered",
                  a->peer_request.what);
        remove_child(a);
        a->handlers->child_deleted(a->userdata, a);
    }
    return 0;
}

static void on_answer_sealed(void *userdata, const TreReply *reply)
{
    Association *a = userdata;

    if (a->state == STATE_CLOSED)
        return;
    if (reply->outcome != TRE_DONE) {
        association_explain(a, "tred did not seal our answer: %s", reply->text);
        (void)association_end(a, ASSOCIATION_LOST);
        return;
    }
    int r = datagrams_set(&a->answer, reply->sealed.datagrams, reply->sealed.count);
    if (r < 0) {
        association_explain(a, "out of memory");
        (void)association_end(a, ASSOCIATION_FAILED);
        return;
    }
    if (a->hold_delete && a->peer_request.deletes_ike) {
        a->answer_held = true;
        return;
    }
    association_send_answer(a);
    (void)follow_request(a);
}

void association_hold_delete(Association *a, bool hold)
{
    bool held = a->answer_held;

    a->hold_delete = hold;
    if (hold || !held || a->state == STATE_CLOSED)
        return;
    a->answer_held = false;
    association_send_answer(a);
    (void)follow_request(a);
}

int action_answer(Association *a, const AssociationInput *input)
{
    const TreReply *reply = input->reply;
    ChildSpis child = {a->has_child, a->child_offer.spi_in, a->child.esp.spi_out};
    uint8_t first = 0;
    Writer writer;
    Bytes payloads;

    writer_init(&writer, a->scratch, sizeof(a->scratch));
    peer_request_answer(reply->opened.exchange_type, reply->opened.first, reply->opened.payloads,
                        &child, &writer, &first, &a->peer_request);
    log_debug("the SeGW sent: %s", a->peer_request.what);
    a->peer_exchange_type = reply->opened.exchange_type;
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : seal(a, true, first, payloads, on_answer_sealed);
}

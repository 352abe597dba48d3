/* The peer's requests: what they ask, what we answer, and what follows from them (step 7 of the
 * call flow). */
#include "ikeclient/requests.h"

#include "base/log.h"
#include "base/reason.h"
#include "ikeclient/auth.h"
#include "ikeclient/informational.h"

#include <stdlib.h>

/* Notes our child that sends to `spi_out`, the sender's inbound SPI (RFC 7296 3.11). */
static void note_child(uint32_t spi_out, const ChildSa *children, PeerRequest *request)
{
    for (const ChildSa *child = children; child; child = child->next) {
        bool known = false;
        for (size_t i = 0; i < request->n_deleted; i++)
            known = known || request->deleted[i] == child->spi_in;
        if (child->answer.esp.spi_out != spi_out || known || request->n_deleted == IKE_SPIS_MAX)
            continue;
        request->deleted[request->n_deleted++] = child->spi_in;
        request->deletes_child = true;
    }
}

static void read_delete(const IkePayload *payload, const ChildSa *children, PeerRequest *request)
{
    IkeDelete delete_;

    if (ike_delete_decode(payload->body, &delete_) != 0)
        return;
    if (delete_.protocol == IKE_PROTOCOL_IKE) {
        request->deletes_ike = true;
        return;
    }
    if (delete_.protocol != IKE_PROTOCOL_ESP)
        return;
    for (size_t i = 0; i < delete_.n_spis; i++)
        note_child(delete_.spis[i], children, request);
}

/* RFC 7296 1.4.1: the SPIs of the other direction. */
static void add_deletes(const PeerRequest *request, IkeChain *chain)
{
    IkeDelete answer = {.protocol = IKE_PROTOCOL_ESP};

    for (size_t i = 0; i < request->n_deleted; i++)
        answer.spis[answer.n_spis++] = request->deleted[i];
    ike_chain_add_delete(chain, &answer);
}

static void answer_informational(const IkePayloads *payloads, const ChildSa *children,
                                 IkeChain *chain, PeerRequest *request)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeNotify notify;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_DELETE, &position)))
        read_delete(payload, children, request);
    if (ike_payloads_notify(payloads, IKE_NOTIFY_AUTHENTICATION_FAILED, &notify))
        request->auth_failed = true;
    request->has_lifetime = ike_payloads_notify(payloads, IKE_NOTIFY_AUTH_LIFETIME, &notify) &&
                            auth_lifetime_read(notify.data, &request->lifetime);

    if (request->deletes_ike) {
        request->what = "Delete of the IKE SA";
    } else if (request->auth_failed) {
        request->what = "AUTHENTICATION_FAILED";
    } else if (request->deletes_child) {
        add_deletes(request, chain);
        request->what = "Delete of the Child SA";
    } else if (request->has_lifetime) {
        request->what = "AUTH_LIFETIME";
    } else {
        request->what = payloads->count == 0 ? "liveness check" : "INFORMATIONAL without a Delete";
    }
}

static void answer_unreadable(const IkeFault *fault, IkeChain *chain, PeerRequest *request)
{
    if (fault->code == IKEWIRE_E_CRITICAL) { /* 2.5 */
        uint8_t type = fault->payload_type;
        ike_chain_add_notify(chain, IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, (Bytes){&type, 1});
        request->what = "request with an unknown critical payload";
    } else {
        ike_chain_add_notify(chain, IKE_NOTIFY_INVALID_SYNTAX, (Bytes){0});
        request->what = "request that does not parse";
    }
}

void peer_request_answer(uint8_t exchange_type, uint8_t first, Bytes payloads,
                         const ChildSa *children, Writer *writer, uint8_t *ret_first,
                         PeerRequest *ret)
{
    IkePayloads decoded;
    IkeFault fault = {0};
    IkeChain chain;

    *ret = (PeerRequest){0};
    ike_chain_init(&chain, writer);
    if (ike_payloads_decode(first, payloads, &decoded, &fault) != 0) {
        answer_unreadable(&fault, &chain, ret);
    } else if (exchange_type == IKE_INFORMATIONAL) {
        answer_informational(&decoded, children, &chain, ret);
    } else if (exchange_type == IKE_CREATE_CHILD_SA) {
        /* 1.3: we start all Child SAs; a SeGW whose lifetime is over then deletes, and we connect
         * anew. */
        ike_chain_add_notify(&chain, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
        ret->new_child = true;
        ret->what = "CREATE_CHILD_SA, which we do not take part in";
    } else {
        ike_chain_add_notify(&chain, IKE_NOTIFY_INVALID_SYNTAX, (Bytes){0});
        ret->what = "request of a type that has no place here";
    }
    *ret_first = chain.first;
}

/* ---- on an IKE SA ---- */

static void remove_children(IkeSa *sa)
{
    const PeerRequest *request = &sa->peer.request;

    for (size_t i = 0; i < request->n_deleted; i++) {
        TreCall call = {
            .method = TRE_REMOVE_CHILD, .exchange = sa->exchange, .spi_in = request->deleted[i]};
        (void)tre_call(sa->tre, &call, NULL, NULL);
        child_sas_remove(&sa->children, request->deleted[i]);
    }
}

/* What the request says has come about, now that it is answered. */
static void follow(IkeSa *sa)
{
    const PeerRequest *request = &sa->peer.request;

    if (request->has_lifetime && !request->deletes_ike && !request->auth_failed)
        ike_sa_limit(sa, IKE_SA_LIMIT_SEGW, request->lifetime);
    if (!request->deletes_ike && !request->auth_failed && !request->deletes_child)
        return;
    steps_log(&sa->steps, 7, "INFORMATIONAL request", STEP_SEGW_TO_HENB, "%s, answered",
              request->what);
    if (request->deletes_ike || request->auth_failed) {
        /* Deleting at the same time, we get what we want (RFC 7296 2.8.1 says so of both). */
        bool ours = ike_sa_is_closing(sa);
        if (!ours)
            reason_set(&sa->reason, 0, "the SeGW sent %s", request->what);
        ike_sa_end(sa, ours ? sa->end : IKE_SA_DELETED_BY_PEER);
        return;
    }
    remove_children(sa);
    sa->handlers->child_deleted(sa->userdata, sa);
}

static void send_answer(IkeSa *sa)
{
    sa->peer.answer_held = false;
    transport_send_all_to(sa->transport, &sa->peer.answer, &sa->peer.sender);
    follow(sa);
}

static void on_sealed(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;

    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        reason_set(&sa->reason, 0, "tred did not seal our answer: %s", reply->text);
        ike_sa_end(sa, IKE_SA_LOST);
        return;
    }
    int r = datagrams_set(&peer->answer, reply->sealed.datagrams, reply->sealed.count);
    if (r < 0) {
        ike_sa_fail(sa, r);
        return;
    }
    peer->answer_held = peer->hold_delete && peer->request.deletes_ike;
    if (!peer->answer_held)
        send_answer(sa);
}

void peer_request_received(IkeSa *sa, const TreReply *opened, uint8_t *datagram, size_t size,
                           const Endpoint *sender)
{
    PeerQueue *peer = &sa->peer;
    TreCall call = {.method = TRE_PROTECT,
                    .exchange = sa->exchange,
                    .protect = {.exchange_type = opened->opened.exchange_type,
                                .response = true,
                                .max_datagram = transport_max_message(sa->transport,
                                                                      sa->config->fragment_size)}};
    Writer writer;

    free(peer->answered);
    peer->answered = datagram;
    peer->answered_size = size;
    peer->sender = *sender;
    datagrams_deinit(&peer->answer);

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    peer_request_answer(opened->opened.exchange_type, opened->opened.first, opened->opened.payloads,
                        sa->children, &writer, &call.protect.first, &peer->request);
    if (peer->request.new_child && !peer->refusal_said) {
        log_notice(
            "the SeGW wants to rekey, or another Child SA (CREATE_CHILD_SA), and is refused with "
            "NO_ADDITIONAL_SAS: when a lifetime of its is over, let it delete the IKE SA, and a "
            "new connection follows (RFC 7296 1.3, 2.8)");
        peer->refusal_said = true;
    } else {
        log_debug("the SeGW sent: %s", peer->request.what);
    }
    int r = writer_finish(&writer, &call.protect.payloads);
    if (r == 0)
        r = tre_call(sa->tre, &call, on_sealed, peer);
    if (r < 0)
        ike_sa_fail(sa, r);
}

bool peer_request_repeated(IkeSa *sa, Bytes datagram, const Endpoint *sender)
{
    const PeerQueue *peer = &sa->peer;

    if (peer->answer.count == 0 ||
        !bytes_equal(datagram, (Bytes){peer->answered, peer->answered_size}))
        return false;
    if (!peer->answer_held)
        transport_send_all_to(sa->transport, &peer->answer, sender);
    return true;
}

void peer_queue_hold_delete(IkeSa *sa, bool hold)
{
    sa->peer.hold_delete = hold;
    if (!hold && sa->peer.answer_held && !sa->closed)
        send_answer(sa);
}

void peer_queue_init(IkeSa *sa)
{
    sa->peer.sa = sa;
}

void peer_queue_deinit(IkeSa *sa)
{
    tre_forget(sa->tre, &sa->peer);
    free(sa->peer.answered);
    datagrams_deinit(&sa->peer.answer);
}

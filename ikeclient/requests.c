/* The peer's requests: what they ask, what we answer, and what follows from them (step 7 of the
 * call flow). */
#include "ikeclient/requests.h"

#include "base/reason.h"
#include "ikeclient/create_answer.h"
#include "ikeclient/create_child.h"
#include "ikeclient/informational.h"
#include "ikeclient/initial_exchanges.h"
#include "ikeclient/rekey.h"
#include "ikeclient/rekey_ike.h"
#include "ikeclient/task.h"
#include "ikeclient/upkeep.h"

#include <stdlib.h>

/* Notes our child that sends to `spi_out`, the sender's inbound SPI (RFC 7296 3.11). One that we
 * are deleting is in our request already, and so must not be in the answer (1.4.1, 2.25.1). */
static void note_child(uint32_t spi_out, const ChildSa *children, PeerRequest *request)
{
    for (const ChildSa *child = children; child; child = child->next) {
        bool known = false;
        for (size_t i = 0; i < request->n_deleted; i++)
            known = known || request->deleted[i] == child->spi_in;
        if (child->answer.esp.spi_out != spi_out || known || child->delete_sent ||
            request->n_deleted == IKE_SPIS_MAX)
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
    request->redirects = ike_payloads_notify(payloads, IKE_NOTIFY_REDIRECT, &notify) &&
                         redirect_read(notify.data, (Bytes){0}, &request->redirect) == 0;
    request->has_addresses = addresses_read(payloads, &request->addresses);
    request->has_lifetime = ike_payloads_notify(payloads, IKE_NOTIFY_AUTH_LIFETIME, &notify) &&
                            auth_lifetime_read(notify.data, &request->lifetime);

    if (request->deletes_ike) {
        request->what = "Delete of the IKE SA";
    } else if (request->auth_failed) {
        request->what = "AUTHENTICATION_FAILED";
    } else if (request->deletes_child) {
        add_deletes(request, chain);
        request->what = "Delete of the Child SA";
    } else if (request->redirects) {
        request->what = "REDIRECT";
    } else if (request->has_lifetime) {
        request->what = "AUTH_LIFETIME";
    } else if (request->has_addresses) {
        request->what = "its other addresses";
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
                         const ChildSa *children, const MobikePath *path, Writer *writer,
                         uint8_t *ret_first, PeerRequest *ret)
{
    IkePayloads decoded;
    IkeFault fault = {0};
    IkeChain chain;

    *ret = (PeerRequest){0};
    ike_chain_init(&chain, writer);
    if (ike_payloads_decode(first, payloads, &decoded, &fault) != 0) {
        answer_unreadable(&fault, &chain, ret);
    } else if (exchange_type == IKE_INFORMATIONAL) {
        mobike_answer(&decoded, path, &chain);
        answer_informational(&decoded, children, &chain, ret);
    } else {
        ike_chain_add_notify(&chain, IKE_NOTIFY_INVALID_SYNTAX, (Bytes){0});
        ret->what = "request of a type that has no place here";
    }
    *ret_first = chain.first;
}

/* ---- on an IKE SA ---- */

/* An IKE SA that was rekeyed may still carry the Delete of a Child SA that has moved on (2.25.2).
 */
static void remove_children(IkeSa *sa)
{
    const PeerRequest *request = &sa->peer.request;
    IkeSa *holder = succession_holder(sa);

    for (size_t i = 0; i < request->n_deleted; i++)
        rekey_let_go(holder, request->deleted[i]);
    holder->handlers->child_deleted(holder->userdata, holder);
    upkeep_tend(holder);
}

/* What the request says has come about, now that it is answered. */
static void follow(IkeSa *sa)
{
    const PeerRequest *request = &sa->peer.request;

    if (request->has_lifetime && !request->deletes_ike && !request->auth_failed)
        ike_sa_limit(sa, IKE_SA_LIMIT_SEGW, request->lifetime);
    if (request->has_addresses && !request->deletes_ike && !request->auth_failed)
        mobike_take_addresses(sa, &request->addresses, &sa->peer.sender);
    if (request->redirects && !request->deletes_ike && !request->auth_failed &&
        !ike_sa_is_closing(sa)) {
        report_line(sa->config, LOG_NOTICE, "the SeGW redirects to %s (RFC 5685)",
                    request->redirect.name);
        if (!ike_sa_follow(sa, &request->redirect))
            report_line(sa->config, LOG_ERR, "%s", sa->reason.text);
    }
    if (!request->deletes_ike && !request->auth_failed && !request->deletes_child)
        return;
    steps_log(&sa->steps, 7, "INFORMATIONAL request", STEP_SEGW_TO_HENB, "%s, answered",
              request->what);
    if (!request->deletes_ike && !request->auth_failed) {
        remove_children(sa);
        return;
    }
    if (request->deletes_ike) /* our own rekeying is forgotten (2.25.2) */
        succession_decide(sa);
    if (sa->closed)
        return;
    /* Deleting at the same time, we get what we want (RFC 7296 2.8.1 says so of both). */
    bool ours = ike_sa_is_closing(sa);
    if (!ours)
        reason_set(&sa->reason, 0, "the SeGW sent %s", request->what);
    ike_sa_end(sa, ours ? sa->end : IKE_SA_DELETED_BY_PEER);
}

/* ---- the answer ---- */

/* What we send by the Child SA that the peer deletes is lost once it has our answer: another one
 * sends before that. A redundant one may still be in standby, and the first packet that comes by it
 * would make it the one that sends. So it is used first, which ends its standby, and then the
 * other. */
static void on_used(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;

    if (sa->closed)
        return;
    if (reply->outcome == TRE_GONE) {
        peer_queue_unsealed(sa, reply);
    } else if (--peer->request.awaited == 0) {
        peer_queue_send(sa);
    }
}

static void on_delete_sealed(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    PeerRequest *request = &peer->request;
    IkeSa *sa = peer->sa, *holder = succession_holder(sa);
    TreCall call = {.method = TRE_USE_CHILD, .exchange = holder->exchange};

    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        peer_queue_unsealed(sa, reply);
        return;
    }
    int r = peer_queue_keep(sa, reply);
    for (size_t i = 0; i < request->n_deleted && r == 0; i++) {
        const uint32_t next = rekey_next_child(holder, request->deleted[i]);
        if (next == 0)
            continue;
        rekey_end_standby(holder, request->deleted[i]);
        call.spi_in = next;
        r = tre_call(sa->tre, &call, on_used, peer);
        request->awaited += r == 0;
    }
    if (r < 0) {
        ike_sa_fail(sa, r);
    } else if (request->awaited == 0) {
        peer_queue_send(sa);
    }
}

/* A SeGW may make another one, and delete the old one, without saying that it is in its place
 * (REKEY_SA, RFC 7296 1.3.3). It is then. */
static void adopt(IkeSa *sa, uint32_t spi_in)
{
    const ChildSa *old = child_sas_find(sa->children, spi_in);
    ChildSa *heir = NULL;

    if (!old || !child_sa_is_current(sa->children, old) || child_config_dscps(sa, old->place) != 0)
        return;
    for (ChildSa *child = old->next; child; child = child->next) {
        if (child->by_peer && child->replaces == 0 && child->place == CHILD_OF_SEGW &&
            child_sa_is_current(sa->children, child) &&
            child_answer_takes_in(&child->answer, &old->answer))
            heir = child;
    }
    if (!heir)
        return;
    heir->replaces = old->spi_in;
    heir->place = old->place;
    report_line(sa->config, LOG_INFO, "the Child SA %08x takes the place of %08x", heir->spi_in,
                old->spi_in);
}

static int answer(IkeSa *sa, const TreReply *opened)
{
    const uint8_t type = opened->opened.exchange_type;
    uint8_t first = 0;
    Writer writer;
    Bytes payloads;

    if (type == IKE_CREATE_CHILD_SA && create_answer_begin(sa, opened))
        return 0;
    sa->peer.sent = follow;
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    const MobikePath path = nat_mapping_path(sa, &sa->peer.sender);
    peer_request_answer(type, opened->opened.first, opened->opened.payloads,
                        succession_holder(sa)->children, &path, &writer, &first, &sa->peer.request);
    report_line(sa->config, LOG_DEBUG, "the SeGW sent: %s", sa->peer.request.what);
    const PeerRequest *request = &sa->peer.request;
    if (request->n_deleted == 1)
        adopt(succession_holder(sa), request->deleted[0]);
    const bool children_alone =
        request->deletes_child && !request->deletes_ike && !request->auth_failed;
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r
                 : peer_queue_seal(sa, type, first, payloads,
                                   children_alone ? on_delete_sealed : peer_queue_sealed);
}

void peer_request_received(IkeSa *sa, const TreReply *opened, uint8_t *datagram, size_t size,
                           const Endpoint *sender)
{
    if (sa->peer.create.pending ||
        sa->peer.request.awaited > 0) { /* our window is 1 (RFC 7296 2.3) */
        ike_sa_drop(sa, "a request before the one before it was answered");
        free(datagram);
        return;
    }
    peer_queue_take(sa, datagram, size, sender);
    int r = answer(sa, opened);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* The answer to the peer's request: sealed, kept, and sent once or again. */
#include "ikeclient/peer_queue.h"

#include "base/reason.h"

#include <stdlib.h>

void peer_queue_take(IkeSa *sa, uint8_t *datagram, size_t size, const Endpoint *sender)
{
    PeerQueue *peer = &sa->peer;

    free(peer->answered);
    peer->answered = datagram;
    peer->answered_size = size;
    peer->sender = *sender;
    peer->request = (PeerRequest){0};
    datagrams_deinit(&peer->answer);
}

bool peer_queue_repeats(IkeSa *sa, Bytes datagram, const Endpoint *sender)
{
    const PeerQueue *peer = &sa->peer;
    const bool answered = peer->answer.count > 0;

    if (!bytes_equal(datagram, (Bytes){peer->answered, peer->answered_size}) ||
        (!answered && !peer->create.pending))
        return false;
    if (answered && !peer->answer_held)
        transport_send_all_to(sa->transport, &peer->answer, sender);
    return true;
}

int peer_queue_seal(IkeSa *sa, uint8_t exchange_type, uint8_t first, Bytes payloads,
                    TreHandler handler)
{
    const TreCall call = {.method = TRE_PROTECT,
                          .exchange = sa->exchange,
                          .protect = {.exchange_type = exchange_type,
                                      .response = true,
                                      .first = first,
                                      .payloads = payloads,
                                      .max_datagram = transport_max_message(
                                          sa->transport, sa->config->fragment_size)}};

    return tre_call(sa->tre, &call, handler, &sa->peer);
}

int peer_queue_keep(IkeSa *sa, const TreReply *sealed)
{
    sa->peer.answer_held = true;
    return datagrams_set(&sa->peer.answer, sealed->sealed.datagrams, sealed->sealed.count);
}

void peer_queue_send(IkeSa *sa)
{
    sa->peer.answer_held = false;
    transport_send_all_to(sa->transport, &sa->peer.answer, &sa->peer.sender);
    sa->peer.sent(sa);
}

void peer_queue_unsealed(IkeSa *sa, const TreReply *reply)
{
    reason_set(&sa->reason, 0, "tred did not seal our answer: %s", reply->text);
    ike_sa_end(sa, IKE_SA_LOST);
}

void peer_queue_sealed(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;

    if (sa->closed)
        return;
    if (reply->outcome != TRE_DONE) {
        peer_queue_unsealed(sa, reply);
        return;
    }
    int r = peer_queue_keep(sa, reply);
    if (r < 0) {
        ike_sa_fail(sa, r);
    } else if (!peer->hold_delete || !peer->request.deletes_ike) {
        peer_queue_send(sa);
    }
}

void peer_queue_hold_delete(IkeSa *sa, bool hold)
{
    sa->peer.hold_delete = hold;
    if (!hold && sa->peer.answer_held && sa->peer.request.deletes_ike && !sa->closed)
        peer_queue_send(sa);
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

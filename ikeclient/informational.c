/* What does the SeGW want of an SA that is up, and what do we answer? */
#include "ikeclient/informational.h"

static void read_delete(const IkePayload *payload, const ChildSpis *child, PeerRequest *request)
{
    IkeDelete delete_;

    if (ike_delete_decode(payload->body, &delete_) != 0)
        return;
    if (delete_.protocol == IKE_PROTOCOL_IKE) {
        request->deletes_ike = true;
        return;
    }
    if (delete_.protocol != IKE_PROTOCOL_ESP || !child->exists)
        return;
    for (size_t i = 0; i < delete_.n_spis; i++) {
        if (delete_.spis[i] == child->spi_out) /* the sender's inbound SPI (3.11) */
            request->deletes_child = true;
    }
}

static void answer_informational(const IkePayloads *payloads, const ChildSpis *child,
                                 IkeChain *chain, PeerRequest *request)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeNotify notify;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_DELETE, &position)))
        read_delete(payload, child, request);
    if (ike_payloads_notify(payloads, IKE_NOTIFY_AUTHENTICATION_FAILED, &notify))
        request->auth_failed = true;

    if (request->deletes_ike) {
        request->what = "Delete of the IKE SA";
    } else if (request->auth_failed) {
        request->what = "AUTHENTICATION_FAILED";
    } else if (request->deletes_child) {
        IkeDelete answer = {
            IKE_PROTOCOL_ESP, 1, {child->spi_in}}; /* 1.4.1: the other direction's */
        ike_chain_add_delete(chain, &answer);
        request->what = "Delete of the Child SA";
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
                         const ChildSpis *child, Writer *writer, uint8_t *ret_first,
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
        answer_informational(&decoded, child, &chain, ret);
    } else if (exchange_type == IKE_CREATE_CHILD_SA) {
        /* 1.3: a minimal implementation has one Child SA; the SeGW then deletes and we connect
         * anew. */
        ike_chain_add_notify(&chain, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
        ret->what = "CREATE_CHILD_SA, which we do not take part in";
    } else {
        ike_chain_add_notify(&chain, IKE_NOTIFY_INVALID_SYNTAX, (Bytes){0});
        ret->what = "request of a type that has no place here";
    }
    *ret_first = chain.first;
}

/* What the keys of a CREATE_CHILD_SA are made of beside SK_d: both nonces and g^ir, read from the
 * two messages (RFC 7296 2.17, 2.18). */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <errno.h>

typedef struct KeyPart {
    Bytes nonce;
    bool has_ke;
    IkeKe ke;
} KeyPart;

static int key_part_read(const Exchange *exchange, const Negotiation *negotiation, bool response,
                         KeyPart *ret, Reason *reason)
{
    const KeptMessage *message = response ? &negotiation->response : &negotiation->request;
    const char *which = exchange_message_name(exchange, negotiation, response);
    const IkePayload *nonce, *ke;
    IkePayloads payloads;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) != 0)
        return reason_set(reason, EXCHANGE_E_MALFORMED, "The %s does not parse", which);
    nonce = ike_payloads_find(&payloads, IKE_PAYLOAD_NONCE);
    if (!nonce || ike_nonce_decode(nonce->body, &ret->nonce) != 0) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The %s has no nonce, which CREATE_CHILD_SA needs (RFC 7296 1.3)", which);
    }
    ke = ike_payloads_find(&payloads, IKE_PAYLOAD_KE);
    ret->has_ke = ke != NULL;
    if (ke && ike_ke_decode(ke->body, &ret->ke) != 0)
        return reason_set(reason, EXCHANGE_E_MALFORMED, "The %s's KE does not parse", which);
    return 0;
}

static int g_ir_compute(Negotiation *negotiation, uint16_t group, const KeyPart *peer,
                        Reason *reason)
{
    const Dh *dh = negotiation->own.dh;
    int r;

    if (negotiation->dh_secret)
        return 0;
    if (!dh || dh_group(dh) != group || !peer->has_ke || peer->ke.group != group) {
        return reason_set(reason, EXCHANGE_E_BAD_KEY_EXCHANGE,
                          "Group %u (%s) was chosen, and not both messages have a KE of it", group,
                          algorithm_name(IKE_TRANSFORM_KE, group, 0));
    }
    r = dh_derive(dh, peer->ke.data, &negotiation->dh_secret);
    if (r != -EBADMSG)
        return r;
    return reason_set(reason, EXCHANGE_E_BAD_KEY_EXCHANGE,
                      "The peer's KE is not a valid public value of group %u (RFC 6989)", group);
}

int exchange_create_agree(const Exchange *exchange, Negotiation *negotiation, uint16_t group,
                          size_t prf_size, Nonces *ret, Reason *reason)
{
    KeyPart request = {0}, response = {0};
    const KeyPart *peer = negotiation->peers ? &request : &response;
    int r;

    r = key_part_read(exchange, negotiation, false, &request, reason);
    if (r == 0)
        r = key_part_read(exchange, negotiation, true, &response, reason);
    if (r != 0)
        return r;
    if (2 * peer->nonce.size < prf_size) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The peer's nonce has %zu octets, less than half of the prf's key size "
                          "(RFC 7296 2.10)",
                          peer->nonce.size);
    }
    if (group == IKE_GROUP_NONE && response.has_ke) {
        return reason_set(reason, EXCHANGE_E_BAD_KEY_EXCHANGE,
                          "The CREATE_CHILD_SA response has a KE, and chose no group");
    }
    if (group != IKE_GROUP_NONE)
        r = g_ir_compute(negotiation, group, peer, reason);
    if (r != 0)
        return r;
    *ret = (Nonces){request.nonce, response.nonce};
    return 0;
}

/* What the keys of a CREATE_CHILD_SA are made of beside SK_d: both nonces and g^ir, read from the
 * two messages (RFC 7296 2.17, 2.18). And the IKE SA that takes this one's place: its keys, and
 * what it takes over. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IKE_SPI_SIZE = 8 };

/* ---- nonces and g^ir ---- */

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
    if (!dh || dh_group(dh) != group || peer->ke.group != group) { /* none: without a KE */
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

/* ---- another IKE SA ---- */

static int sa_read(const Exchange *exchange, const Negotiation *negotiation, bool response,
                   IkeSaPayload *ret, Reason *reason)
{
    const KeptMessage *message = response ? &negotiation->response : &negotiation->request;
    const char *which = exchange_message_name(exchange, negotiation, response);
    const IkePayload *sa = NULL;
    IkePayloads payloads;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) == 0)
        sa = ike_payloads_find(&payloads, IKE_PAYLOAD_SA);
    if (!sa || ike_sa_decode(sa->body, ret) != 0) {
        return reason_set(reason, EXCHANGE_E_MALFORMED, "The %s has no SA payload that can be read",
                          which);
    }
    return 0;
}

/* The suite, and each side's SPI of the new IKE SA, which the proposals have (RFC 7296 1.3.2). */
static int choice_read(const IkeSaPayload *offered, const IkeSaPayload *answer, IkeTerms *ret,
                       Reason *reason)
{
    const IkeProposal *chosen = &answer->proposals[0];
    const IkeProposal *offer = suite_offer_find(offered, chosen);
    int r = ike_suite_select(offered, answer, &ret->suite);

    if (r != 0)
        return exchange_suite_refuse(r, reason);
    ret->spi_i = offer ? offer->spi : 0;
    ret->spi_r = chosen->spi;
    if (chosen->spi_size == IKE_SPI_SIZE && ret->spi_i != 0 && ret->spi_r != 0)
        return 0;
    return reason_set(reason, EXCHANGE_E_MALFORMED,
                      "The CREATE_CHILD_SA messages have no SPIs for the new IKE SA");
}

int exchange_ike_terms_read(const Exchange *exchange, Negotiation *negotiation, IkeTerms *ret,
                            Nonces *ret_nonces, Reason *reason)
{
    IkeSaPayload offered = {0}, answer = {0};
    size_t prf_size = exchange->suite.prf->size;
    int r = sa_read(exchange, negotiation, false, &offered, reason);

    if (r == 0)
        r = sa_read(exchange, negotiation, true, &answer, reason);
    if (r == 0)
        r = choice_read(&offered, &answer, ret, reason);
    if (r != 0)
        return r;
    if (ret->suite.prf->size > prf_size)
        prf_size = ret->suite.prf->size;
    return exchange_create_agree(exchange, negotiation, ret->suite.group, prf_size, ret_nonces,
                                 reason);
}

/* SK_* of the new IKE SA (RFC 7296 2.18). Its SKEYSEED is made with the old one's prf. */
static int keys_derive(const Exchange *exchange, const Negotiation *negotiation,
                       const IkeTerms *terms, const Nonces *nonces, IkeKeys *ret)
{
    _cleanup_(secret_freep) Secret *skeyseed = NULL;
    int r = skeyseed_rekey(exchange->suite.prf, exchange->keys.sk_d, negotiation->dh_secret,
                           nonces->i, nonces->r, &skeyseed);

    if (r < 0)
        return r;
    return ike_keys_derive(&terms->suite, skeyseed, nonces->i, nonces->r, terms->spi_i,
                           terms->spi_r, ret);
}

static Negotiation *negotiation_find(Exchange *exchange, uint64_t spi)
{
    Negotiation *const creates[] = {&exchange->own_create, &exchange->peer_create};

    for (size_t i = 0; i < ELEMENTS(creates); i++) {
        if (creates[i]->response.there && creates[i]->protocol == IKE_PROTOCOL_IKE &&
            creates[i]->spi == spi)
            return creates[i];
    }
    return NULL;
}

/* The peer is the one that was judged before. */
static void peer_copy(const Exchange *from, Exchange *exchange)
{
    memcpy(exchange->peer_identity, from->peer_identity, sizeof(exchange->peer_identity));
    exchange->peer_auth_method = from->peer_auth_method;
    exchange->peer_expires = from->peer_expires;
    exchange->peer_vouched = from->peer_vouched;
    exchange->peer_path = from->peer_path;
    exchange->peer_rsa_pkcs1 = from->peer_rsa_pkcs1;
    exchange->mobike = from->mobike;
    exchange->evidence = evidence_ref(from->evidence);
}

int exchange_add_ike_sa(Exchange *exchange, uint64_t spi, Exchange **ret, Reason *reason)
{
    _cleanup_(exchange_freep) Exchange *made = NULL;
    Negotiation *negotiation;
    IkeTerms terms = {0};
    Nonces nonces = {0};
    int r;

    r = exchange_allows(exchange, EXCHANGE_ADD_IKE_SA, reason);
    if (r != 0)
        return r;
    negotiation = negotiation_find(exchange, spi);
    if (!negotiation) {
        return reason_set(reason, EXCHANGE_E_NO_SUCH_IKE_SA,
                          "No IKE SA was negotiated under this SPI, or it was added already");
    }
    r = exchange_ike_terms_read(exchange, negotiation, &terms, &nonces, reason);
    if (r != 0)
        return r;
    made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    r = keys_derive(exchange, negotiation, &terms, &nonces, &made->keys);
    if (r < 0)
        return r;
    r = protection_new(&terms.suite, &made->keys,
                       &(ProtectionTerms){
                           .spi_i = terms.spi_i,
                           .spi_r = terms.spi_r,
                           .initiator = !negotiation->peers,
                           .fragmentation = protection_fragments(exchange->protection),
                       },
                       &made->protection);
    if (r < 0)
        return r;
    negotiation_forget(negotiation);
    made->spi_i = terms.spi_i;
    made->spi_r = terms.spi_r;
    made->suite = terms.suite;
    ike_suite_name(&made->suite, made->suite_name);
    made->made_from = exchange;
    peer_copy(exchange, made);
    exchange_enlist(made, exchange->context, exchange->segw, EXCHANGE_VERIFIED);
    exchange_step(exchange, EXCHANGE_ADD_IKE_SA);
    *ret = steal_pointer(made);
    return 0;
}

static size_t children_count(const Exchange *exchange, bool (*is)(const Child *))
{
    size_t count = 0;

    for (size_t i = 0; i < ELEMENTS(exchange->children); i++)
        count += is(&exchange->children[i]);
    return count;
}

static bool is_installed(const Child *child)
{
    return child->installed;
}

/* Whoever is to be told of it is told by its place, which it so keeps until then. */
static bool is_waited_for(const Child *child)
{
    return child->added || child->using;
}

static bool is_free(const Child *child)
{
    return child->spi_in == 0;
}

/* SPIs that were given out for Child SAs to come stay where they can still be used, if anywhere. */
static void holdings_move(Exchange *from, Exchange *to)
{
    for (size_t i = 0; i < ELEMENTS(from->children); i++) {
        if (from->children[i].installed)
            exchange_child_move(&from->children[i], to);
    }
    to->transport = steal_pointer(from->transport);
    to->nat = from->nat;
    to->remote = from->remote;
    to->n_addresses = from->n_addresses;
    memcpy(to->addresses, from->addresses, sizeof(to->addresses));
}

int exchange_inherit_children(Exchange *exchange, Exchange **ret, Reason *reason)
{
    Exchange *from = exchange->made_from;
    int r;

    r = exchange_allows(exchange, EXCHANGE_INHERIT_CHILDREN, reason);
    if (r != 0)
        return r;
    if (!from || from->state != EXCHANGE_VERIFIED) {
        return reason_set(
            reason, EXCHANGE_E_WRONG_STATE,
            "InheritChildren is not possible: this exchange was not made by AddIkeSa, "
            "or the one that it was made from is closed or was inherited from");
    }
    if (children_count(from, is_waited_for) > 0 || from->moved) {
        return reason_set(
            reason, EXCHANGE_E_WRONG_STATE,
            "InheritChildren is not possible yet: an AddChild, UseChild or MoveTransport of "
            "the exchange to inherit from is not answered. Wait for its answer");
    }
    if (children_count(from, is_installed) > children_count(exchange, is_free)) {
        return reason_set(reason, EXCHANGE_E_TOO_MANY_CHILDREN,
                          "There is no room for the Child SAs of the other exchange: both have %d "
                          "SPIs at the most. Give some back with RemoveChild",
                          EXCHANGE_CHILDREN_MAX);
    }
    holdings_move(from, exchange);
    negotiation_forget(&from->own_create);
    negotiation_forget(&from->peer_create);
    exchange_step(exchange, EXCHANGE_INHERIT_CHILDREN);
    from->state = EXCHANGE_REPLACED;
    *ret = from;
    return 0;
}

/* CREATE_CHILD_SA (RFC 7296 1.3): what is made for our messages, what these may say, and what is
 * kept of ours and the peer's for AddChild and AddIkeSa to read. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <stdlib.h>
#include <string.h>

enum { IKE_SPI_SIZE = 8 };

/* ---- what is made and kept ---- */

void prepared_forget(Prepared *prepared)
{
    dh_free(prepared->dh);
    *prepared = (Prepared){0};
}

void negotiation_forget(Negotiation *negotiation)
{
    free(negotiation->request.payloads.data);
    free(negotiation->response.payloads.data);
    prepared_forget(&negotiation->own);
    secret_free(negotiation->dh_secret);
    *negotiation = (Negotiation){0};
}

/* Takes one out, which is the caller's then. */
static Prepared prepared_take(Exchange *exchange, size_t index)
{
    Prepared taken = exchange->prepared[index];

    exchange->n_prepared--;
    memmove(&exchange->prepared[index], &exchange->prepared[index + 1],
            (exchange->n_prepared - index) * sizeof(taken));
    exchange->prepared[exchange->n_prepared] = (Prepared){0};
    return taken;
}

static void prepared_put(Exchange *exchange, const Prepared *prepared)
{
    if (exchange->n_prepared == ELEMENTS(exchange->prepared)) {
        Prepared oldest = prepared_take(exchange, 0);

        prepared_forget(&oldest);
    }
    exchange->prepared[exchange->n_prepared++] = *prepared;
}

int exchange_prepare_create(Exchange *exchange, uint16_t group, CreateOffer *ret, Reason *reason)
{
    _cleanup_(prepared_forget) Prepared made = {0};
    const Prepared *kept;
    int r;

    r = exchange_allows(exchange, EXCHANGE_PREPARE_CREATE, reason);
    if (r == 0 && group != IKE_GROUP_NONE)
        r = exchange_dh_take(exchange->context, group, &made.dh, reason);
    if (r == 0)
        r = exchange_ids_new(&made.spi, made.nonce);
    if (r != 0)
        return r;
    prepared_put(exchange, &made);
    made = (Prepared){0};
    kept = &exchange->prepared[exchange->n_prepared - 1];
    *ret = (CreateOffer){
        .spi = kept->spi,
        .nonce = BYTES_OF(kept->nonce),
        .ke = kept->dh ? dh_public(kept->dh) : (Bytes){0},
    };
    exchange_step(exchange, EXCHANGE_PREPARE_CREATE);
    return 0;
}

int exchange_keep(KeptMessage *kept, uint8_t first, Bytes payloads)
{
    OwnedBytes copy;
    int r = owned_bytes_copy(payloads, &copy);

    if (r < 0)
        return r;
    free(kept->payloads.data);
    *kept = (KeptMessage){.there = true, .first = first, .payloads = copy};
    return 0;
}

const char *exchange_message_name(const Exchange *exchange, const Negotiation *negotiation,
                                  bool response)
{
    if (negotiation == &exchange->auth)
        return response ? "IKE_AUTH response" : "IKE_AUTH request";
    return response ? "CREATE_CHILD_SA response" : "CREATE_CHILD_SA request";
}

/* ---- what our messages may say ---- */

static int not_ours(Reason *reason, const char *what)
{
    return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                      "The CREATE_CHILD_SA message is not as PrepareCreateChildSa made it: %s",
                      what);
}

/* Nonce and KE are those that were made together, for no other message. */
static int prepared_find(const Exchange *exchange, const IkePayloads *payloads, size_t *ret,
                         Reason *reason)
{
    const IkePayload *nonce = ike_payloads_find(payloads, IKE_PAYLOAD_NONCE);
    const IkePayload *ke_payload = ike_payloads_find(payloads, IKE_PAYLOAD_KE);
    const Prepared *found;
    size_t index = 0;
    IkeKe ke;

    while (nonce && index < exchange->n_prepared &&
           !bytes_equal(nonce->body, BYTES_OF(exchange->prepared[index].nonce)))
        index++;
    if (!nonce || index == exchange->n_prepared)
        return not_ours(reason, "its nonce was not made for this exchange, or was used already");
    found = &exchange->prepared[index];
    if (!ke_payload != !found->dh || (ke_payload && (ike_ke_decode(ke_payload->body, &ke) != 0 ||
                                                     ke.group != dh_group(found->dh) ||
                                                     !bytes_equal(ke.data, dh_public(found->dh)))))
        return not_ours(reason, "its KE is not what was made with its nonce");
    *ret = index;
    return 0;
}

/* NONE is a choice of INTEG and, for a Child SA, of KE (RFC 7296 3.3.2). */
static bool transform_is_allowed(uint8_t protocol, const IkeTransform *transform)
{
    const bool esp = protocol == IKE_PROTOCOL_ESP;
    const uint8_t role = esp ? IKE_ROLE_ESP : IKE_ROLE_IKE;
    const Algorithm *row = algorithm_find(transform->type, transform->id, transform->key_length);

    if (transform->unknown_attribute)
        return false;
    if (transform->id == 0 &&
        (transform->type == IKE_TRANSFORM_INTEG || (esp && transform->type == IKE_TRANSFORM_KE)))
        return true;
    if (transform->type == IKE_TRANSFORM_KE) /* PFS has a group of IKE's */
        return row && row->in_profile;
    return row && row->in_profile && row->roles & role;
}

/* All proposals of a message of ours are about one thing: a Child SA under an SPI that was given
 * out for it, or an IKE SA under the SPI that was prepared. */
static int proposal_check(const IkeProposal *proposal, const IkeProposal *first, Reason *reason)
{
    if (proposal->protocol != first->protocol || proposal->spi_size != first->spi_size ||
        proposal->spi != first->spi) {
        return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                          "The proposals of a CREATE_CHILD_SA message are of one protocol and one "
                          "SPI; number %u is not",
                          proposal->number);
    }
    if (proposal->n_skipped > 0) {
        return reason_set(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                          "Proposal %u has more than %d transforms", proposal->number,
                          IKE_TRANSFORMS_MAX);
    }
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform *transform = &proposal->transforms[i];

        if (!transform_is_allowed(proposal->protocol, transform)) {
            return reason_set(
                reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                "Proposal %u has transform %u of type %u (%s), which is not in the "
                "profile; see tred(8) for those allowed",
                proposal->number, transform->id, transform->type,
                algorithm_name(transform->type, transform->id, transform->key_length));
        }
    }
    return 0;
}

static int spi_check(Exchange *exchange, const IkeProposal *proposal, const Prepared *prepared,
                     Reason *reason)
{
    const Child *child;

    if (proposal->protocol == IKE_PROTOCOL_IKE) {
        if (proposal->spi_size == IKE_SPI_SIZE && proposal->spi == prepared->spi)
            return 0;
        return not_ours(reason, "its SPI is not the one that was made with its nonce");
    }
    if (proposal->protocol != IKE_PROTOCOL_ESP) {
        return reason_set(
            reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
            "A CREATE_CHILD_SA message is about ESP or IKE, and not about protocol %u",
            proposal->protocol);
    }
    child = proposal->spi != 0 ? exchange_child_find(exchange, (uint32_t)proposal->spi) : NULL;
    if (child && !child->used)
        return 0;
    return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD,
                      "This exchange did not allocate the SPI 0x%08x, or a Child SA has had it",
                      (uint32_t)proposal->spi);
}

static int sa_check(Exchange *exchange, const IkePayload *payload, const Prepared *prepared,
                    Negotiation *ret, Reason *reason)
{
    IkeSaPayload sa;
    int r = 0;

    if (ike_sa_decode(payload->body, &sa) != 0) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The CREATE_CHILD_SA message's SA payload does not parse");
    }
    if (sa.n_skipped > 0) {
        return reason_set(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                          "A CREATE_CHILD_SA message of this device has %d proposals at the most",
                          IKE_PROPOSALS_MAX);
    }
    for (size_t i = 0; r == 0 && i < sa.n_proposals; i++)
        r = proposal_check(&sa.proposals[i], &sa.proposals[0], reason);
    if (r == 0)
        r = spi_check(exchange, &sa.proposals[0], prepared, reason);
    if (r != 0)
        return r;
    ret->protocol = sa.proposals[0].protocol;
    ret->spi = sa.proposals[0].spi;
    return 0;
}

/* ---- Protect and Unprotect ---- */

/* Our response is held against the request before it is sealed, so that an error can be sealed in
 * its place. */
static int pair_judge(const Exchange *exchange, Negotiation *pair, Reason *reason)
{
    ChildGrant grant;
    IkeTerms terms;
    Nonces nonces;
    int r;

    if (pair->protocol == IKE_PROTOCOL_IKE)
        return exchange_ike_terms_read(exchange, pair, &terms, &nonces, reason);
    r = exchange_grant_read(exchange, pair, (uint32_t)pair->spi, &grant, reason);

    if (r == 0)
        r = exchange_grant_judge(exchange, &grant, reason);
    if (r == 0) {
        r = exchange_create_agree(exchange, pair, grant.suite.group, exchange->suite.prf->size,
                                  &nonces, reason);
    }
    return r;
}

/* Without SA only a response has a use: it says why there is none. */
static int refusal_check(const PlainMessage *message, const IkePayloads *payloads, Reason *reason)
{
    IkeNotify notify;

    if (message->response && ike_payloads_error(payloads, &notify))
        return 0;
    return reason_set(reason, EXCHANGE_E_UNEXPECTED, "The CREATE_CHILD_SA %s has no SA%s",
                      message->response ? "response" : "request",
                      message->response ? ", and no error notify that says why" : "");
}

int exchange_create_draft(Exchange *exchange, const PlainMessage *message,
                          const IkePayloads *payloads, Negotiation *ret, Reason *reason)
{
    const IkePayload *sa = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    Negotiation *peers = &exchange->peer_create;
    size_t index = 0;
    int r;

    if (!sa)
        return refusal_check(message, payloads, reason);
    if (exchange->state != EXCHANGE_VERIFIED || (message->response && !peers->request.there)) {
        return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                          "No CREATE_CHILD_SA %s with an SA has a place in state \"%s\" now",
                          message->response ? "response" : "request",
                          exchange_state_name(exchange->state));
    }
    r = prepared_find(exchange, payloads, &index, reason);
    if (r == 0)
        r = sa_check(exchange, sa, &exchange->prepared[index], ret, reason);
    if (r == 0) {
        r = exchange_keep(message->response ? &ret->response : &ret->request, message->first,
                          message->payloads);
    }
    if (r != 0)
        return r;
    ret->own = prepared_take(exchange, index);
    if (!message->response)
        return 0;
    ret->peers = true;
    ret->request = peers->request; /* until it is settled */
    peers->request = (KeptMessage){0};
    return pair_judge(exchange, ret, reason);
}

void exchange_create_settle(Exchange *exchange, const PlainMessage *message, Negotiation *draft,
                            bool sealed)
{
    Negotiation *kept = message->response ? &exchange->peer_create : &exchange->own_create;

    if (sealed) {
        negotiation_forget(kept);
        *kept = *draft;
        if (kept->dh_secret)
            dh_free(steal_pointer(kept->own.dh));
    } else {
        /* Whoever made g^ir of it has had what was paid for by preparing it. */
        if (draft->own.spi != 0 && !draft->dh_secret) {
            prepared_put(exchange, &draft->own);
            draft->own = (Prepared){0};
        }
        if (draft->peers) {
            kept->request = draft->request;
            draft->request = (KeptMessage){0};
        }
        negotiation_forget(draft);
    }
    *draft = (Negotiation){0};
}

static bool has_sa(const KeptMessage *message)
{
    IkePayloads payloads;

    return ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) == 0 &&
           ike_payloads_find(&payloads, IKE_PAYLOAD_SA);
}

int exchange_create_opened(Exchange *exchange, const OpenedMessage *opened)
{
    Negotiation *negotiation = opened->response ? &exchange->own_create : &exchange->peer_create;
    const Bytes payloads = {opened->plain, opened->plain_size};
    int r;

    if (!opened->response) {
        negotiation_forget(negotiation);
        return exchange_keep(&negotiation->request, opened->first, payloads);
    }
    r = exchange_keep(&negotiation->response, opened->first, payloads);
    if (r == 0 && !has_sa(&negotiation->response)) /* nothing will come of it */
        negotiation_forget(negotiation);
    return r;
}

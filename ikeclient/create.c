/* The payloads of CREATE_CHILD_SA: written, and read. */
#include "ikeclient/create.h"

#include <errno.h>
#include <string.h>

int create_material_take(CreateMaterial *material, uint16_t group, const TreReply *reply)
{
    const Bytes ke = reply->prepared.ke;

    *material = (CreateMaterial){.spi = reply->prepared.spi, .group = group, .ke_size = ke.size};
    if (reply->prepared.nonce.size < IKE_NONCE_MIN ||
        !nonce_set(&material->nonce, reply->prepared.nonce) || ke.size > sizeof(material->ke) ||
        (ke.size == 0) != (group == IKE_GROUP_NONE))
        return -EPROTO;
    if (ke.size > 0)
        memcpy(material->ke, ke.data, ke.size);
    return 0;
}

/* ---- writing ---- */

static void add_material(const CreateMaterial *material, IkeChain *chain)
{
    ike_chain_add(chain, IKE_PAYLOAD_NONCE, (Bytes){material->nonce.octets, material->nonce.size});
    if (material->ke_size > 0)
        ike_chain_add_ke(chain, material->group, (Bytes){material->ke, material->ke_size});
}

static void add_rekey_sa(uint32_t rekeyed, IkeChain *chain)
{
    const IkeNotify notify = {.protocol = IKE_PROTOCOL_ESP,
                              .spi_size = sizeof(rekeyed),
                              .spi = rekeyed,
                              .type = IKE_NOTIFY_REKEY_SA};

    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &notify);
    ike_chain_close(chain);
}

void create_child_encode(const CreateMaterial *material, uint32_t rekeyed, const ChildOffer *offer,
                         IkeChain *chain)
{
    if (rekeyed != 0)
        add_rekey_sa(rekeyed, chain);
    ike_chain_add_notify(chain, IKE_NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, (Bytes){0});
    ike_chain_add_sa(chain, &offer->sa);
    add_material(material, chain);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &offer->ts_i);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, &offer->ts_r);
}

void create_child_encode_response(const CreateMaterial *material, const IkeProposal *chosen,
                                  const IkeTs *ts_i, const IkeTs *ts_r, IkeChain *chain)
{
    const IkeSaPayload sa = {.n_proposals = 1, .proposals = {*chosen}};

    ike_chain_add_notify(chain, IKE_NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, (Bytes){0});
    ike_chain_add_sa(chain, &sa);
    add_material(material, chain);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, ts_i);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, ts_r);
}

void create_ike_encode(const CreateMaterial *material, const IkeSaPayload *sa, IkeChain *chain)
{
    IkeSaPayload own = *sa;

    for (size_t i = 0; i < own.n_proposals; i++) {
        own.proposals[i].spi_size = sizeof(material->spi);
        own.proposals[i].spi = material->spi;
    }
    ike_chain_add_sa(chain, &own);
    add_material(material, chain);
}

/* ---- the peer's response ---- */

/* False if it is one. */
static bool is_refusal(const IkePayloads *payloads, CreateAnswer *answer)
{
    enum { GROUP_SIZE = 2 };
    IkeNotify notify;
    Reader reader;

    *answer = (CreateAnswer){.verdict = CREATE_GRANTED};
    if (!ike_payloads_error(payloads, &notify))
        return false;
    answer->verdict = CREATE_REFUSED;
    answer->error = notify.type;
    reader_init(&reader, notify.data);
    if (notify.type == IKE_NOTIFY_INVALID_KE_PAYLOAD && notify.data.size == GROUP_SIZE)
        (void)reader_u16(&reader, &answer->group);
    return true;
}

static bool read_nonce(const IkePayloads *payloads, Nonce *ret)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_NONCE);
    Bytes octets;

    return payload && ike_nonce_decode(payload->body, &octets) == 0 && nonce_set(ret, octets);
}

/* The group of the KE payload, or IKE_GROUP_NONE. */
static uint16_t read_group(const IkePayloads *payloads)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_KE);
    IkeKe ke;

    return payload && ike_ke_decode(payload->body, &ke) == 0 ? ke.group : IKE_GROUP_NONE;
}

/* Nonce and KE, that go with a chosen group; NULL, or what is wrong. What the KE holds is for tred
 * to see. */
static const char *material_problem(const CreateMaterial *material, uint16_t group,
                                    const IkePayloads *payloads, CreateAnswer *answer)
{
    Nonce nonce;

    if (!read_nonce(payloads, &nonce))
        return "no nonce";
    if (group != IKE_GROUP_NONE && group != material->group)
        return "another key exchange group than that of our KE";
    if (group != IKE_GROUP_NONE && read_group(payloads) != group)
        return "no KE of the group that was chosen";
    answer->lowest = nonce_is_lower(&nonce, &material->nonce) ? nonce : material->nonce;
    return NULL;
}

static const char *child_problem(const ChildOffer *offer, const CreateMaterial *material,
                                 const ChildAnswer *old, bool replaces, const IkePayloads *payloads,
                                 CreateAnswer *answer)
{
    ChildAnswer *child = &answer->child;

    child_answer_judge(offer, payloads, child);
    if (child->verdict != CHILD_GRANTED)
        return child->why;
    const char *why = material_problem(material, child->esp.group, payloads, answer);
    if (why)
        return why;
    if (replaces && !child_answer_takes_in(child, old))
        return "narrower traffic selectors than those of the Child SA that it rekeys";
    child_answer_inherit(child, old);
    return NULL;
}

void create_child_answer_judge(const ChildOffer *offer, const CreateMaterial *material,
                               const ChildAnswer *old, bool replaces, const IkePayloads *payloads,
                               CreateAnswer *ret)
{
    if (is_refusal(payloads, ret))
        return;
    ret->why = child_problem(offer, material, old, replaces, payloads, ret);
    if (ret->why)
        ret->verdict = CREATE_INVALID;
}

static const char *ike_problem(const IkeSaPayload *offer, const CreateMaterial *material,
                               const IkePayloads *payloads, CreateAnswer *answer)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    IkeSaPayload sa;

    if (!payload)
        return "neither an IKE SA nor a reason for its absence";
    if (ike_sa_decode(payload->body, &sa) != 0 ||
        proposals_accept_ike(offer, &sa, &answer->ike) < 0)
        return "an IKE proposal that we did not offer";
    return material_problem(material, proposal_group(&answer->ike), payloads, answer);
}

void create_ike_answer_judge(const IkeSaPayload *offer, const CreateMaterial *material,
                             const IkePayloads *payloads, CreateAnswer *ret)
{
    if (is_refusal(payloads, ret))
        return;
    ret->why = ike_problem(offer, material, payloads, ret);
    if (ret->why)
        ret->verdict = CREATE_INVALID;
}

/* ---- the peer's request ---- */

/* REKEY_SA of another protocol than ESP names none of ours; what it names is 0 then. */
static CreateKind kind_of(const IkePayloads *payloads, const IkeSaPayload *sa, uint32_t *ret_spi)
{
    IkeNotify notify;

    *ret_spi = 0;
    if (sa->n_proposals > 0 && sa->proposals[0].protocol == IKE_PROTOCOL_IKE)
        return CREATE_REKEYED_IKE;
    if (!ike_payloads_notify(payloads, IKE_NOTIFY_REKEY_SA, &notify))
        return CREATE_CHILD;
    if (notify.protocol == IKE_PROTOCOL_ESP && notify.spi_size == sizeof(uint32_t))
        *ret_spi = (uint32_t)notify.spi;
    return CREATE_REKEYED_CHILD;
}

uint16_t create_request_read(const IkePayloads *payloads, CreateRequest *ret)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_SA);

    *ret = (CreateRequest){.group = read_group(payloads)};
    if (!payload || ike_sa_decode(payload->body, &ret->sa) != 0 ||
        !read_nonce(payloads, &ret->nonce))
        return IKE_NOTIFY_INVALID_SYNTAX;
    ret->kind = kind_of(payloads, &ret->sa, &ret->rekeyed);
    if (ret->kind == CREATE_REKEYED_IKE)
        return ret->group != IKE_GROUP_NONE ? 0 : IKE_NOTIFY_INVALID_SYNTAX;
    const uint16_t error = child_selectors_read(payloads, IKE_PAYLOAD_TSI, &ret->ts_i);
    return error != 0 ? error : child_selectors_read(payloads, IKE_PAYLOAD_TSR, &ret->ts_r);
}

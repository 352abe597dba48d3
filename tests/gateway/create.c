/* CREATE_CHILD_SA (RFC 7296 1.3, 2.17, 2.18), begun by either side. AES-GCM-16-128 alone, for IKE
 * with HMAC-SHA2-256, and a key of 256 bits where the script says so; any group of the profile. It
 * says "ike NUMBER" of each IKE SA that it makes.
 */
#include "gateway.h"

#include "crypto/suite.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum {
    TRANSFORMS = 100,
    OFFERS = 20,
    OUR_OFFER = 3,
    UNKNOWN_ID = 1030,
    UNKNOWN_TRANSFORM = 250,
    PAYLOAD_HEADER = 4
};

/* What a request, or a response, has. */
typedef struct Parsed {
    IkeSaPayload sa;
    Bytes nonce;
    IkeKe ke; /* group 0: none */
    bool has_rekeyed;
    uint32_t rekeyed;
    IkeTs ts_i, ts_r;
} Parsed;

static int parse(const IkePayloads *payloads, Parsed *ret)
{
    const IkePayload *sa = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    const IkePayload *nonce = ike_payloads_find(payloads, IKE_PAYLOAD_NONCE);
    const IkePayload *ke = ike_payloads_find(payloads, IKE_PAYLOAD_KE);
    const IkePayload *ts_i = ike_payloads_find(payloads, IKE_PAYLOAD_TSI);
    const IkePayload *ts_r = ike_payloads_find(payloads, IKE_PAYLOAD_TSR);
    IkeNotify notify;

    *ret = (Parsed){0};
    if (!sa || !nonce || ike_sa_decode(sa->body, &ret->sa) != 0 || ret->sa.n_proposals == 0)
        return -EBADMSG;
    ret->nonce = nonce->body;
    if (ke && ike_ke_decode(ke->body, &ret->ke) != 0)
        return -EBADMSG;
    if ((ts_i && ike_ts_decode(ts_i->body, &ret->ts_i) != 0) ||
        (ts_r && ike_ts_decode(ts_r->body, &ret->ts_r) != 0))
        return -EBADMSG;
    if (ike_payloads_notify(payloads, IKE_NOTIFY_REKEY_SA, &notify)) {
        ret->has_rekeyed = true;
        ret->rekeyed = (uint32_t)notify.spi;
    }
    return 0;
}

/* ---- proposals ---- */

static void transform_add(IkeProposal *proposal, uint8_t type, uint16_t id, uint16_t key_length)
{
    proposal->transforms[proposal->n_transforms++] =
        (IkeTransform){.type = type, .id = id, .key_length = key_length};
}

static IkeProposal proposal_of(const Gateway *gateway, CreateKind kind, uint8_t number,
                               uint64_t spi, const uint16_t *groups, size_t n_groups)
{
    const bool ike = kind == CREATE_REKEYED_IKE;
    IkeProposal proposal = {.number = number,
                            .protocol = ike ? IKE_PROTOCOL_IKE : IKE_PROTOCOL_ESP,
                            .spi_size = ike ? 8 : 4,
                            .spi = spi};

    transform_add(&proposal, IKE_TRANSFORM_ENCR, IKE_ENCR_AES_GCM_16,
                  ike ? gateway->key_length : 128);
    if (ike)
        transform_add(&proposal, IKE_TRANSFORM_PRF, IKE_PRF_HMAC_SHA2_256, 0);
    for (size_t i = 0; i < n_groups; i++)
        transform_add(&proposal, IKE_TRANSFORM_KE, groups[i], 0);
    if (!ike)
        transform_add(&proposal, IKE_TRANSFORM_ESN, IKE_ESN_NO, 0);
    return proposal;
}

static bool has_transform(const IkeProposal *proposal, uint8_t type, uint16_t id, uint16_t key)
{
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform *transform = &proposal->transforms[i];

        if (transform->type == type && transform->id == id && transform->key_length == key)
            return true;
    }
    return false;
}

const IkeProposal *create_find(const IkeSaPayload *offered, const IkeProposal *wanted)
{
    for (size_t i = 0; i < offered->n_proposals; i++) {
        bool all = true;

        for (size_t j = 0; j < wanted->n_transforms; j++) {
            const IkeTransform *transform = &wanted->transforms[j];
            all = all && has_transform(&offered->proposals[i], transform->type, transform->id,
                                       transform->key_length);
        }
        if (all)
            return &offered->proposals[i];
    }
    return NULL;
}

/* The first that has what we speak. */
static const IkeProposal *choose(const Gateway *gateway, const Parsed *request, CreateKind kind)
{
    const IkeProposal wanted =
        proposal_of(gateway, kind, 1, 0, &request->ke.group, request->ke.group != IKE_GROUP_NONE);

    return create_find(&request->sa, &wanted);
}

/* ---- our side of an exchange ---- */

static int own_make(Gateway *gateway, CreateKind kind, uint16_t group, Create *ret)
{
    *ret = (Create){
        .kind = kind, .spi = ++gateway->last_spi, .nonce_size = style_nonce_size(&gateway->style)};
    if (kind == CREATE_REKEYED_IKE && RAND_bytes((unsigned char *)&ret->spi, sizeof(ret->spi)) != 1)
        return -EIO;
    if (gateway->nonce_octet >= 0) {
        memset(ret->nonce, gateway->nonce_octet, ret->nonce_size);
    } else if (RAND_bytes(ret->nonce, (int)ret->nonce_size) != 1) {
        return -EIO;
    }
    return group != IKE_GROUP_NONE ? dh_new(group, &ret->dh) : 0;
}

/* What nobody speaks, in the place of what `proposal` has. */
static IkeProposal strange(const IkeProposal *proposal)
{
    IkeProposal ret = *proposal;

    for (size_t i = 0; i < ret.n_transforms; i++)
        ret.transforms[i].id = UNKNOWN_ID;
    transform_add(&ret, UNKNOWN_TRANSFORM, UNKNOWN_ID, 0);
    return ret;
}

/* `ours` among others; each is a payload's body by itself, but for the mark of the last one. */
static void add_offers(const IkeProposal *ours, IkeChain *chain)
{
    const IkeProposal other = strange(ours);

    ike_chain_open(chain, IKE_PAYLOAD_SA, false);
    for (unsigned number = 1; number <= OFFERS; number++) {
        const size_t start = chain->writer->size;
        IkeSaPayload one = {.n_proposals = 1, .proposals = {number == OUR_OFFER ? *ours : other}};

        one.proposals[0].number = (uint8_t)number;
        ike_sa_encode(chain->writer, &one);
        writer_patch_u8(chain->writer, start,
                        number < OFFERS ? IKE_SA_MORE_PROPOSALS : IKE_SA_LAST);
    }
    ike_chain_close(chain);
}

/* `ours`, and many ciphers more. */
static void add_transforms(const IkeProposal *ours, IkeChain *chain)
{
    enum { LENGTH = 2, COUNT = 7, TRANSFORM = 8 };
    const size_t start = chain->writer->size + PAYLOAD_HEADER;
    const IkeSaPayload sa = {.n_proposals = 1, .proposals = {*ours}};

    ike_chain_open(chain, IKE_PAYLOAD_SA, false);
    ike_sa_encode(chain->writer, &sa);
    writer_patch_u8(chain->writer, chain->writer->size - TRANSFORM, IKE_SA_MORE_TRANSFORMS);
    for (unsigned i = 1; i <= TRANSFORMS; i++) {
        writer_u8(chain->writer, i < TRANSFORMS ? IKE_SA_MORE_TRANSFORMS : IKE_SA_LAST);
        writer_u8(chain->writer, 0);
        writer_u16(chain->writer, TRANSFORM);
        writer_u8(chain->writer, IKE_TRANSFORM_ENCR);
        writer_u8(chain->writer, 0);
        writer_u16(chain->writer, (uint16_t)(UNKNOWN_ID + i));
    }
    writer_patch_u16(chain->writer, start + LENGTH, (uint16_t)(chain->writer->size - start));
    writer_patch_u8(chain->writer, start + COUNT, (uint8_t)(ours->n_transforms + TRANSFORMS));
    ike_chain_close(chain);
}

static void add_ts(uint8_t type, const IkeTs *ts, bool labelled, IkeChain *chain)
{
    static const uint8_t label[] = {10, 0, 0, 10, 's', 'y', 's', 't', 'e', 'm'};

    ike_chain_open(chain, type, false);
    const size_t start = chain->writer->size;
    ike_ts_encode(chain->writer, ts);
    if (labelled) {
        writer_bytes(chain->writer, BYTES_OF(label));
        writer_patch_u8(chain->writer, start, (uint8_t)(ts->n_selectors + 1));
    }
    ike_chain_close(chain);
}

/* `style`: of a request; an answer is none that another one would not be. */
static void own_write(const Gateway *gateway, const Style *style, const Create *own,
                      const IkeProposal *proposal, const IkeTs *ts_i, const IkeTs *ts_r,
                      IkeChain *chain)
{
    IkeSaPayload sa = {.n_proposals = 1, .proposals = {*proposal}};

    style_proposal(&gateway->style, &sa.proposals[0]);
    for (size_t i = 0; own->kind != CREATE_REKEYED_IKE && i < gateway->n_also; i++)
        ike_chain_add_notify(chain, gateway->also[i], (Bytes){0});
    if (style->transforms) {
        add_transforms(proposal, chain);
    } else if (style->offers) {
        add_offers(proposal, chain);
    } else {
        ike_chain_add_sa(chain, &sa);
    }
    ike_chain_add(chain, IKE_PAYLOAD_NONCE, (Bytes){own->nonce, own->nonce_size});
    if (own->dh)
        ike_chain_add_ke(chain, dh_group(own->dh), dh_public(own->dh));
    if (own->kind == CREATE_REKEYED_IKE)
        return;
    add_ts(IKE_PAYLOAD_TSI, ts_i, style->label, chain);
    add_ts(IKE_PAYLOAD_TSR, ts_r, style->label, chain);
}

/* ---- what it makes ---- */

static int make_ike_sa(Gateway *gateway, const GatewaySa *old, bool initiator,
                       const Secret *dh_secret, Bytes nonce_i, Bytes nonce_r, uint64_t spi_i,
                       uint64_t spi_r)
{
    const IkeSuite suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, gateway->key_length),
                            .prf = prf_find(IKE_PRF_HMAC_SHA2_256)};
    _cleanup_(secret_freep) Secret *skeyseed = NULL;
    IkeKeys keys = {0};
    GatewaySa *made;

    int r = skeyseed_rekey(suite.prf, old->keys.sk_d, dh_secret, nonce_i, nonce_r, &skeyseed);
    if (r == 0)
        r = ike_keys_derive(&suite, skeyseed, nonce_i, nonce_r, spi_i, spi_r, &keys);
    if (r < 0)
        return r;
    made = gateway_add_sa(gateway, initiator, spi_i, spi_r, gateway->key_length, &keys, 0);
    if (!made)
        return -EIO;
    made->authenticated = true;
    made->made_of = old->number;
    (void)printf("ike %u\n", made->number);
    return 0;
}

/* `theirs` and `nonce` are the peer's part; `initiator`: we began. */
static int make(Gateway *gateway, const GatewaySa *sa, const Create *own, bool initiator,
                uint64_t theirs, Bytes nonce, const IkeKe *ke)
{
    const Bytes own_nonce = {own->nonce, own->nonce_size};
    const Bytes nonce_i = initiator ? own_nonce : nonce, nonce_r = initiator ? nonce : own_nonce;
    _cleanup_(secret_freep) Secret *dh_secret = NULL;
    int r = own->dh ? dh_derive(own->dh, ke->data, &dh_secret) : 0;

    if (r < 0)
        return r;
    if (own->kind == CREATE_REKEYED_IKE) {
        return make_ike_sa(gateway, sa, initiator, dh_secret, nonce_i, nonce_r,
                           initiator ? own->spi : theirs, initiator ? theirs : own->spi);
    }
    child_add(gateway, sa, initiator, dh_secret, nonce_i, nonce_r, (uint32_t)own->spi,
              (uint32_t)theirs);
    return 0;
}

/* ---- by us ---- */

void create_ask(Gateway *gateway, GatewaySa *sa, CreateKind kind, uint32_t rekeyed,
                const uint16_t *groups, size_t n_groups)
{
    const IkeNotify rekey = {
        .protocol = IKE_PROTOCOL_ESP, .spi_size = 4, .spi = rekeyed, .type = IKE_NOTIFY_REKEY_SA};
    IkeProposal proposal;
    IkeChain chain;
    Writer inner;

    dh_free(sa->own.dh);
    if (own_make(gateway, kind, n_groups > 0 ? groups[0] : IKE_GROUP_NONE, &sa->own) < 0)
        return;
    proposal = proposal_of(gateway, kind, 1, sa->own.spi, groups, n_groups);
    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    if (kind == CREATE_REKEYED_CHILD) {
        ike_chain_open(&chain, IKE_PAYLOAD_NOTIFY, false);
        ike_notify_encode(&inner, &rekey);
        ike_chain_close(&chain);
    }
    own_write(gateway, &gateway->style, &sa->own, &proposal, &gateway->ts_segw, &gateway->ts_henb,
              &chain);
    gateway_request(gateway, sa, IKE_CREATE_CHILD_SA, &chain);
}

void create_take(Gateway *gateway, GatewaySa *sa, const IkePayloads *response)
{
    Create own = sa->own;
    Parsed parsed;

    sa->own = (Create){0};
    if (parse(response, &parsed) == 0 && (own.dh == NULL) == (parsed.ke.group == IKE_GROUP_NONE))
        (void)make(gateway, sa, &own, true, parsed.sa.proposals[0].spi, parsed.nonce, &parsed.ke);
    dh_free(own.dh);
}

/* ---- by the peer ---- */

static void refuse(Gateway *gateway, const Parsed *request, IkeChain *chain)
{
    IkeNotify notify = {.type = gateway->refusal,
                        .data = {gateway->refusal_data, gateway->refusal_size}};

    if (gateway->refusal == IKE_NOTIFY_CHILD_SA_NOT_FOUND) {
        notify.protocol = IKE_PROTOCOL_ESP;
        notify.spi_size = 4;
        notify.spi = request->rekeyed;
    }
    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &notify);
    ike_chain_close(chain);
    gateway->refusal = 0;
}

/* That a Child SA has no key exchange of its own has a transform. */
static bool says_none(const Gateway *gateway, CreateKind kind)
{
    return gateway->style.none && kind != CREATE_REKEYED_IKE;
}

int create_answer(Gateway *gateway, GatewaySa *sa, const IkePayloads *request, IkeChain *chain)
{
    const IkeProposal *offered;
    IkeProposal chosen;
    Parsed parsed;
    CreateKind kind;
    Create own;

    int r = parse(request, &parsed);
    if (r < 0)
        return r;
    if (gateway->refusal != 0) {
        refuse(gateway, &parsed, chain);
        return 0;
    }
    static const Style plain;
    kind = parsed.has_rekeyed                                    ? CREATE_REKEYED_CHILD
           : parsed.sa.proposals[0].protocol == IKE_PROTOCOL_IKE ? CREATE_REKEYED_IKE
                                                                 : CREATE_CHILD;
    if (kind != CREATE_REKEYED_IKE && (gateway->style.nogroup || gateway->style.none))
        parsed.ke.group = IKE_GROUP_NONE; /* 1.3.1: the KE is ignored, and ours left out */
    offered = choose(gateway, &parsed, kind);
    if (!offered) {
        ike_chain_add_notify(chain, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, (Bytes){0});
        return 0;
    }
    r = own_make(gateway, kind, parsed.ke.group, &own);
    if (r < 0)
        return r;
    chosen = proposal_of(gateway, kind, offered->number, own.spi, &parsed.ke.group,
                         parsed.ke.group != IKE_GROUP_NONE || says_none(gateway, kind));
    own_write(gateway, &plain, &own, &chosen,
              gateway->style.split ? &gateway->ts_henb : &parsed.ts_i,
              gateway->style.split ? &gateway->ts_segw : &parsed.ts_r, chain);
    r = make(gateway, sa, &own, false, offered->spi, parsed.nonce, &parsed.ke);
    dh_free(own.dh);
    return r;
}

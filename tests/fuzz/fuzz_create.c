/* What a SeGW sealed into CREATE_CHILD_SA, as the request that we answer and as the response to
 * ours: what is read of a Child SA or an IKE SA is part of what was asked for, and a refusal has
 * its sentence. Input: options, type of the first payload, then the chain. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/child_policy.h"
#include "tred/exchange_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SPI_IN = 0x11223344,
    REKEYED = 0x55667788, /* the peer's inbound SPI of a Child SA that there is */
    MESSAGE_MAX = 1024,
    OPTION_PEERS = 1, /* the request is the peer's */
    OPTION_IKE = 2,
    OPTION_KE = 4, /* of a Child SA */
};

static const uint64_t SPI_IKE = 0x1122334455667788;
static const uint8_t our_nonce[EXCHANGE_NONCE_SIZE] = {1};

static const IkeTs our_ts = {.n_selectors = 1,
                             .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE,
                                            .end_port = UINT16_MAX,
                                            .start = {10},
                                            .end = {10, 255, 255, 255}}}};

static IkeSaPayload our_sa(unsigned options)
{
    const bool ike = options & OPTION_IKE;
    IkeSaPayload sa = {
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = ike ? IKE_PROTOCOL_IKE : IKE_PROTOCOL_ESP,
            .spi_size = ike ? 8 : 4,
            .spi = ike ? SPI_IKE : SPI_IN,
            .n_transforms = 2,
            .transforms =
                {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                 {.type = ike ? IKE_TRANSFORM_PRF : IKE_TRANSFORM_ESN,
                  .id = ike ? IKE_PRF_HMAC_SHA2_256 : IKE_ESN_NO}},
        }},
    };
    IkeProposal *proposal = &sa.proposals[0];

    if (options & (OPTION_IKE | OPTION_KE)) {
        proposal->transforms[proposal->n_transforms++] =
            (IkeTransform){.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256};
    }
    return sa;
}

static void our_message(unsigned options, const Dh *dh, KeptMessage *ret)
{
    const IkeSaPayload sa = our_sa(options);
    uint8_t buffer[MESSAGE_MAX];
    IkeChain chain;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    ike_chain_add_sa(&chain, &sa);
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, BYTES_OF(our_nonce));
    if (dh)
        ike_chain_add_ke(&chain, dh_group(dh), dh_public(dh));
    if (!(options & OPTION_IKE)) {
        ike_chain_add_ts(&chain, IKE_PAYLOAD_TSI, &our_ts);
        ike_chain_add_ts(&chain, IKE_PAYLOAD_TSR, &our_ts);
    }
    if (writer_finish(&writer, &bytes) < 0 || exchange_keep(ret, chain.first, bytes) < 0)
        abort();
}

static void check_refusal(int r, const Reason *reason)
{
    if (r < 0 || strlen(reason->text) < 20)
        abort();
}

static void check_keys(const Negotiation *negotiation, uint16_t group, const Nonces *nonces)
{
    const Bytes ours = negotiation->peers ? nonces->r : nonces->i;
    const Bytes peers = negotiation->peers ? nonces->i : nonces->r;

    if (!bytes_equal(ours, BYTES_OF(our_nonce)) || peers.size < IKE_NONCE_MIN ||
        peers.size > IKE_NONCE_MAX || (group == IKE_GROUP_NONE) != (negotiation->dh_secret == NULL))
        abort();
}

static void child(Exchange *exchange, Negotiation *negotiation)
{
    Reason reason = {0};
    ChildGrant found;
    Nonces nonces;
    int r = exchange_grant_read(exchange, negotiation, SPI_IN, &found, &reason);

    if (r == 0)
        r = exchange_grant_judge(exchange, &found, &reason);
    if (r == 0) {
        r = exchange_create_agree(exchange, negotiation, found.suite.group,
                                  exchange->suite.prf->size, &nonces, &reason);
    }
    if (r != 0) {
        check_refusal(r, &reason);
        return;
    }
    check_keys(negotiation, found.suite.group, &nonces);
    if (found.spi_out < 256 || !found.suite.cipher || (found.standby && !negotiation->peers) ||
        found.ts_local.n_selectors == 0 || found.ts_remote.n_selectors == 0)
        abort();
    /* Whoever answers narrows. */
    if (!negotiation->peers && (!ike_ts_is_subset(&found.ts_local, &our_ts) ||
                                !ike_ts_is_subset(&found.ts_remote, &our_ts)))
        abort();
}

static void ike_sa(const Exchange *exchange, Negotiation *negotiation)
{
    Reason reason = {0};
    IkeTerms terms = {0};
    Nonces nonces;
    int r = exchange_ike_terms_read(exchange, negotiation, &terms, &nonces, &reason);

    if (r != 0) {
        check_refusal(r, &reason);
        return;
    }
    check_keys(negotiation, terms.suite.group, &nonces);
    if (terms.spi_i == 0 || terms.spi_r == 0 || !terms.suite.prf ||
        (negotiation->peers ? terms.spi_r : terms.spi_i) != SPI_IKE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Dh *dh; /* the same for all: making one takes longer than all else */
    ExchangeContext context = {0};
    Segw segw = {0};
    Exchange exchange = {
        .context = &context,
        .segw = &segw,
        .state = EXCHANGE_VERIFIED,
        .suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128),
                  .prf = prf_find(IKE_PRF_HMAC_SHA2_256)},
        .children = {{.spi_in = 256, .spi_out = REKEYED, .installed = true}},
    };
    Negotiation negotiation = {0};

    if (size < 2)
        return 0;
    /* In this order OpenSSL's generator is where LeakSanitizer sees who points to it. */
    if (!dh && (dh_new(IKE_GROUP_ECP_256, &dh) < 0 || secrets_init() < 0))
        abort();
    selector_policy_any(&segw.allowed_local);
    segw.allowed_remote = segw.allowed_local;
    negotiation.peers = data[0] & OPTION_PEERS;
    negotiation.own.dh = data[0] & (OPTION_IKE | OPTION_KE) ? dh : NULL;
    our_message(data[0], negotiation.own.dh,
                negotiation.peers ? &negotiation.response : &negotiation.request);
    if (exchange_keep(negotiation.peers ? &negotiation.request : &negotiation.response, data[1],
                      (Bytes){data + 2, size - 2}) < 0)
        abort();
    if (data[0] & OPTION_IKE) {
        ike_sa(&exchange, &negotiation);
    } else {
        child(&exchange, &negotiation);
    }
    negotiation.own.dh = NULL;
    negotiation_forget(&negotiation);
    return 0;
}

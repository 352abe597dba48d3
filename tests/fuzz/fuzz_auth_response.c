/* What a SeGW sealed into its IKE_AUTH response, read for VerifyPeer and for AddChild beside a
 * request of ours: what is granted is part of what was asked for, and a refusal has its sentence.
 * Input: type of the first payload, then the chain. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/child_policy.h"
#include "tred/exchange_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPI_IN = 0x11223344, REQUEST_MAX = 512, ADDRESS_ASKED_FOR = 4 };

static const IkeSaPayload asked_sa = {
    .n_proposals = 1,
    .proposals = {{
        .number = 1,
        .protocol = IKE_PROTOCOL_ESP,
        .spi_size = 4,
        .spi = SPI_IN,
        .n_transforms = 3,
        .transforms = {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                       {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 256},
                       {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO}},
    }},
};

static const IkeTs asked_ts = {.n_selectors = 1,
                               .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE,
                                              .end_port = UINT16_MAX,
                                              .start = {10},
                                              .end = {10, 255, 255, 255}}}};

static Bytes request_write(uint8_t *buffer, uint8_t *ret_first)
{
    const IkeCp cp = {IKE_CFG_REQUEST, 1, {{.type = IKE_CFG_INTERNAL_IP4_ADDRESS}}};
    IkeChain chain;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, REQUEST_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_cp(&chain, &cp);
    ike_chain_add_sa(&chain, &asked_sa);
    ike_chain_add_ts(&chain, IKE_PAYLOAD_TSI, &asked_ts);
    ike_chain_add_ts(&chain, IKE_PAYLOAD_TSR, &asked_ts);
    if (writer_finish(&writer, &bytes) < 0)
        abort();
    *ret_first = chain.first;
    return bytes;
}

static void keep(KeptMessage *message, uint8_t first, Bytes payloads)
{
    message->there = true;
    message->first = first;
    if (owned_bytes_copy(payloads, &message->payloads) < 0)
        abort();
}

/* The verifier is not asked; what it would be asked must lie within the message. */
static void verify(Exchange *exchange)
{
    Reason reason = {0};
    VerifyRequest request;

    if (exchange_verify_begin(exchange, 0, &request, &reason) != 0) {
        if (exchange->state != EXCHANGE_REFUSED || strlen(reason.text) < 20 ||
            exchange->auth.response.there)
            abort();
        return;
    }
    if (exchange->state != EXCHANGE_VERIFYING || request.idr.size == 0 ||
        exchange->peer_id_body.size != IKE_ID_FIXED_SIZE + request.idr.size ||
        request.n_certificates > FRAME_EVIDENCE_MAX || request.n_ocsp > FRAME_EVIDENCE_MAX)
        abort();
}

static void grant(Exchange *exchange)
{
    Reason reason = {0};
    ChildGrant found;
    int r = exchange_grant_read(exchange, &exchange->auth, SPI_IN, &found, &reason);

    if (r == 0)
        r = exchange_grant_judge(exchange, &found, &reason);
    if (r != 0) {
        if (r < 0 || strlen(reason.text) < 20)
            abort();
        return;
    }
    if (found.spi_out < 256 || !found.suite.cipher ||
        !ike_ts_is_subset(&found.ts_local, &asked_ts) ||
        !ike_ts_is_subset(&found.ts_remote, &asked_ts) || found.n_addresses == 0)
        abort();
    for (size_t i = 0; i < found.n_addresses; i++) {
        const InnerAddress *address = &found.addresses[i];

        if (address->size != ADDRESS_ASKED_FOR || address->prefix_length != 8 * address->size ||
            address->octets[0] == 0 || address->octets[0] == 127 || address->octets[0] >= 224)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ExchangeContext context = {.identity = "henb.example"};
    char name[] = "segw.example";
    Segw segw = {.name = name};
    Exchange exchange = {.context = &context,
                         .segw = &segw,
                         .state = EXCHANGE_SIGNED,
                         .suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128)}};
    uint8_t buffer[REQUEST_MAX], first = 0;
    Bytes request = request_write(buffer, &first);

    if (size == 0)
        return 0;
    selector_policy_any(&segw.allowed_local);
    segw.allowed_remote = segw.allowed_local;
    keep(&exchange.auth.request, first, request);
    keep(&exchange.auth.response, data[0], (Bytes){data + 1, size - 1});
    grant(&exchange);
    verify(&exchange);
    exchange_forget_auth(&exchange);
    return 0;
}

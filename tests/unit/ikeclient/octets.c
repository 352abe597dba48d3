/* Messages made by hand, for the IKE client's tests. */
#include "octets.h"

#include "ikeclient/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

Endpoint endpoint_of(const char *literal, uint16_t port)
{
    Endpoint endpoint;

    assert_int_equal(endpoint_from_literal(literal, port, &endpoint), 0);
    return endpoint;
}

void draft_begin(Draft *draft)
{
    writer_init(&draft->writer, draft->octets, sizeof(draft->octets));
    ike_chain_init(&draft->chain, &draft->writer);
}

Bytes draft_octets(const Draft *draft)
{
    Bytes octets;

    assert_int_equal(writer_finish(&draft->writer, &octets), 0);
    return octets;
}

void draft_payloads(const Draft *draft, IkePayloads *ret)
{
    assert_int_equal(ike_payloads_decode(draft->chain.first, draft_octets(draft), ret, NULL), 0);
}

void draft_begin_message(Draft *draft, uint64_t spi_i, uint64_t spi_r, uint8_t exchange_type,
                         uint8_t flags, uint32_t message_id)
{
    IkeHeader header = {.spi_i = spi_i,
                        .spi_r = spi_r,
                        .exchange_type = exchange_type,
                        .flags = flags,
                        .message_id = message_id};

    writer_init(&draft->writer, draft->octets, sizeof(draft->octets));
    ike_message_begin(&draft->writer, &header, &draft->chain);
}

Bytes draft_end_message(Draft *draft)
{
    ike_message_end(&draft->chain);
    return draft_octets(draft);
}

static IkeSaPayload first_of_each(const IkeSaPayload *offer)
{
    IkeSaPayload answer = {.n_proposals = 1, .proposals = {offer->proposals[0]}};
    IkeProposal *proposal = &answer.proposals[0];
    unsigned seen = 0;

    proposal->n_transforms = 0;
    for (size_t i = 0; i < offer->proposals[0].n_transforms; i++) {
        const IkeTransform *transform = &offer->proposals[0].transforms[i];
        if (!(seen & (1U << transform->type)))
            proposal->transforms[proposal->n_transforms++] = *transform;
        seen |= 1U << transform->type;
    }
    return answer;
}

Bytes draft_init_response(Draft *draft, const IkeSaPayload *offer, uint64_t spi_i, uint16_t group,
                          const Endpoint *segw, const Endpoint *henb)
{
    static const uint8_t nonce[32] = {7}, ke[64] = {9};
    IkeSaPayload answer = first_of_each(offer);
    uint8_t hash[NAT_HASH_SIZE];

    draft_begin_message(draft, spi_i, TEST_SPI_R, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    ike_chain_add_sa(&draft->chain, &answer);
    ike_chain_add_ke(&draft->chain, group, BYTES_OF(ke));
    ike_chain_add(&draft->chain, IKE_PAYLOAD_NONCE, BYTES_OF(nonce));
    if (segw) {
        nat_hash(spi_i, TEST_SPI_R, segw, hash);
        ike_chain_add_notify(&draft->chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    }
    if (henb) {
        nat_hash(spi_i, TEST_SPI_R, henb, hash);
        ike_chain_add_notify(&draft->chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP,
                             BYTES_OF(hash));
    }
    return draft_end_message(draft);
}

/* CREATE_CHILD_SA of a SeGW, as ikeclient reads it: a request, and a response to each of ours. What
 * is granted is what was offered, and what is chosen both sides have. Input: type of the first
 * payload, then the chain. */
#include "ikeclient/create.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPI_IN = 0x11223344 };

static IkeSaPayload parsed(const char *text, uint8_t protocol)
{
    char problem[PROPOSALS_PROBLEM_SIZE];
    IkeSaPayload sa;

    if (proposals_parse(text, protocol, &sa, problem) < 0)
        abort();
    return sa;
}

static bool is_offered(const IkeSaPayload *offer, const IkeTransform *transform)
{
    for (size_t i = 0; i < offer->n_proposals; i++) {
        for (size_t j = 0; j < offer->proposals[i].n_transforms; j++) {
            const IkeTransform *ours = &offer->proposals[i].transforms[j];
            if (ours->type == transform->type && ours->id == transform->id &&
                ours->key_length == transform->key_length)
                return true;
        }
    }
    return false;
}

/* Of a type that we don't have, NONE may be chosen. */
static void check_choice(const IkeSaPayload *ours, const IkeSaPayload *theirs, uint16_t group)
{
    IkeProposal chosen;

    if (proposals_choose(ours, theirs, group, &chosen) < 0)
        return;
    for (size_t i = 0; i < chosen.n_transforms; i++) {
        const IkeTransform *transform = &chosen.transforms[i];
        if (!is_offered(theirs, transform) || (transform->id != 0 && !is_offered(ours, transform)))
            abort();
        for (size_t j = 0; j < i; j++) {
            if (chosen.transforms[j].type == transform->type)
                abort();
        }
    }
}

static void read_request(const IkePayloads *payloads, const IkeSaPayload *esp,
                         const IkeSaPayload *ike)
{
    CreateRequest request;

    if (create_request_read(payloads, &request) != 0)
        return;
    if (request.nonce.size < IKE_NONCE_MIN)
        abort();
    if (request.kind != CREATE_REKEYED_IKE &&
        (request.ts_i.n_selectors == 0 || request.ts_r.n_selectors == 0))
        abort();
    check_choice(request.kind == CREATE_REKEYED_IKE ? ike : esp, &request.sa, request.group);
}

static void read_child(const IkePayloads *payloads, const ChildOffer *offer,
                       const CreateMaterial *material, const ChildAnswer *old)
{
    CreateAnswer answer;

    create_child_answer_judge(offer, material, old, true, payloads, &answer);
    if (answer.verdict == CREATE_INVALID && !answer.why)
        abort();
    if (answer.verdict != CREATE_GRANTED)
        return;
    if (!ike_ts_is_subset(&answer.child.ts_i, &offer->ts_i) ||
        !ike_ts_is_subset(&old->ts_r, &answer.child.ts_r) || answer.child.esp.spi_out == 0 ||
        (answer.child.esp.group != IKE_GROUP_NONE && answer.child.esp.group != material->group))
        abort();
}

static void read_ike(const IkePayloads *payloads, const IkeSaPayload *offer,
                     const CreateMaterial *material)
{
    CreateAnswer answer;

    create_ike_answer_judge(offer, material, payloads, &answer);
    if (answer.verdict == CREATE_GRANTED &&
        (answer.ike.spi == 0 || proposal_group(&answer.ike) != material->group))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const IkeSaPayload ike = parsed("aes128gcm16-prfsha256-ecp256-ecp384", IKE_PROTOCOL_IKE);
    const IkeTs ts = {.n_selectors = 1,
                      .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE,
                                     .end_port = UINT16_MAX,
                                     .start = {10},
                                     .end = {10, 255, 255, 255}}}};
    const ChildAnswer old = {.ts_i = ts, .ts_r = ts};
    CreateMaterial material = {.group = IKE_GROUP_ECP_256, .nonce = {.size = IKE_NONCE_MIN}};
    ChildOffer offer = {.spi_in = SPI_IN,
                        .sa = parsed("aes128gcm16, aes128-sha256", IKE_PROTOCOL_ESP),
                        .ts_i = ts,
                        .ts_r = ts,
                        .request = REQUEST_NONE};
    IkePayloads payloads;

    proposals_add_groups(&offer.sa, &ike, IKE_GROUP_ECP_256, PFS_OPTIONAL);
    if (size == 0 ||
        ike_payloads_decode(data[0], (Bytes){data + 1, size - 1}, &payloads, NULL) != 0)
        return 0;
    read_request(&payloads, &offer.sa, &ike);
    read_child(&payloads, &offer, &material, &old);
    read_ike(&payloads, &ike, &material);
    return 0;
}

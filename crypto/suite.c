/* Judges a peer's choice of algorithms by the profile and the offer, and names suites. */
#include "crypto/suite.h"

#include <stdio.h>

/* An AEAD brings its own ICV and stands alone (RFC 5282 8); any other cipher needs an INTEG. */
static int protection_find(uint16_t encr, uint16_t key_bits, uint16_t integ,
                           const Cipher **ret_cipher, const Integ **ret_integ)
{
    const Cipher *cipher = cipher_find(encr, key_bits);
    const Integ *found = integ_find(integ);

    if (!cipher)
        return SUITE_E_NOT_ALLOWED;
    if (cipher->aead ? integ != IKE_INTEG_NONE : !found)
        return SUITE_E_NOT_ALLOWED;
    *ret_cipher = cipher;
    *ret_integ = found;
    return 0;
}

/* The transform of `type` in a proposal that may have one at most. NULL if there is none. */
static int transform_single(const IkeProposal *proposal, uint8_t type, const IkeTransform **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        if (proposal->transforms[i].type != type)
            continue;
        if (*ret)
            return SUITE_E_AMBIGUOUS;
        *ret = &proposal->transforms[i];
    }
    return 0;
}

/* RFC 7296 3.3.2, 3.3.3: NONE of a type that the offer leaves out says that it is left out. Of ESN
 * 0 is a choice, and an ENCR or a PRF there is always. */
static bool says_left_out(const IkeProposal *offer, const IkeTransform *transform)
{
    if (transform->id != 0 || transform->key_length != 0 ||
        (transform->type != IKE_TRANSFORM_INTEG && transform->type != IKE_TRANSFORM_KE))
        return false;
    for (size_t i = 0; i < offer->n_transforms; i++) {
        if (offer->transforms[i].type == transform->type)
            return false;
    }
    return true;
}

static bool transform_offered(const IkeProposal *offer, const IkeTransform *transform)
{
    if (says_left_out(offer, transform))
        return true;
    for (size_t i = 0; i < offer->n_transforms; i++) {
        const IkeTransform *candidate = &offer->transforms[i];

        if (candidate->type == transform->type && candidate->id == transform->id &&
            candidate->key_length == transform->key_length && !candidate->unknown_attribute)
            return true;
    }
    return false;
}

const IkeProposal *suite_offer_find(const IkeSaPayload *offered, const IkeProposal *chosen)
{
    for (size_t i = 0; i < offered->n_proposals; i++) {
        const IkeProposal *offer = &offered->proposals[i];
        bool all = true;

        if (offer->number != chosen->number || offer->protocol != chosen->protocol ||
            offer->spi_size != chosen->spi_size)
            continue;
        for (size_t j = 0; j < chosen->n_transforms; j++) {
            all = all && !chosen->transforms[j].unknown_attribute &&
                  transform_offered(offer, &chosen->transforms[j]);
        }
        if (all)
            return offer;
    }
    return NULL;
}

int ike_suite_select(const IkeSaPayload *offered, const IkeSaPayload *chosen, IkeSuite *ret)
{
    const IkeTransform *encr, *prf, *integ, *group;
    const IkeProposal *proposal = &chosen->proposals[0];
    IkeSuite suite = {0};
    int r;

    if (chosen->n_proposals != 1)
        return SUITE_E_AMBIGUOUS;
    if (transform_single(proposal, IKE_TRANSFORM_ENCR, &encr) ||
        transform_single(proposal, IKE_TRANSFORM_PRF, &prf) ||
        transform_single(proposal, IKE_TRANSFORM_INTEG, &integ) ||
        transform_single(proposal, IKE_TRANSFORM_KE, &group) || !encr || !prf || !group)
        return SUITE_E_AMBIGUOUS;
    if (!suite_offer_find(offered, proposal))
        return SUITE_E_NOT_OFFERED;
    if (proposal->protocol != IKE_PROTOCOL_IKE)
        return SUITE_E_NOT_ALLOWED;
    /* Transform types beyond these four would change the keys in ways that we don't know. */
    if (proposal->n_transforms != (integ ? 4U : 3U))
        return SUITE_E_NOT_ALLOWED;

    r = protection_find(encr->id, encr->key_length, integ ? integ->id : IKE_INTEG_NONE,
                        &suite.cipher, &suite.integ);
    if (r)
        return r;
    suite.prf = prf_find(prf->id);
    suite.group = group->id;
    if (!suite.prf || !group_find(group->id))
        return SUITE_E_NOT_ALLOWED;
    *ret = suite;
    return 0;
}

int esp_suite_select(const IkeSaPayload *offered, const IkeSaPayload *chosen, EspSuite *ret)
{
    const IkeTransform *encr, *integ, *group, *esn;
    const IkeProposal *proposal = &chosen->proposals[0];

    if (chosen->n_proposals != 1 || transform_single(proposal, IKE_TRANSFORM_ENCR, &encr) ||
        transform_single(proposal, IKE_TRANSFORM_INTEG, &integ) ||
        transform_single(proposal, IKE_TRANSFORM_KE, &group) ||
        transform_single(proposal, IKE_TRANSFORM_ESN, &esn) || !encr || !esn)
        return SUITE_E_AMBIGUOUS;
    if (!suite_offer_find(offered, proposal))
        return SUITE_E_NOT_OFFERED;
    /* As above, of transform types. */
    if (proposal->protocol != IKE_PROTOCOL_ESP || esn->id > IKE_ESN_YES ||
        proposal->n_transforms != 2U + (integ != NULL) + (group != NULL))
        return SUITE_E_NOT_ALLOWED;
    return esp_suite_from_ids(encr->id, encr->key_length, integ ? integ->id : IKE_INTEG_NONE,
                              group ? group->id : IKE_GROUP_NONE, esn->id == IKE_ESN_YES, ret);
}

int esp_suite_from_ids(uint16_t encr, uint16_t key_bits, uint16_t integ, uint16_t group, bool esn,
                       EspSuite *ret)
{
    EspSuite suite = {.group = group, .esn = esn};
    int r = protection_find(encr, key_bits, integ, &suite.cipher, &suite.integ);

    if (r)
        return r;
    if (group != IKE_GROUP_NONE && !group_find(group))
        return SUITE_E_NOT_ALLOWED;
    *ret = suite;
    return 0;
}

void ike_suite_name(const IkeSuite *suite, char *text)
{
    const Group *group = group_find(suite->group);

    (void)snprintf(text, SUITE_NAME_SIZE, "%s%s%s/%s/%s", suite->cipher->name,
                   suite->integ ? "/" : "", suite->integ ? suite->integ->name : "",
                   suite->prf->name, group ? group->name : "unknown");
}

void esp_suite_name(const EspSuite *suite, char *text)
{
    const Group *group = group_find(suite->group);

    (void)snprintf(text, SUITE_NAME_SIZE, "%s%s%s%s%s/%s", suite->cipher->name,
                   suite->integ ? "/" : "", suite->integ ? suite->integ->name : "",
                   group ? "/" : "", group ? group->name : "", suite->esn ? "ESN" : "NO_ESN");
}

size_t ike_suite_keymat_size(const IkeSuite *suite)
{
    const Cipher *cipher = suite->cipher;
    size_t integ_size = suite->integ ? suite->integ->key_size : 0;

    return 3 * suite->prf->size + 2 * integ_size + 2 * (cipher->key_size + cipher->salt_size);
}

size_t esp_suite_keymat_size(const EspSuite *suite)
{
    const Cipher *cipher = suite->cipher;
    size_t integ_size = suite->integ ? suite->integ->key_size : 0;

    return 2 * (cipher->key_size + cipher->salt_size + integ_size);
}

/* ---- sizes of ESP packets ---- */

enum { TRAILER_ALIGNMENT = 4 }; /* RFC 4303 2.4: Next Header ends on a 4-octet boundary */

size_t esp_alignment(const Cipher *cipher)
{
    return cipher->block_size > TRAILER_ALIGNMENT ? cipher->block_size : TRAILER_ALIGNMENT;
}

size_t esp_icv_size(const EspSuite *suite)
{
    return suite->integ ? suite->integ->icv_size : suite->cipher->icv_size;
}

size_t esp_body_size(const EspSuite *suite, size_t inner_size)
{
    size_t alignment = esp_alignment(suite->cipher);
    return (inner_size + ESP_TRAILER_SIZE + alignment - 1) / alignment * alignment;
}

size_t esp_packet_size(const EspSuite *suite, size_t inner_size)
{
    return ESP_HEADER_SIZE + suite->cipher->iv_size + esp_body_size(suite, inner_size) +
           esp_icv_size(suite);
}

size_t esp_inner_max(const EspSuite *suite, size_t room)
{
    size_t alignment = esp_alignment(suite->cipher);
    size_t fixed = esp_packet_size(suite, 0) - alignment;
    if (room < fixed)
        return 0;
    size_t body = (room - fixed) / alignment * alignment;
    return body == 0 ? 0 : body - ESP_TRAILER_SIZE; /* a whole block has room for more than that */
}

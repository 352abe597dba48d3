/* What was chosen of proposals: a peer's choice from ours is judged, and ours from a peer's is
 * made. */
#include "ikeclient/proposals.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>

/* The types of RFC 7296 3.3.2; a bit for each stands in sets. */
static const uint8_t known_types[] = {IKE_TRANSFORM_ENCR, IKE_TRANSFORM_PRF, IKE_TRANSFORM_INTEG,
                                      IKE_TRANSFORM_KE, IKE_TRANSFORM_ESN};

static bool has(const IkeProposal *proposal, uint8_t type, uint16_t id, uint16_t key_length)
{
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform *transform = &proposal->transforms[i];
        if (transform->type == type && transform->id == id && transform->key_length == key_length &&
            !transform->unknown_attribute)
            return true;
    }
    return false;
}

static bool has_type(const IkeProposal *proposal, uint8_t type)
{
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        if (proposal->transforms[i].type == type)
            return true;
    }
    return false;
}

/* RFC 7296 3.3: of a type that may be missing, 0 says that it is (of ESN, 0 is NO_ESN). Those that
 * we do not know may, too (RFC 9370 has some). */
static bool has_none(const IkeProposal *proposal, uint8_t type)
{
    return type != IKE_TRANSFORM_ENCR && type != IKE_TRANSFORM_PRF && type != IKE_TRANSFORM_ESN &&
           has(proposal, type, 0, 0);
}

static bool can_do_without(const IkeProposal *proposal, uint8_t type)
{
    return !has_type(proposal, type) || has_none(proposal, type);
}

/* ---- the peer's choice ---- */

/* One transform of `type` that we offered; or none, where we said that we can do without. NONE of a
 * type that we left out says the same (RFC 7296 3.3.2, 3.3.3). */
static bool answers_type(const IkeProposal *ours, const IkeProposal *theirs, uint8_t type)
{
    const IkeTransform *chosen = NULL;

    for (size_t i = 0; i < theirs->n_transforms; i++) {
        if (theirs->transforms[i].type != type)
            continue;
        if (chosen)
            return false;
        chosen = &theirs->transforms[i];
    }
    if (!chosen)
        return can_do_without(ours, type);
    if (!has_type(ours, type) && has_none(theirs, type))
        return true;
    return !chosen->unknown_attribute && has(ours, type, chosen->id, chosen->key_length);
}

static bool answers(const IkeProposal *ours, const IkeProposal *theirs)
{
    size_t known = 0;

    if (theirs->number != ours->number || theirs->protocol != ours->protocol)
        return false;
    for (size_t i = 0; i < ELEMENTS(known_types); i++) {
        if (!answers_type(ours, theirs, known_types[i]))
            return false;
        known += has_type(theirs, known_types[i]);
    }
    return known == theirs->n_transforms;
}

/* NULL if it is none of ours. */
static const IkeProposal *accept(const IkeSaPayload *offer, const IkeSaPayload *answer,
                                 uint8_t spi_size)
{
    const IkeProposal *theirs = &answer->proposals[0];
    bool ours = false;

    if (answer->n_proposals != 1)
        return NULL;
    for (size_t i = 0; i < offer->n_proposals; i++)
        ours = ours || answers(&offer->proposals[i], theirs);
    return ours && theirs->spi_size == spi_size && theirs->spi != 0 ? theirs : NULL;
}

int proposals_accept_esp(const IkeSaPayload *offer, const IkeSaPayload *answer, EspChoice *ret)
{
    const IkeProposal *theirs = accept(offer, answer, sizeof(uint32_t));

    if (!theirs)
        return -EBADMSG;
    *ret = esp_choice_of(theirs);
    return 0;
}

int proposals_accept_ike(const IkeSaPayload *offer, const IkeSaPayload *answer, IkeProposal *ret)
{
    const IkeProposal *theirs = accept(offer, answer, sizeof(uint64_t));

    if (!theirs)
        return -EBADMSG;
    *ret = *theirs;
    return 0;
}

/* ---- our choice ---- */

/* What is chosen of one type, or NULL. */
static const IkeTransform *pick(const IkeProposal *ours, const IkeProposal *theirs, uint8_t type,
                                const uint16_t *group)
{
    for (size_t i = 0; i < ours->n_transforms; i++) {
        const IkeTransform *transform = &ours->transforms[i];
        if (transform->type == type && has(theirs, type, transform->id, transform->key_length) &&
            (type != IKE_TRANSFORM_KE || !group || transform->id == *group))
            return transform;
    }
    return NULL;
}

/* Of a type that we have nothing to choose of: NONE. */
static bool choose_none(const IkeProposal *theirs, uint8_t type, IkeProposal *ret)
{
    if (!has_none(theirs, type))
        return false;
    ret->transforms[ret->n_transforms++] = (IkeTransform){.type = type};
    return true;
}

static bool choose_type(const IkeProposal *ours, const IkeProposal *theirs, uint8_t type,
                        const uint16_t *group, IkeProposal *ret)
{
    const bool wants_group = type == IKE_TRANSFORM_KE && group && *group != IKE_GROUP_NONE;

    if (has_type(ret, type))
        return true;
    if (!has_type(theirs, type))
        return can_do_without(ours, type) && !wants_group;
    if (!has_type(ours, type))
        return choose_none(theirs, type, ret) && !wants_group;
    const IkeTransform *transform = pick(ours, theirs, type, group);
    if (!transform)
        return false;
    ret->transforms[ret->n_transforms++] = *transform;
    return true;
}

/* `group`: NULL if any will do. */
static bool choose(const IkeProposal *ours, const IkeProposal *theirs, const uint16_t *group,
                   IkeProposal *ret)
{
    *ret = (IkeProposal){.number = theirs->number,
                         .protocol = theirs->protocol,
                         .spi_size = theirs->spi_size,
                         .spi = theirs->spi};
    if (theirs->protocol != ours->protocol)
        return false;
    for (size_t i = 0; i < ELEMENTS(known_types); i++) {
        if (!choose_type(ours, theirs, known_types[i], group, ret))
            return false;
    }
    for (size_t i = 0; i < theirs->n_transforms; i++) {
        if (!choose_type(ours, theirs, theirs->transforms[i].type, group, ret))
            return false;
    }
    return true;
}

static bool choose_from(const IkeSaPayload *ours, const IkeSaPayload *theirs, const uint16_t *group,
                        IkeProposal *ret)
{
    for (size_t i = 0; i < ours->n_proposals; i++) {
        for (size_t j = 0; j < theirs->n_proposals; j++) {
            if (choose(&ours->proposals[i], &theirs->proposals[j], group, ret))
                return true;
        }
    }
    return false;
}

int proposals_choose(const IkeSaPayload *ours, const IkeSaPayload *theirs, uint16_t group,
                     IkeProposal *ret)
{
    return choose_from(ours, theirs, &group, ret) || choose_from(ours, theirs, NULL, ret) ? 0
                                                                                          : -ENOENT;
}

/* ---- what a choice says ---- */

static const IkeTransform *of_type(const IkeProposal *chosen, uint8_t type)
{
    static const IkeTransform none;

    for (size_t i = 0; i < chosen->n_transforms; i++) {
        if (chosen->transforms[i].type == type)
            return &chosen->transforms[i];
    }
    return &none;
}

uint16_t proposal_group(const IkeProposal *chosen)
{
    return of_type(chosen, IKE_TRANSFORM_KE)->id;
}

EspChoice esp_choice_of(const IkeProposal *chosen)
{
    const IkeTransform *encr = of_type(chosen, IKE_TRANSFORM_ENCR);

    return (EspChoice){.spi_out = (uint32_t)chosen->spi,
                       .encr = encr->id,
                       .key_bits = encr->key_length,
                       .integ = of_type(chosen, IKE_TRANSFORM_INTEG)->id,
                       .group = proposal_group(chosen),
                       .esn = of_type(chosen, IKE_TRANSFORM_ESN)->id == IKE_ESN_YES};
}

void esp_choice_name(const EspChoice *choice, char *text)
{
    bool integ = choice->integ != IKE_INTEG_NONE, group = choice->group != IKE_GROUP_NONE;

    (void)snprintf(
        text, ESP_SUITE_NAME_SIZE, "%s%s%s%s%s%s",
        algorithm_name(IKE_TRANSFORM_ENCR, choice->encr, choice->key_bits), integ ? "/" : "",
        integ ? algorithm_name(IKE_TRANSFORM_INTEG, choice->integ, 0) : "", group ? "/" : "",
        group ? proposals_group_name(choice->group) : "", choice->esn ? "/ESN" : "");
}

void ike_choice_name(const IkeProposal *chosen, char *text)
{
    const IkeTransform *encr = of_type(chosen, IKE_TRANSFORM_ENCR);
    const uint16_t integ = of_type(chosen, IKE_TRANSFORM_INTEG)->id;

    (void)snprintf(text, IKE_SUITE_NAME_SIZE, "%s%s%s/%s/%s",
                   algorithm_name(IKE_TRANSFORM_ENCR, encr->id, encr->key_length),
                   integ != IKE_INTEG_NONE ? "/" : "",
                   integ != IKE_INTEG_NONE ? algorithm_name(IKE_TRANSFORM_INTEG, integ, 0) : "",
                   algorithm_name(IKE_TRANSFORM_PRF, of_type(chosen, IKE_TRANSFORM_PRF)->id, 0),
                   proposals_group_name(proposal_group(chosen)));
}

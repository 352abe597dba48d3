/* Reads Security Association payloads: what one offers or chooses (RFC 7296 3.3). */
#include "ikewire/algorithm.h"
#include "ikewire/payload.h"

/* 3.3.5: transform attributes. Key Length is TV, and stands at most once. */
static int attribute_decode(Reader *reader, IkeTransform *transform)
{
    uint16_t type, value;

    if (reader_u16(reader, &type) < 0 || reader_u16(reader, &value) < 0)
        return IKEWIRE_E_TRANSFORM;

    if (type == (IKE_ATTRIBUTE_TV | IKE_ATTRIBUTE_KEY_LENGTH)) {
        if (value == 0 || transform->key_length != 0)
            return IKEWIRE_E_TRANSFORM;
        transform->key_length = value;
        return 0;
    }
    if (type == IKE_ATTRIBUTE_KEY_LENGTH)
        return IKEWIRE_E_TRANSFORM;

    transform->unknown_attribute = true;
    if (!(type & IKE_ATTRIBUTE_TV) && reader_skip(reader, value) < 0)
        return IKEWIRE_E_TRANSFORM;
    return 0;
}

static int transform_decode(Reader *reader, bool last, IkeTransform *ret)
{
    uint8_t marker;
    uint16_t length;
    Bytes rest;

    if (reader_u8(reader, &marker) < 0 || reader_skip(reader, 1) < 0 ||
        reader_u16(reader, &length) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (marker != (last ? IKE_SA_LAST : IKE_SA_MORE_TRANSFORMS))
        return IKEWIRE_E_TRANSFORM;
    if (length < IKE_TRANSFORM_HEADER_SIZE)
        return IKEWIRE_E_TRANSFORM_LENGTH;
    if (reader_take(reader, length - 4U, &rest) < 0)
        return IKEWIRE_E_LENGTH;

    Reader fields;
    *ret = (IkeTransform){0};
    reader_init(&fields, rest);
    if (reader_u8(&fields, &ret->type) < 0 || reader_skip(&fields, 1) < 0 ||
        reader_u16(&fields, &ret->id) < 0)
        return IKEWIRE_E_TRUNCATED;
    while (reader_left(&fields) > 0) {
        int r = attribute_decode(&fields, ret);
        if (r != 0)
            return r;
    }
    return 0;
}

/* 3.3.1: an IKE SPI is there in a rekey only; an ESP or AH SPI always. */
static bool spi_size_fits(uint8_t protocol, uint8_t spi_size)
{
    switch (protocol) {
    case IKE_PROTOCOL_NONE:
        return false;
    case IKE_PROTOCOL_IKE:
        return spi_size == 0 || spi_size == 8;
    case IKE_PROTOCOL_AH:
    case IKE_PROTOCOL_ESP:
        return spi_size == 4;
    default: /* never chosen (3.3.6), so what fits our struct will do */
        return spi_size == 0 || spi_size == 4 || spi_size == 8;
    }
}

static bool is_known(const IkeTransform *transform)
{
    return !transform->unknown_attribute &&
           (transform->id == 0 ||
            algorithm_find(transform->type, transform->id, transform->key_length));
}

/* Where there are more transforms than are kept, those are left out that say nothing: the same one
 * twice, and one that nobody could choose, beside another of its type. */
static bool is_needless(const IkeProposal *proposal, const IkeTransform *transform)
{
    const bool known = is_known(transform);

    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform *kept = &proposal->transforms[i];

        if (kept->type == transform->type &&
            (!known || (is_known(kept) && kept->id == transform->id &&
                        kept->key_length == transform->key_length)))
            return true;
    }
    return false;
}

/* All of a proposal after its length. */
static int proposal_fields_decode(Bytes bytes, IkeProposal *ret)
{
    Reader reader;
    uint8_t count;

    *ret = (IkeProposal){0};
    reader_init(&reader, bytes);
    if (reader_u8(&reader, &ret->number) < 0 || reader_u8(&reader, &ret->protocol) < 0 ||
        reader_u8(&reader, &ret->spi_size) < 0 || reader_u8(&reader, &count) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (!spi_size_fits(ret->protocol, ret->spi_size))
        return IKEWIRE_E_PROPOSAL;
    int r = spi_decode(&reader, ret->spi_size, &ret->spi);
    if (r != 0)
        return r;

    for (unsigned i = 0; i < count; i++) {
        IkeTransform transform;

        if (reader_left(&reader) == 0)
            return IKEWIRE_E_PROPOSAL;
        r = transform_decode(&reader, i + 1U == count, &transform);
        if (r != 0)
            return r;
        if (count > IKE_TRANSFORMS_MAX && is_needless(ret, &transform)) {
            ret->n_skipped++;
        } else if (ret->n_transforms == IKE_TRANSFORMS_MAX) {
            return IKEWIRE_E_TOO_MANY;
        } else {
            ret->transforms[ret->n_transforms++] = transform;
        }
    }
    return count == 0 || reader_left(&reader) > 0 ? IKEWIRE_E_PROPOSAL : 0;
}

static int proposal_decode(Reader *reader, IkeProposal *ret, bool *ret_last)
{
    uint8_t marker;
    uint16_t length;
    Bytes rest;

    if (reader_u8(reader, &marker) < 0 || reader_skip(reader, 1) < 0 ||
        reader_u16(reader, &length) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (marker != IKE_SA_LAST && marker != IKE_SA_MORE_PROPOSALS)
        return IKEWIRE_E_PROPOSAL;
    if (length < IKE_PROPOSAL_HEADER_SIZE || reader_take(reader, length - 4U, &rest) < 0)
        return IKEWIRE_E_LENGTH;
    if (marker == IKE_SA_MORE_PROPOSALS && reader_left(reader) == 0)
        return IKEWIRE_E_PROPOSAL;

    *ret_last = marker == IKE_SA_LAST;
    return proposal_fields_decode(rest, ret);
}

/* 3.3.1: offers are numbered from 1 without gaps; a single one may be an answer, which carries the
 * number of the offer that it accepts. */
int ike_sa_decode(Bytes body, IkeSaPayload *ret)
{
    IkeProposal beyond, *proposal;
    bool last = false, numbered = true;
    size_t count = 0;
    Reader reader;

    reader_init(&reader, body);
    while (!last) {
        proposal = count < IKE_PROPOSALS_MAX ? &ret->proposals[count] : &beyond;
        int r = proposal_decode(&reader, proposal, &last);
        if (r != 0)
            return r;
        count++;
        numbered = numbered && proposal->number == count;
    }
    if (reader_left(&reader) > 0)
        return IKEWIRE_E_TRAILING;
    ret->n_proposals = count < IKE_PROPOSALS_MAX ? count : IKE_PROPOSALS_MAX;
    ret->n_skipped = count - ret->n_proposals;
    return numbered || (count == 1 && ret->proposals[0].number > 0) ? 0 : IKEWIRE_E_PROPOSAL;
}

/* Security Association payloads: what one offers or chooses (RFC 7296 3.3). */
#include "ikewire/payload.h"

enum {
    LAST = 0,
    MORE_PROPOSALS = 2,  /* 3.3.1 */
    MORE_TRANSFORMS = 3, /* 3.3.2 */
    PROPOSAL_HEADER_SIZE = 8,
    TRANSFORM_HEADER_SIZE = 8,
    KEY_LENGTH_SIZE = 4,
    ATTRIBUTE_TV = 0x8000, /* 3.3.5: the value stands in place of the length */
};

/* 3.3.5: transform attributes. Key Length is TV, and stands at most once. */
static int attribute_decode(Reader *reader, IkeTransform *transform)
{
    uint16_t type, value;

    if (reader_u16(reader, &type) < 0 || reader_u16(reader, &value) < 0)
        return IKEWIRE_E_TRANSFORM;

    if (type == (ATTRIBUTE_TV | IKE_ATTRIBUTE_KEY_LENGTH)) {
        if (value == 0 || transform->key_length != 0)
            return IKEWIRE_E_TRANSFORM;
        transform->key_length = value;
        return 0;
    }
    if (type == IKE_ATTRIBUTE_KEY_LENGTH)
        return IKEWIRE_E_TRANSFORM;

    transform->unknown_attribute = true;
    if (!(type & ATTRIBUTE_TV) && reader_skip(reader, value) < 0)
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
    if (marker != (last ? LAST : MORE_TRANSFORMS))
        return IKEWIRE_E_TRANSFORM;
    if (length < TRANSFORM_HEADER_SIZE)
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
    if (count > IKE_TRANSFORMS_MAX)
        return IKEWIRE_E_TOO_MANY;

    for (; ret->n_transforms < count; ret->n_transforms++) {
        if (reader_left(&reader) == 0)
            return IKEWIRE_E_PROPOSAL;
        r = transform_decode(&reader, ret->n_transforms + 1U == count,
                             &ret->transforms[ret->n_transforms]);
        if (r != 0)
            return r;
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
    if (marker != LAST && marker != MORE_PROPOSALS)
        return IKEWIRE_E_PROPOSAL;
    if (length < PROPOSAL_HEADER_SIZE || reader_take(reader, length - 4U, &rest) < 0)
        return IKEWIRE_E_LENGTH;
    if (marker == MORE_PROPOSALS && reader_left(reader) == 0)
        return IKEWIRE_E_PROPOSAL;

    *ret_last = marker == LAST;
    return proposal_fields_decode(rest, ret);
}

/* 3.3.1: offers are numbered from 1 without gaps; a single one may be an answer, which carries the
 * number of the offer that it accepts. */
static bool numbers_fit(const IkeSaPayload *sa)
{
    if (sa->n_proposals == 1)
        return sa->proposals[0].number > 0;

    for (size_t i = 0; i < sa->n_proposals; i++) {
        if (sa->proposals[i].number != i + 1)
            return false;
    }
    return true;
}

int ike_sa_decode(Bytes body, IkeSaPayload *ret)
{
    Reader reader;
    bool last = false;

    reader_init(&reader, body);
    ret->n_proposals = 0;
    while (!last) {
        if (ret->n_proposals == IKE_PROPOSALS_MAX)
            return IKEWIRE_E_TOO_MANY;
        int r = proposal_decode(&reader, &ret->proposals[ret->n_proposals], &last);
        if (r != 0)
            return r;
        ret->n_proposals++;
    }
    if (reader_left(&reader) > 0)
        return IKEWIRE_E_TRAILING;
    return numbers_fit(ret) ? 0 : IKEWIRE_E_PROPOSAL;
}

static size_t transform_size(const IkeTransform *transform)
{
    return TRANSFORM_HEADER_SIZE + (transform->key_length ? (size_t)KEY_LENGTH_SIZE : 0);
}

static size_t proposal_size(const IkeProposal *proposal)
{
    size_t size = PROPOSAL_HEADER_SIZE + (size_t)proposal->spi_size;

    for (size_t i = 0; i < proposal->n_transforms; i++)
        size += transform_size(&proposal->transforms[i]);
    return size;
}

static void transform_encode(Writer *writer, const IkeTransform *transform, bool last)
{
    writer_u8(writer, last ? LAST : MORE_TRANSFORMS);
    writer_u8(writer, 0);
    writer_u16(writer, (uint16_t)transform_size(transform));
    writer_u8(writer, transform->type);
    writer_u8(writer, 0);
    writer_u16(writer, transform->id);
    if (transform->key_length) {
        writer_u16(writer, ATTRIBUTE_TV | IKE_ATTRIBUTE_KEY_LENGTH);
        writer_u16(writer, transform->key_length);
    }
}

static void proposal_encode(Writer *writer, const IkeProposal *proposal, bool last)
{
    writer_u8(writer, last ? LAST : MORE_PROPOSALS);
    writer_u8(writer, 0);
    writer_u16(writer, (uint16_t)proposal_size(proposal));
    writer_u8(writer, proposal->number);
    writer_u8(writer, proposal->protocol);
    writer_u8(writer, proposal->spi_size);
    writer_u8(writer, (uint8_t)proposal->n_transforms);
    spi_encode(writer, proposal->spi_size, proposal->spi);
    for (size_t i = 0; i < proposal->n_transforms; i++)
        transform_encode(writer, &proposal->transforms[i], i + 1 == proposal->n_transforms);
}

void ike_sa_encode(Writer *writer, const IkeSaPayload *sa)
{
    for (size_t i = 0; i < sa->n_proposals; i++)
        proposal_encode(writer, &sa->proposals[i], i + 1 == sa->n_proposals);
}

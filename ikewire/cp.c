/* Which addresses and servers does a Configuration payload ask for, or give? (RFC 7296 3.15) */
#include "ikewire/payload.h"

#include "base/cleanup.h"

enum { ATTRIBUTE_TYPE_MASK = 0x7fff }; /* 3.15.1: the top bit is reserved */

/* The attributes that we read, with what a value takes, if it is not left empty, as one may in a
 * request (3.15.1). What others hold is nobody's business here. */
static const struct {
    uint16_t type;
    uint16_t size;
} known[] = {
    {IKE_CFG_INTERNAL_IP4_ADDRESS, 4},
    {IKE_CFG_INTERNAL_IP4_DNS, 4},
    {IKE_CFG_INTERNAL_IP6_ADDRESS, 17},
    {IKE_CFG_INTERNAL_IP6_DNS, 16},
};

_Static_assert((size_t)IKE_ATTRIBUTES_MAX == (ELEMENTS(known) + 1) * IKE_ATTRIBUTES_OF_TYPE,
               "room for each type that is known, and for all others");

/* The row of a type; ELEMENTS(known) for all types that we don't know. */
static size_t row_of(uint16_t type)
{
    size_t row = 0;

    while (row < ELEMENTS(known) && known[row].type != type)
        row++;
    return row;
}

static bool value_size_fits(uint16_t type, size_t size)
{
    size_t row = row_of(type);

    return row == ELEMENTS(known) || size == 0 || size == known[row].size;
}

static int attribute_decode(Reader *reader, IkeAttribute *ret)
{
    uint16_t type, length;

    if (reader_u16(reader, &type) < 0 || reader_u16(reader, &length) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (reader_take(reader, length, &ret->value) < 0)
        return IKEWIRE_E_LENGTH;

    ret->type = type & ATTRIBUTE_TYPE_MASK;
    return value_size_fits(ret->type, length) ? 0 : IKEWIRE_E_LENGTH;
}

/* Keeps an attribute, or skips one of whose type there are enough. */
static void attribute_keep(IkeCp *cp, const IkeAttribute *attribute)
{
    size_t kept = 0;

    for (size_t i = 0; i < cp->n_attributes; i++)
        kept += row_of(cp->attributes[i].type) == row_of(attribute->type);
    if (kept < IKE_ATTRIBUTES_OF_TYPE) {
        cp->attributes[cp->n_attributes++] = *attribute;
    } else {
        cp->n_skipped++;
    }
}

int ike_cp_decode(Bytes body, IkeCp *ret)
{
    Reader reader;

    reader_init(&reader, body);
    ret->n_attributes = 0;
    ret->n_skipped = 0;
    if (reader_u8(&reader, &ret->cfg_type) < 0 || reader_skip(&reader, 3) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (ret->cfg_type < IKE_CFG_REQUEST || ret->cfg_type > IKE_CFG_ACK)
        return IKEWIRE_E_VALUE;

    while (reader_left(&reader) > 0) {
        IkeAttribute attribute;
        int r = attribute_decode(&reader, &attribute);
        if (r != 0)
            return r;
        attribute_keep(ret, &attribute);
    }
    return 0;
}

void ike_cp_encode(Writer *writer, const IkeCp *cp)
{
    writer_u8(writer, cp->cfg_type);
    writer_zeros(writer, 3);
    for (size_t i = 0; i < cp->n_attributes; i++) {
        writer_u16(writer, cp->attributes[i].type);
        writer_u16(writer, (uint16_t)cp->attributes[i].value.size);
        writer_bytes(writer, cp->attributes[i].value);
    }
}

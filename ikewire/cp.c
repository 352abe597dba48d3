/* Which addresses and servers does a Configuration payload ask for, or give? (RFC 7296 3.15) */
#include "ikewire/payload.h"

#include "base/cleanup.h"

enum { ATTRIBUTE_TYPE_MASK = 0x7fff }; /* 3.15.1: the top bit is reserved */

/* 3.15.1: what an attribute's value takes, if it is not left empty, as one may in a request. */
static const struct {
    uint16_t type;
    uint16_t size;
} value_sizes[] = {
    {IKE_CFG_INTERNAL_IP4_ADDRESS, 4}, {IKE_CFG_INTERNAL_IP4_NETMASK, 4},
    {IKE_CFG_INTERNAL_IP4_DNS, 4},     {IKE_CFG_INTERNAL_IP6_ADDRESS, 17},
    {IKE_CFG_INTERNAL_IP6_DNS, 16},    {IKE_CFG_INTERNAL_IP4_SUBNET, 8},
    {IKE_CFG_INTERNAL_IP6_SUBNET, 17},
};

static bool value_size_fits(uint16_t type, size_t size)
{
    for (size_t i = 0; i < ELEMENTS(value_sizes); i++) {
        if (value_sizes[i].type == type)
            return size == 0 || size == value_sizes[i].size;
    }
    return true;
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

int ike_cp_decode(Bytes body, IkeCp *ret)
{
    Reader reader;

    reader_init(&reader, body);
    ret->n_attributes = 0;
    if (reader_u8(&reader, &ret->cfg_type) < 0 || reader_skip(&reader, 3) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (ret->cfg_type < IKE_CFG_REQUEST || ret->cfg_type > IKE_CFG_ACK)
        return IKEWIRE_E_VALUE;

    for (; reader_left(&reader) > 0; ret->n_attributes++) {
        if (ret->n_attributes == IKE_ATTRIBUTES_MAX)
            return IKEWIRE_E_TOO_MANY;
        int r = attribute_decode(&reader, &ret->attributes[ret->n_attributes]);
        if (r != 0)
            return r;
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

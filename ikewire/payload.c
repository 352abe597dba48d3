/* The payloads with a few fixed fields and opaque data (RFC 7296 3.4-3.9, RFC 7383 2.5), Notify and
 * Delete (3.10, 3.11), and Configuration (3.15): read, and IDi and AUTH written, too, as they are
 * what tred makes itself; and each way of being malformed in words. */
#include "ikewire/payload.h"

#include "base/cleanup.h"

#include <assert.h>

int spi_decode(Reader *reader, uint8_t size, uint64_t *ret)
{
    uint32_t short_spi = 0;
    int r = 0;

    assert(size == 0 || size == 4 || size == 8);
    *ret = 0;
    if (size == 8)
        r = reader_u64(reader, ret);
    if (size == 4) {
        r = reader_u32(reader, &short_spi);
        *ret = short_spi;
    }
    return r < 0 ? IKEWIRE_E_LENGTH : 0;
}

const char *ike_fault_text(IkeFaultCode code)
{
    switch (code) {
    case IKEWIRE_E_TRUNCATED:
        return "it ends before its fixed fields do";
    case IKEWIRE_E_LENGTH:
        return "a length field is below its minimum or beyond what is there";
    case IKEWIRE_E_TRAILING:
        return "octets are left over after the last field or payload";
    case IKEWIRE_E_MAJOR_VERSION:
        return "the major version is above 2";
    case IKEWIRE_E_VERSION:
        return "the major version is below 2";
    case IKEWIRE_E_NEXT_PAYLOAD:
        return "the chain of payloads breaks";
    case IKEWIRE_E_CRITICAL:
        return "an unknown payload is marked critical";
    case IKEWIRE_E_DUPLICATE:
        return "a payload that may stand once stands twice";
    case IKEWIRE_E_TOO_MANY:
        return "there are more elements than are accepted here";
    case IKEWIRE_E_PROPOSAL:
        return "a proposal's number, SPI size, \"last\" marker or transform count is wrong";
    case IKEWIRE_E_TRANSFORM:
        return "a transform's \"last\" marker or attribute is wrong";
    case IKEWIRE_E_TRANSFORM_LENGTH:
        return "a transform is of zero length, or shorter than its fixed fields";
    case IKEWIRE_E_VALUE:
        return "a field has a value that is not allowed there";
    case IKEWIRE_E_SELECTOR:
        return "a traffic selector's type, length or range is wrong";
    case IKEWIRE_E_FRAGMENT:
        return "a fragment's number is 0 or above its total";
    }
    return "unknown fault";
}

enum {
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
};

int ike_ke_decode(Bytes body, IkeKe *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u16(&reader, &ret->group) < 0 || reader_skip(&reader, 2) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->data = reader_rest(&reader);
    return ret->group == IKE_GROUP_NONE || ret->data.size == 0 ? IKEWIRE_E_VALUE : 0;
}

/* IDi, IDr and AUTH are alike: a number, three reserved octets, data that must be there. */
static int tagged_decode(Bytes body, uint8_t *ret_tag, Bytes *ret_data)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u8(&reader, ret_tag) < 0 || reader_skip(&reader, 3) < 0)
        return IKEWIRE_E_TRUNCATED;

    *ret_data = reader_rest(&reader);
    return *ret_tag == 0 || ret_data->size == 0 ? IKEWIRE_E_VALUE : 0;
}

static void tagged_encode(Writer *writer, uint8_t tag, Bytes data)
{
    writer_u8(writer, tag);
    writer_zeros(writer, 3);
    writer_bytes(writer, data);
}

int ike_id_decode(Bytes body, IkeId *ret)
{
    int r = tagged_decode(body, &ret->type, &ret->data);
    if (r != 0)
        return r;

    if (ret->type == IKE_ID_IPV4_ADDR && ret->data.size != IPV4_SIZE)
        return IKEWIRE_E_LENGTH;
    if (ret->type == IKE_ID_IPV6_ADDR && ret->data.size != IPV6_SIZE)
        return IKEWIRE_E_LENGTH;
    return 0;
}

void ike_id_encode(Writer *writer, const IkeId *id)
{
    tagged_encode(writer, id->type, id->data);
}

int ike_auth_decode(Bytes body, IkeAuth *ret)
{
    return tagged_decode(body, &ret->method, &ret->data);
}

void ike_auth_encode(Writer *writer, const IkeAuth *auth)
{
    tagged_encode(writer, auth->method, auth->data);
}

int ike_cert_decode(Bytes body, IkeCert *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u8(&reader, &ret->encoding) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->data = reader_rest(&reader);
    return ret->encoding == 0 || ret->data.size == 0 ? IKEWIRE_E_VALUE : 0;
}

int ike_nonce_decode(Bytes body, Bytes *ret)
{
    if (body.size < IKE_NONCE_MIN || body.size > IKE_NONCE_MAX)
        return IKEWIRE_E_VALUE;

    *ret = body;
    return 0;
}

int ike_fragment_decode(Bytes body, IkeFragment *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u16(&reader, &ret->number) < 0 || reader_u16(&reader, &ret->total) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->sealed = reader_rest(&reader);
    return ret->number == 0 || ret->number > ret->total ? IKEWIRE_E_FRAGMENT : 0;
}

/* What the clauses say of the data that comes with a type; other types take any. */
static const struct {
    uint16_t type;
    uint16_t minimum;
    uint16_t maximum;
    uint16_t unit; /* the size is a multiple of it */
} data_sizes[] = {
    {IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, 1, 1, 1},
    {IKE_NOTIFY_INVALID_MESSAGE_ID, 4, 4, 1},
    {IKE_NOTIFY_INVALID_KE_PAYLOAD, 2, 2, 1},
    {IKE_NOTIFY_SET_WINDOW_SIZE, 4, 4, 1},
    {IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, 20, 20, 1},
    {IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, 20, 20, 1},
    {IKE_NOTIFY_COOKIE, 1, IKE_COOKIE_MAX, 1},
    {IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, 2, UINT16_MAX, 2}, /* RFC 7427 4 */
};

static bool data_size_fits(uint16_t type, size_t size)
{
    for (size_t i = 0; i < ELEMENTS(data_sizes); i++) {
        if (data_sizes[i].type == type) {
            return size >= data_sizes[i].minimum && size <= data_sizes[i].maximum &&
                   size % data_sizes[i].unit == 0;
        }
    }
    return true;
}

/* 3.10: the SPI of an SA that its protocol has; without an SPI the protocol says nothing. */
static bool spi_size_fits(uint8_t protocol, uint8_t spi_size)
{
    switch (spi_size) {
    case 0:
        return true;
    case 4:
        return protocol == IKE_PROTOCOL_AH || protocol == IKE_PROTOCOL_ESP;
    case 8:
        return protocol == IKE_PROTOCOL_IKE;
    default:
        return false;
    }
}

int ike_notify_decode(Bytes body, IkeNotify *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u8(&reader, &ret->protocol) < 0 || reader_u8(&reader, &ret->spi_size) < 0 ||
        reader_u16(&reader, &ret->type) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (!spi_size_fits(ret->protocol, ret->spi_size))
        return IKEWIRE_E_VALUE;
    int r = spi_decode(&reader, ret->spi_size, &ret->spi);
    if (r != 0)
        return r;

    ret->data = reader_rest(&reader);
    return data_size_fits(ret->type, ret->data.size) ? 0 : IKEWIRE_E_LENGTH;
}

int ike_delete_decode(Bytes body, IkeDelete *ret)
{
    Reader reader;
    uint8_t spi_size;
    uint16_t count;

    reader_init(&reader, body);
    ret->n_spis = 0;
    ret->n_skipped = 0;
    if (reader_u8(&reader, &ret->protocol) < 0 || reader_u8(&reader, &spi_size) < 0 ||
        reader_u16(&reader, &count) < 0)
        return IKEWIRE_E_TRUNCATED;
    switch (ret->protocol) {
    case IKE_PROTOCOL_IKE: /* the SA that carries the message: no SPI */
        if (spi_size != 0 || count != 0)
            return IKEWIRE_E_VALUE;
        break;
    case IKE_PROTOCOL_AH:
    case IKE_PROTOCOL_ESP:
        if (spi_size != sizeof(ret->spis[0]))
            return IKEWIRE_E_VALUE;
        break;
    default:
        return IKEWIRE_E_VALUE;
    }

    for (size_t i = 0; i < count; i++) {
        uint32_t spi;
        if (reader_u32(&reader, &spi) < 0)
            return IKEWIRE_E_LENGTH;
        if (ret->n_spis == IKE_SPIS_MAX) {
            ret->n_skipped++;
        } else {
            ret->spis[ret->n_spis++] = spi;
        }
    }
    return reader_left(&reader) > 0 ? IKEWIRE_E_TRAILING : 0;
}

enum { ATTRIBUTE_TYPE_MASK = 0x7fff }; /* 3.15.1: the top bit is reserved */

/* The attributes that we read, with what a value takes, if it is not left empty, as one may in a
 * request (3.15.1). What others hold is nobody's business here; nor is it with those of ANY_SIZE,
 * which no tunnel depends on. */
enum { ANY_SIZE = 0 };

static const struct {
    uint16_t type;
    uint16_t size;
} known[] = {
    {IKE_CFG_INTERNAL_IP4_ADDRESS, 4},
    {IKE_CFG_INTERNAL_IP4_DNS, ANY_SIZE},
    {IKE_CFG_INTERNAL_IP6_ADDRESS, 17},
    {IKE_CFG_INTERNAL_IP6_DNS, ANY_SIZE},
    {IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO, ANY_SIZE},
    {IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK, ANY_SIZE},
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

    return row == ELEMENTS(known) || known[row].size == ANY_SIZE || size == 0 ||
           size == known[row].size;
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

/* What does a Notify or Delete payload say, and about which SA? (RFC 7296 3.10, 3.11) */
#include "ikewire/payload.h"

#include "base/cleanup.h"
#include "ikewire/spi.h"

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

void ike_notify_encode(Writer *writer, const IkeNotify *notify)
{
    writer_u8(writer, notify->protocol);
    writer_u8(writer, notify->spi_size);
    writer_u16(writer, notify->type);
    spi_encode(writer, notify->spi_size, notify->spi);
    writer_bytes(writer, notify->data);
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

void ike_delete_encode(Writer *writer, const IkeDelete *delete_)
{
    bool ike = delete_->protocol == IKE_PROTOCOL_IKE;

    writer_u8(writer, delete_->protocol);
    writer_u8(writer, ike ? 0 : sizeof(delete_->spis[0]));
    writer_u16(writer, (uint16_t)delete_->n_spis);
    for (size_t i = 0; i < delete_->n_spis; i++)
        writer_u32(writer, delete_->spis[i]);
}

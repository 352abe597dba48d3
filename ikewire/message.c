/* Whether a message is well-formed and which payloads it carries (RFC 7296 2.5, 3.1, 3.2): which we
 * know, which may repeat, and how each one's body is checked. */
#include "ikewire/message.h"

#include "base/cleanup.h"
#include "ikewire/payload.h"
#include "ikewire/registry.h"

/* A body is well-formed if it decodes; what it decodes to is of no interest yet. */
#define DEFINE_VALIDATE(noun, Noun)                                                                \
    static int noun##_validate(Bytes body)                                                         \
    {                                                                                              \
        Noun decoded;                                                                              \
        return ike_##noun##_decode(body, &decoded);                                                \
    }                                                                                              \
    struct noun##_needs_semicolon

DEFINE_VALIDATE(sa, IkeSaPayload);
DEFINE_VALIDATE(ke, IkeKe);
DEFINE_VALIDATE(id, IkeId);
DEFINE_VALIDATE(auth, IkeAuth);
DEFINE_VALIDATE(nonce, Bytes);
DEFINE_VALIDATE(notify, IkeNotify);
DEFINE_VALIDATE(delete, IkeDelete);
DEFINE_VALIDATE(ts, IkeTs);
DEFINE_VALIDATE(cp, IkeCp);
DEFINE_VALIDATE(fragment, IkeFragment);

/* Names are the notation of RFC 7296 3.2, but for the three that it gives one letter. Of CERT and
 * CERTREQ any octets will do: one of an encoding that we don't know, or that does not decode, is
 * passed over by whoever reads them (RFC 4945 3.2.8, 3.3.10). */
static const IkePayloadKind kinds[] = {
    {IKE_PAYLOAD_SA, "SA", false, 1, sa_validate},
    {IKE_PAYLOAD_KE, "KE", false, 1, ke_validate},
    {IKE_PAYLOAD_IDI, "IDi", false, 1, id_validate},
    {IKE_PAYLOAD_IDR, "IDr", false, 1, id_validate},
    {IKE_PAYLOAD_CERT, "CERT", true, IKE_CERTS_MAX, NULL},
    {IKE_PAYLOAD_CERTREQ, "CERTREQ", true, IKE_CERTREQS_MAX, NULL},
    {IKE_PAYLOAD_AUTH, "AUTH", false, 1, auth_validate},
    {IKE_PAYLOAD_NONCE, "Nonce", false, 1, nonce_validate},
    {IKE_PAYLOAD_NOTIFY, "Notify", true, IKE_NOTIFIES_MAX, notify_validate},
    {IKE_PAYLOAD_DELETE, "Delete", true, IKE_DELETES_MAX, delete_validate},
    {IKE_PAYLOAD_VENDOR_ID, "Vendor ID", true, IKE_VENDOR_IDS_MAX, NULL},
    {IKE_PAYLOAD_TSI, "TSi", false, 1, ts_validate},
    {IKE_PAYLOAD_TSR, "TSr", false, 1, ts_validate},
    {IKE_PAYLOAD_SK, "SK", false, 1, NULL},
    {IKE_PAYLOAD_CP, "CP", false, 1, cp_validate},
    {IKE_PAYLOAD_EAP, "EAP", false, 1, NULL},
    {IKE_PAYLOAD_SKF, "SKF", false, 1, fragment_validate},
};

const IkePayloadKind *ike_payload_kind(uint8_t type)
{
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        if (kinds[i].type == type)
            return &kinds[i];
    }
    return NULL;
}

const char *ike_payload_name(uint8_t payload_type)
{
    const IkePayloadKind *kind = ike_payload_kind(payload_type);

    return kind ? kind->name : "unknown";
}

enum {
    MAJOR_VERSION = 2,
    CRITICAL_BIT = 0x80,
};

int ike_header_decode(Bytes datagram, IkeHeader *ret)
{
    Reader reader;
    IkeHeader header;
    uint8_t version;

    reader_init(&reader, datagram);
    if (reader_u64(&reader, &header.spi_i) < 0 || reader_u64(&reader, &header.spi_r) < 0 ||
        reader_u8(&reader, &header.next_payload) < 0 || reader_u8(&reader, &version) < 0 ||
        reader_u8(&reader, &header.exchange_type) < 0 || reader_u8(&reader, &header.flags) < 0 ||
        reader_u32(&reader, &header.message_id) < 0 || reader_u32(&reader, &header.length) < 0)
        return IKEWIRE_E_TRUNCATED;

    header.minor_version = version & 0x0f;
    if (version >> 4 > MAJOR_VERSION)
        return IKEWIRE_E_MAJOR_VERSION;
    if (version >> 4 < MAJOR_VERSION)
        return IKEWIRE_E_VERSION;
    if (header.spi_i == 0)
        return IKEWIRE_E_VALUE;
    if (header.length < IKE_HEADER_SIZE || header.length > datagram.size)
        return IKEWIRE_E_LENGTH;
    if (header.length < datagram.size)
        return IKEWIRE_E_TRAILING;

    *ret = header;
    return 0;
}

/* One payload of the type that the one before it announced. */
static int payload_decode(Reader *reader, uint8_t type, IkePayload *ret, uint8_t *ret_next)
{
    uint8_t flags;
    uint16_t length;

    if (reader_left(reader) == 0)
        return IKEWIRE_E_NEXT_PAYLOAD;
    if (reader_u8(reader, ret_next) < 0 || reader_u8(reader, &flags) < 0 ||
        reader_u16(reader, &length) < 0)
        return IKEWIRE_E_TRUNCATED;
    if (length < IKE_PAYLOAD_HEADER_SIZE ||
        reader_take(reader, length - (size_t)IKE_PAYLOAD_HEADER_SIZE, &ret->body) < 0)
        return IKEWIRE_E_LENGTH;

    ret->type = type;
    ret->critical = flags & CRITICAL_BIT;
    return 0;
}

static bool is_sealed(uint8_t type)
{
    return type == IKE_PAYLOAD_SK || type == IKE_PAYLOAD_SKF;
}

/* What its type asks of a payload, and whether it may stand in this chain again. */
static int payload_check(const IkePayloads *before, const IkePayload *payload)
{
    const IkePayloadKind *kind = ike_payload_kind(payload->type);

    /* 2.5: the bit counts only for a type that is not known. */
    if (!kind)
        return payload->critical ? IKEWIRE_E_CRITICAL : 0;
    if (!kind->may_repeat && ike_payloads_find(before, payload->type))
        return IKEWIRE_E_DUPLICATE;
    return kind->validate ? kind->validate(payload->body) : 0;
}

/* RFC 7383 2.5.2: only the first fragment says what the whole begins with. */
static uint8_t inner_type(const IkePayload *sealed, uint8_t next)
{
    IkeFragment fragment;

    if (sealed->type == IKE_PAYLOAD_SKF && ike_fragment_decode(sealed->body, &fragment) == 0 &&
        fragment.number != 1)
        return IKE_PAYLOAD_NONE;
    return next;
}

/* The type of a Notify that has been checked; all errors that nobody here knows are one, and all
 * such statuses. */
static uint16_t notify_sort(const IkePayload *payload)
{
    enum { UNKNOWN_ERROR = 0, UNKNOWN_STATUS = UINT16_MAX }; /* neither is a known type */
    IkeNotify notify = {0};

    (void)ike_notify_decode(payload->body, &notify);
    if (ike_notify_is_known(notify.type))
        return notify.type;
    return notify.type < IKE_NOTIFY_FIRST_STATUS ? UNKNOWN_ERROR : UNKNOWN_STATUS;
}

/* Each sort has room of its own, so that none hides another. */
static bool has_enough_of_sort(const IkePayloads *payloads, uint16_t sort)
{
    const size_t most =
        sort == IKE_NOTIFY_NAT_DETECTION_SOURCE_IP ? IKE_NOTIFIES_OF_SOURCE : IKE_NOTIFIES_OF_TYPE;
    size_t kept = 0;

    for (size_t i = 0; i < payloads->count; i++)
        kept += payloads->items[i].type == IKE_PAYLOAD_NOTIFY && payloads->items[i].sort == sort;
    return kept >= most;
}

static bool has_enough(const IkePayloads *payloads, const IkePayload *payload)
{
    const IkePayloadKind *kind = ike_payload_kind(payload->type);
    size_t kept = 0;

    for (size_t i = 0; i < payloads->count; i++) {
        kept += kind ? payloads->items[i].type == payload->type
                     : !ike_payload_kind(payloads->items[i].type);
    }
    return kept >= (kind ? kind->most : IKE_UNKNOWNS_MAX) ||
           (payload->type == IKE_PAYLOAD_NOTIFY && has_enough_of_sort(payloads, payload->sort));
}

/* Keeps a payload, or skips one of which there are enough. */
static void payload_keep(IkePayloads *payloads, IkePayload *payload)
{
    payload->sort = payload->type == IKE_PAYLOAD_NOTIFY ? notify_sort(payload) : 0;
    if (!has_enough(payloads, payload)) {
        payloads->items[payloads->count++] = *payload;
    } else {
        payloads->n_skipped++;
    }
}

/* Reads the payload of type *type and moves *type on to the next one's. */
static int chain_step(Reader *reader, bool may_seal, uint8_t *type, IkePayloads *payloads)
{
    IkePayload payload;
    uint8_t next;

    int r = payload_decode(reader, *type, &payload, &next);
    if (r == 0)
        r = payload_check(payloads, &payload);
    if (r != 0)
        return r;
    payload_keep(payloads, &payload);

    if (is_sealed(*type)) {
        /* 3.14: it is the last one, and its Next Payload is that of the first one inside. */
        if (!may_seal || reader_left(reader) > 0)
            return IKEWIRE_E_NEXT_PAYLOAD;
        payloads->inner = inner_type(&payload, next);
        next = IKE_PAYLOAD_NONE;
    }
    *type = next;
    return 0;
}

/* Reads the whole chain at the reader; `may_seal` if SK or SKF may end it. */
static int chain_decode(Reader *reader, uint8_t type, bool may_seal, IkePayloads *ret,
                        IkeFault *fault)
{
    size_t offset = reader->position;
    int r = 0;

    ret->count = 0;
    ret->n_skipped = 0;
    ret->inner = IKE_PAYLOAD_NONE;
    while (r == 0 && type != IKE_PAYLOAD_NONE) {
        offset = reader->position;
        r = chain_step(reader, may_seal, &type, ret);
    }
    if (r == 0 && reader_left(reader) > 0) {
        offset = reader->position;
        r = IKEWIRE_E_TRAILING;
    }
    if (r != 0 && fault) {
        *fault =
            (IkeFault){.code = (IkeFaultCode)r, .payload_type = type, .offset = (uint32_t)offset};
    }
    return r;
}

int ike_message_decode(Bytes datagram, IkeMessage *ret, IkeFault *fault)
{
    Reader reader;

    int r = ike_header_decode(datagram, &ret->header);
    if (r != 0) {
        if (fault)
            *fault = (IkeFault){.code = (IkeFaultCode)r};
        return r;
    }

    reader_init(&reader, datagram);
    (void)reader_skip(&reader, IKE_HEADER_SIZE); /* which ike_header_decode() found there */
    return chain_decode(&reader, ret->header.next_payload, true, &ret->payloads, fault);
}

int ike_payloads_decode(uint8_t first, Bytes chain, IkePayloads *ret, IkeFault *fault)
{
    Reader reader;

    reader_init(&reader, chain);
    return chain_decode(&reader, first, false, ret, fault);
}

const IkePayload *ike_payloads_find(const IkePayloads *payloads, uint8_t type)
{
    size_t position = 0;

    return ike_payloads_next(payloads, type, &position);
}

const IkePayload *ike_payloads_next(const IkePayloads *payloads, uint8_t type, size_t *position)
{
    while (*position < payloads->count) {
        const IkePayload *payload = &payloads->items[(*position)++];
        if (payload->type == type)
            return payload;
    }
    return NULL;
}

bool ike_payloads_notify(const IkePayloads *payloads, uint16_t type, IkeNotify *ret)
{
    const IkePayload *payload;
    size_t position = 0;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        IkeNotify notify;
        if (ike_notify_decode(payload->body, &notify) == 0 && notify.type == type) {
            *ret = notify;
            return true;
        }
    }
    return false;
}

bool ike_payloads_error(const IkePayloads *payloads, IkeNotify *ret)
{
    const IkePayload *payload;
    size_t position = 0;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        IkeNotify notify;
        if (ike_notify_decode(payload->body, &notify) == 0 &&
            notify.type < IKE_NOTIFY_FIRST_STATUS) {
            *ret = notify;
            return true;
        }
    }
    return false;
}

/* ---- building one ---- */

enum {
    VERSION = 0x20,           /* 2.0 */
    NEXT_PAYLOAD_OFFSET = 16, /* in the header */
    LENGTH_OFFSET = 24,
};

void ike_chain_init(IkeChain *chain, Writer *writer)
{
    *chain = (IkeChain){.writer = writer};
}

void ike_chain_open(IkeChain *chain, uint8_t type, bool critical)
{
    if (chain->any) {
        writer_patch_u8(chain->writer, chain->next_offset, type);
    } else {
        chain->first = type;
    }

    chain->any = true;
    chain->start = chain->writer->size;
    chain->next_offset = chain->start;
    writer_u8(chain->writer, IKE_PAYLOAD_NONE);
    writer_u8(chain->writer, critical ? CRITICAL_BIT : 0);
    writer_u16(chain->writer, 0);
}

void ike_chain_close(IkeChain *chain)
{
    size_t size = chain->writer->size - chain->start;

    if (size > UINT16_MAX)
        chain->writer->overflow = true;
    writer_patch_u16(chain->writer, chain->start + 2, (uint16_t)size);
}

void ike_message_begin(Writer *writer, const IkeHeader *header, IkeChain *chain)
{
    ike_chain_init(chain, writer);
    chain->header = writer->size;
    writer_u64(writer, header->spi_i);
    writer_u64(writer, header->spi_r);
    writer_u8(writer, IKE_PAYLOAD_NONE);
    writer_u8(writer, VERSION);
    writer_u8(writer, header->exchange_type);
    writer_u8(writer, header->flags);
    writer_u32(writer, header->message_id);
    writer_u32(writer, 0);
}

void ike_message_end(IkeChain *chain)
{
    Writer *writer = chain->writer;

    writer_patch_u8(writer, chain->header + NEXT_PAYLOAD_OFFSET, chain->first);
    writer_patch_u32(writer, chain->header + LENGTH_OFFSET,
                     (uint32_t)(writer->size - chain->header));
}

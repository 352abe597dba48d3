/* Is what a decoder understood enough to write the same octets again? */
#include "tests/unit/ikewire/reencode.h"

/* A body that a decoder takes, written through its encoder. */
#define DEFINE_REENCODE(noun, Noun)                                                                \
    static bool noun##_reencode(Writer *writer, Bytes body)                                        \
    {                                                                                              \
        Noun decoded;                                                                              \
        if (ike_##noun##_decode(body, &decoded) != 0)                                              \
            return false;                                                                          \
        ike_##noun##_encode(writer, &decoded);                                                     \
        return true;                                                                               \
    }                                                                                              \
    struct noun##_needs_semicolon

DEFINE_REENCODE(sa, IkeSaPayload);
DEFINE_REENCODE(ke, IkeKe);
DEFINE_REENCODE(id, IkeId);
DEFINE_REENCODE(auth, IkeAuth);
DEFINE_REENCODE(notify, IkeNotify);
DEFINE_REENCODE(delete, IkeDelete);
DEFINE_REENCODE(cp, IkeCp);

static bool fragment_reencode(Writer *writer, Bytes body)
{
    IkeFragment decoded;

    if (ike_fragment_decode(body, &decoded) != 0)
        return false;
    writer_u16(writer, decoded.number);
    writer_u16(writer, decoded.total);
    writer_bytes(writer, decoded.sealed);
    return true;
}

/* CERTREQ, nonces, Vendor IDs, EAP, SK and what is unknown are their octets. */
static bool octets_reencode(Writer *writer, Bytes body)
{
    writer_bytes(writer, body);
    return true;
}

/* Where no selector is of a known type nothing is left to write, and without any it is no payload.
 */
static bool ts_reencode(Writer *writer, Bytes body)
{
    IkeTs decoded;

    if (ike_ts_decode(body, &decoded) != 0)
        return false;
    if (decoded.n_selectors == 0)
        return octets_reencode(writer, body);
    ike_ts_encode(writer, &decoded);
    return true;
}

/* A chain may hold one that does not decode. */
static bool cert_reencode(Writer *writer, Bytes body)
{
    IkeCert decoded;

    if (ike_cert_decode(body, &decoded) != 0)
        return octets_reencode(writer, body);
    ike_cert_encode(writer, &decoded);
    return true;
}

static bool body_reencode(Writer *writer, uint8_t type, Bytes body)
{
    switch (type) {
    case IKE_PAYLOAD_SA:
        return sa_reencode(writer, body);
    case IKE_PAYLOAD_KE:
        return ke_reencode(writer, body);
    case IKE_PAYLOAD_IDI:
    case IKE_PAYLOAD_IDR:
        return id_reencode(writer, body);
    case IKE_PAYLOAD_CERT:
        return cert_reencode(writer, body);
    case IKE_PAYLOAD_AUTH:
        return auth_reencode(writer, body);
    case IKE_PAYLOAD_NOTIFY:
        return notify_reencode(writer, body);
    case IKE_PAYLOAD_DELETE:
        return delete_reencode(writer, body);
    case IKE_PAYLOAD_TSI:
    case IKE_PAYLOAD_TSR:
        return ts_reencode(writer, body);
    case IKE_PAYLOAD_CP:
        return cp_reencode(writer, body);
    case IKE_PAYLOAD_SKF:
        return fragment_reencode(writer, body);
    default:
        return octets_reencode(writer, body);
    }
}

void payloads_reencode(IkeChain *chain, const IkePayloads *payloads)
{
    for (size_t i = 0; i < payloads->count; i++) {
        const IkePayload *payload = &payloads->items[i];
        ike_chain_open(chain, payload->type, payload->critical);
        if (!body_reencode(chain->writer, payload->type, payload->body))
            chain->writer->overflow = true; /* the test sees it at writer_finish() */
        ike_chain_close(chain);
    }
    if (payloads->inner != IKE_PAYLOAD_NONE)
        writer_patch_u8(chain->writer, chain->next_offset, payloads->inner);
}

void message_reencode(Writer *writer, const IkeMessage *message)
{
    IkeChain chain;

    ike_message_begin(writer, &message->header, &chain);
    payloads_reencode(&chain, &message->payloads);
    ike_message_end(&chain);
}

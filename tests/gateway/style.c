/* How messages of the SeGW are written: ways that RFC 7296 allows, and that few gateways go. A
 * style is made of words:
 *   reversed, critical, unknown, reserved, silent, split, offers, label, none, nogroup, eager,
 *   transforms, alone, uneven, nonat, nocertreq, psk, tfc,
 *   spelt, twice
 *                           as in Style
 *   nonce=SIZE, pieces=NUMBER, padding=SIZE */
#include "gateway.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_VERSION = 17, /* octets of the IKE header (RFC 7296 3.1) */
    HEADER_FLAGS = 19,
    HEADER_SIZE = 28,
    RESERVED_FLAGS = 0xc7, /* X of 3.1 */
    HIGHER_VERSION = 0x10, /* V: "I could do more" */
    MINOR_VERSION = 0x0f,
    CRITICAL = 0x80,         /* C of 3.2 */
    RESERVED_PAYLOAD = 0x7f, /* and the bits beside it */
    PAYLOAD_HEADER_SIZE = 4,
    ATTRIBUTE_RESERVED = 0x80, /* R of 3.15.1 */
    UNKNOWN_PAYLOAD = 201,
    UNKNOWN_NOTIFY = 40961,
};

bool style_read(Style *style, const char *word)
{
    struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"reversed", &style->reversed}, {"critical", &style->critical},
        {"unknown", &style->unknown},   {"reserved", &style->reserved},
        {"silent", &style->silent},     {"split", &style->split},
        {"offers", &style->offers},     {"label", &style->label},
        {"none", &style->none},         {"nogroup", &style->nogroup},
        {"eager", &style->eager},       {"transforms", &style->transforms},
        {"alone", &style->alone},       {"uneven", &style->uneven},
        {"nonat", &style->nonat},       {"nocertreq", &style->nocertreq},
        {"psk", &style->psk},           {"tfc", &style->tfc},
        {"spelt", &style->spelt},       {"twice", &style->twice},
    };

    for (size_t i = 0; i < ELEMENTS(flags); i++) {
        if (strcmp(word, flags[i].name) == 0)
            return *flags[i].flag = true;
    }
    if (strncmp(word, "nonce=", 6) == 0) {
        style->nonce = strtoul(word + 6, NULL, 10);
        return style->nonce >= IKE_NONCE_MIN && style->nonce <= IKE_NONCE_MAX;
    }
    if (strncmp(word, "pieces=", 7) == 0) {
        style->pieces = strtoul(word + 7, NULL, 10);
        return style->pieces <= GATEWAY_FRAGMENTS_MAX;
    }
    if (strncmp(word, "padding=", 8) == 0) {
        style->padding = strtoul(word + 8, NULL, 10);
        return style->padding <= UINT8_MAX;
    }
    return false;
}

uint8_t style_flags(const Style *style)
{
    return style->reserved ? RESERVED_FLAGS | HIGHER_VERSION : 0;
}

void style_proposal(const Style *style, IkeProposal *proposal)
{
    if (style->spelt) {
        proposal->transforms[proposal->n_transforms++] =
            (IkeTransform){.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_NONE};
    }
    const IkeProposal before = *proposal;

    for (size_t i = 0; style->reversed && i < before.n_transforms; i++)
        proposal->transforms[i] = before.transforms[before.n_transforms - 1 - i];
}

size_t style_nonce_size(const Style *style)
{
    return style->nonce > 0 ? style->nonce : GATEWAY_NONCE_SIZE;
}

/* ---- reserved fields of payloads; of ID, AUTH covers them, and so responder.c sees to it ---- */

static size_t u16_at(const uint8_t *octets)
{
    return (size_t)octets[0] << 8 | octets[1];
}

/* The second octet of each proposal, the second and the sixth one of each transform (3.3). */
static void fill_sa(uint8_t *body, size_t size)
{
    enum { SPI_SIZE = 6, TRANSFORMS = 7, TRANSFORM = 8 };
    size_t proposal = 0;

    while (proposal < size) {
        uint8_t *octets = body + proposal;
        size_t transform = TRANSFORM + octets[SPI_SIZE];

        octets[1] = UINT8_MAX;
        for (uint8_t i = 0; i < octets[TRANSFORMS]; i++) {
            octets[transform + 1] = octets[transform + 5] = UINT8_MAX;
            transform += u16_at(octets + transform + 2);
        }
        proposal += u16_at(octets + 2);
    }
}

/* The top bit of each attribute (3.15.1). */
static void fill_cp(uint8_t *body, size_t size)
{
    enum { FIRST = 4, ATTRIBUTE_SIZE = 4 };

    for (size_t i = FIRST; i < size; i += ATTRIBUTE_SIZE + u16_at(body + i + 2))
        body[i] |= ATTRIBUTE_RESERVED;
}

static void fill(uint8_t type, uint8_t *body, size_t size)
{
    switch (type) {
    case IKE_PAYLOAD_KE:
        body[2] = body[3] = UINT8_MAX;
        break;
    case IKE_PAYLOAD_CP:
        fill_cp(body, size);
        body[1] = body[2] = body[3] = UINT8_MAX;
        break;
    case IKE_PAYLOAD_AUTH:
    case IKE_PAYLOAD_TSI:
    case IKE_PAYLOAD_TSR:
        body[1] = body[2] = body[3] = UINT8_MAX;
        break;
    case IKE_PAYLOAD_SA:
        fill_sa(body, size);
        break;
    default:
        break;
    }
}

/* ---- payloads ---- */

static void add_unknown(IkeChain *chain)
{
    static const uint8_t octets[] = {1, 2, 3, 4, 5};
    const IkeNotify of_child = {.protocol = IKE_PROTOCOL_ESP,
                                .spi_size = 4,
                                .spi = 0x12345678,
                                .type = UNKNOWN_NOTIFY,
                                .data = BYTES_OF(octets)};
    const IkeNotify of_ike = {.protocol = IKE_PROTOCOL_IKE,
                              .spi_size = 8,
                              .spi = 0x1234567812345678,
                              .type = UNKNOWN_NOTIFY};
    const IkeNotify of_nothing = {.protocol = IKE_PROTOCOL_AH, .type = UNKNOWN_NOTIFY};
    const IkeNotify *const notifies[] = {&of_child, &of_ike, &of_nothing};

    ike_chain_add(chain, UNKNOWN_PAYLOAD, BYTES_OF(octets));
    ike_chain_add(chain, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(octets));
    ike_chain_add_notify(chain, UNKNOWN_NOTIFY, (Bytes){0});
    for (size_t i = 0; i < ELEMENTS(notifies); i++) {
        ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
        ike_notify_encode(chain->writer, notifies[i]);
        ike_chain_close(chain);
    }
}

static void add(const Style *style, const IkePayload *payload, IkeChain *chain)
{
    Writer *writer = chain->writer;

    if (style->unknown)
        add_unknown(chain);
    const size_t start = writer->size;
    ike_chain_add(chain, payload->type, payload->body);
    if (start + PAYLOAD_HEADER_SIZE + payload->body.size > writer->size)
        return; /* there was no room */
    if (style->reserved)
        fill(payload->type, writer->data + start + PAYLOAD_HEADER_SIZE, payload->body.size);
    writer_patch_u8(
        writer, start + 1,
        (uint8_t)((style->critical ? CRITICAL : 0) | (style->reserved ? RESERVED_PAYLOAD : 0)));
}

static void add_certificates(const Style *style, const IkePayloads *payloads, IkeChain *chain)
{
    const IkePayload *payload;
    size_t position = 0;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_CERT, &position)))
        add(style, payload, chain);
}

void style_write(const Style *style, uint8_t first, Bytes payloads, IkeChain *chain)
{
    bool certificates = false;
    IkePayloads decoded;

    if (ike_payloads_decode(first, payloads, &decoded, NULL) != 0 || decoded.n_skipped > 0) {
        /* What nobody can read, or keep, has a style already. */
        chain->first = first;
        writer_bytes(chain->writer, payloads);
        return;
    }
    for (size_t i = 0; i < decoded.count; i++) {
        const IkePayload *payload = &decoded.items[style->reversed ? decoded.count - 1 - i : i];

        if (!style->reversed || payload->type != IKE_PAYLOAD_CERT) {
            add(style, payload, chain);
        } else if (!certificates) {
            certificates = true;
            add_certificates(style, &decoded, chain);
        }
    }
}

void style_message(Gateway *gateway, Writer *message)
{
    const Style *style = &gateway->style;
    IkeHeader header;
    IkeChain chain;
    Bytes octets;
    Writer writer;

    if (writer_finish(message, &octets) < 0 || ike_header_decode(octets, &header) != 0)
        return;
    writer_init(&writer, gateway->styled, sizeof(gateway->styled));
    ike_message_begin(&writer, &header, &chain);
    style_write(style, header.next_payload,
                bytes_slice(octets, HEADER_SIZE, octets.size - HEADER_SIZE), &chain);
    ike_message_end(&chain);
    if (style->reserved) {
        writer.data[HEADER_VERSION] |= MINOR_VERSION;
        writer.data[HEADER_FLAGS] |= style_flags(style);
    }
    if (writer_finish(&writer, &octets) < 0)
        return;
    writer_init(message, gateway->sealed, sizeof(gateway->sealed));
    writer_bytes(message, octets);
}

/* IKE SAs: what is sealed, message IDs, what is sent again, and who answers what. */
#include "gateway.h"

#include "crypto/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void octets_free(Octets *octets)
{
    free(octets->data);
    *octets = (Octets){0};
}

void octets_set(Octets *octets, Bytes bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);

    if (!copy)
        abort();
    memcpy(copy, bytes.data, bytes.size);
    octets_free(octets);
    *octets = (Octets){copy, bytes.size};
}

/* ---- the list ---- */

void gateway_drop_sa(GatewaySa *sa)
{
    seal_free(sa->in);
    seal_free(sa->out);
    ike_keys_deinit(&sa->keys);
    dh_free(sa->own.dh);
    octets_free(&sa->response);
    octets_free(&sa->request);
    octets_free(&sa->asked);
    *sa = (GatewaySa){0};
}

/* Who inherits its Child SAs: what was made of it, or what else was made where it was redundant
 * (RFC 7296 2.8.2); 0: nobody. */
static unsigned heir_of(const Gateway *gateway, const GatewaySa *sa)
{
    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        const GatewaySa *other = &gateway->sas[i];

        if (other->number != 0 && other != sa && other->made_of != 0 &&
            (other->made_of == sa->number || other->made_of == sa->made_of))
            return other->number;
    }
    return 0;
}

/* It was deleted. */
static void end_sa(Gateway *gateway, GatewaySa *sa)
{
    child_inherit(gateway, sa->number, heir_of(gateway, sa));
    gateway_drop_sa(sa);
}

static GatewaySa *oldest(Gateway *gateway)
{
    GatewaySa *found = &gateway->sas[0];

    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        if (gateway->sas[i].number < found->number) /* a free place before all */
            found = &gateway->sas[i];
    }
    return found;
}

GatewaySa *gateway_add_sa(Gateway *gateway, bool initiator, uint64_t spi_i, uint64_t spi_r,
                          uint16_t key_length, IkeKeys *keys, uint32_t next_peer)
{
    const Cipher *cipher = cipher_find(IKE_ENCR_AES_GCM_16, key_length);
    GatewaySa *sa = oldest(gateway);

    gateway_drop_sa(sa);
    *sa = (GatewaySa){.number = ++gateway->last_number,
                      .initiator = initiator,
                      .spi_i = spi_i,
                      .spi_r = spi_r,
                      .wire = gateway->wire,
                      .keys = *keys,
                      .next_peer = next_peer};
    *keys = (IkeKeys){0};
    if (seal_new(cipher, NULL, initiator ? sa->keys.sk_er : sa->keys.sk_ei, NULL, &sa->in) < 0 ||
        seal_new(cipher, NULL, initiator ? sa->keys.sk_ei : sa->keys.sk_er, NULL, &sa->out) < 0) {
        gateway_drop_sa(sa);
        return NULL;
    }
    return sa;
}

GatewaySa *gateway_find_sa(Gateway *gateway, unsigned number)
{
    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        if (gateway->sas[i].number == number && number != 0)
            return &gateway->sas[i];
    }
    return NULL;
}

static GatewaySa *sa_of_message(Gateway *gateway, const IkeHeader *header)
{
    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        GatewaySa *sa = &gateway->sas[i];

        if (sa->number != 0 && sa->spi_i == header->spi_i && sa->spi_r == header->spi_r)
            return sa;
    }
    return NULL;
}

void gateway_free(Gateway *gateway)
{
    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++)
        gateway_drop_sa(&gateway->sas[i]);
    for (size_t i = 0; i < gateway->n_held; i++)
        octets_free(&gateway->held[i]);
    while (gateway->n_children > 0)
        child_forget(gateway, gateway->children[0].spi_in);
}

/* ---- messages of ours ---- */

/* One datagram more, after its size. */
static void octets_append(Octets *octets, Bytes datagram)
{
    enum { SIZE_SIZE = 2 };
    uint8_t *grown = realloc(octets->data, octets->size + SIZE_SIZE + datagram.size);

    if (!grown)
        abort();
    octets->data = grown;
    grown[octets->size] = (uint8_t)(datagram.size >> 8);
    grown[octets->size + 1] = (uint8_t)datagram.size;
    memcpy(grown + octets->size + SIZE_SIZE, datagram.data, datagram.size);
    octets->size += SIZE_SIZE + datagram.size;
}

/* Of `total`, which may be uneven: of one octet, two, …, the rest, and none. */
static Bytes piece_of(const Style *style, Bytes plain, size_t number, size_t total)
{
    size_t size = plain.size / total, start = (number - 1) * size;
    const bool last = number + style->uneven >= total; /* that has octets */

    if (style->uneven) {
        size = number;
        start = number * (number - 1) / 2;
    }
    if (number == total && style->uneven && total > 1)
        return (Bytes){plain.data, 0};
    return bytes_slice(plain, start, last ? plain.size - start : size);
}

/* Whole, or fragment `number` of `total`, where that is not 1, or the style is so. */
static int seal_piece(Gateway *gateway, const GatewaySa *sa, const IkeHeader *header, uint8_t first,
                      Bytes plain, size_t number, size_t total, Octets *ret)
{
    const Style *style = &gateway->style;
    const IkeFragment fragment = {.number = (uint16_t)number, .total = (uint16_t)total};
    const IkeFragment *of = total > 1 || style->alone ? &fragment : NULL;
    const Secret *key = sa->initiator ? sa->keys.sk_ei : sa->keys.sk_er;
    const Bytes piece = piece_of(style, plain, number, total);
    const uint8_t next = number == 1 ? first : IKE_PAYLOAD_NONE;
    Bytes message;
    Writer writer;

    writer_init(&writer, gateway->sealed, sizeof(gateway->sealed));
    int r = style->padding > 0 ? seal_padded(key, header, next, of, piece, style->padding, &writer)
                               : seal_message(sa->out, header, next, of, piece, &writer);
    if (r == 0)
        r = writer_finish(&writer, &message);
    if (r == 0)
        octets_append(ret, message);
    return r;
}

static int seal_own(Gateway *gateway, const GatewaySa *sa, const IkeHeader *header,
                    const IkeChain *chain, Octets *ret)
{
    const size_t pieces = gateway->style.pieces;
    size_t total;
    IkeChain styled;
    Bytes plain;
    Writer writer;

    int r = writer_finish(chain->writer, &plain);
    if (r < 0)
        return r;
    writer_init(&writer, gateway->styled, sizeof(gateway->styled));
    ike_chain_init(&styled, &writer);
    style_write(&gateway->style, chain->first, plain, &styled);
    r = writer_finish(&writer, &plain);
    octets_free(ret);
    total = pieces > 1 && plain.size > pieces ? pieces : 1;
    for (size_t number = 1; r == 0 && number <= total; number++)
        r = seal_piece(gateway, sa, header, styled.first, plain, number, total, ret);
    return r;
}

static IkeHeader header_of(const Gateway *gateway, const GatewaySa *sa, uint8_t exchange_type,
                           uint32_t id, uint8_t flags)
{
    const uint8_t role = sa->initiator ? IKE_FLAG_INITIATOR : 0;

    return (IkeHeader){.spi_i = sa->spi_i,
                       .spi_r = sa->spi_r,
                       .exchange_type = exchange_type,
                       .flags = flags | role | style_flags(&gateway->style),
                       .message_id = id};
}

/* The last `count` of its datagrams, the last one first; returns how many there are, and the first
 * of all in *ret_first. */
static size_t send_last(const GatewaySa *sa, const Octets *octets, size_t count, Bytes *ret_first)
{
    Bytes datagrams[GATEWAY_FRAGMENTS_MAX];
    size_t n = 0;
    uint16_t size = 0;
    Reader reader;

    reader_init(&reader, (Bytes){octets->data, octets->size});
    while (n < GATEWAY_FRAGMENTS_MAX && reader_u16(&reader, &size) == 0 &&
           reader_take(&reader, size, &datagrams[n]) == 0)
        n++;
    for (size_t i = n; i > 0 && n - i < count; i--)
        wire_send(&sa->wire, datagrams[i - 1], true);
    *ret_first = datagrams[0];
    return n;
}

void gateway_send(const GatewaySa *sa, const Octets *octets)
{
    Bytes first = {0};

    if (send_last(sa, octets, GATEWAY_FRAGMENTS_MAX, &first) > 1)
        wire_send(&sa->wire, first, true);
}

void gateway_cut(Gateway *gateway, GatewaySa *sa, size_t pieces, size_t count)
{
    const IkeHeader header = header_of(gateway, sa, sa->asked_type, sa->next_own - 1, 0);
    const size_t before = gateway->style.pieces;
    IkeChain chain = {.first = sa->asked_first};
    Octets sealed = {0};
    Bytes first;
    Writer writer;

    writer_init(&writer, sa->asked.data, sa->asked.size);
    writer.size = sa->asked.size;
    chain.writer = &writer;
    gateway->style.pieces = pieces;
    gateway->keeps = false;
    if (seal_own(gateway, sa, &header, &chain, &sealed) == 0)
        (void)send_last(sa, &sealed, count, &first);
    gateway->style.pieces = before;
    octets_free(&sealed);
}

void gateway_request(Gateway *gateway, GatewaySa *sa, uint8_t exchange_type, const IkeChain *chain)
{
    const IkeHeader header = header_of(gateway, sa, exchange_type, sa->next_own, 0);

    octets_set(&sa->asked, (Bytes){chain->writer->data, chain->writer->size});
    sa->asked_first = chain->first;
    sa->asked_type = exchange_type;
    if (seal_own(gateway, sa, &header, chain, &sa->request) < 0)
        return;
    sa->next_own++;
    sa->asking = true;
    if (!gateway->keeps)
        gateway_send(sa, &sa->request);
}

/* ---- messages of the peer's ---- */

static void take_deletes(Gateway *gateway, const IkePayloads *request, IkeChain *chain,
                         bool *ret_ike)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeDelete delete_;

    while ((payload = ike_payloads_next(request, IKE_PAYLOAD_DELETE, &position))) {
        if (ike_delete_decode(payload->body, &delete_) != 0)
            continue;
        if (delete_.protocol == IKE_PROTOCOL_IKE) {
            *ret_ike = true;
        } else {
            child_answer_delete(gateway, &delete_, chain);
        }
    }
}

/* Is it there? Our first request (RFC 7296 2.3 lets us ask as soon as we answer). */
static void ask_at_once(Gateway *gateway, GatewaySa *sa)
{
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    gateway_request(gateway, sa, IKE_INFORMATIONAL, &chain);
}

static void answer(Gateway *gateway, GatewaySa *sa, const IkeHeader *request_header,
                   const IkePayloads *request)
{
    const uint8_t exchange_type = request_header->exchange_type;
    const IkeHeader header =
        header_of(gateway, sa, exchange_type, request_header->message_id, IKE_FLAG_RESPONSE);
    bool deleted = false;
    IkePayloads shown;
    IkeChain chain;
    Writer inner;
    int r = 0;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    if (exchange_type == IKE_AUTH) {
        r = gateway->handshake.auth(gateway->handshake.userdata, sa, request, &chain);
    } else if (exchange_type == IKE_CREATE_CHILD_SA) {
        r = create_answer(gateway, sa, request, &chain);
    } else {
        say_notifies(request);
        take_deletes(gateway, request, &chain, &deleted);
        if (gateway->objection != 0)
            ike_chain_add_notify(&chain, gateway->objection, (Bytes){0});
        gateway->objection = 0;
    }
    if (exchange_type != IKE_AUTH) {
        payloads_add(&gateway->extras, &chain);
        gateway->extras.count = 0;
    }
    if (r < 0 || seal_own(gateway, sa, &header, &chain, &sa->response) < 0)
        return;
    sa->next_peer++;
    if (exchange_type != IKE_AUTH &&
        ike_payloads_decode(chain.first, (Bytes){gateway->inner, inner.size}, &shown, NULL) == 0)
        say_message("answered", sa, header.message_id, exchange_type, &shown);
    if (exchange_type == IKE_AUTH && gateway->style.eager)
        ask_at_once(gateway, sa);
    for (int i = 0; i <= gateway->style.twice; i++)
        gateway_send(sa, &sa->response);
    if (deleted)
        end_sa(gateway, sa);
}

static bool is_held(const Gateway *gateway, Bytes datagram)
{
    for (size_t i = 0; i < gateway->n_held; i++) {
        if (bytes_equal((Bytes){gateway->held[i].data, gateway->held[i].size}, datagram))
            return true;
    }
    return false;
}

static void take_request(Gateway *gateway, GatewaySa *sa, Bytes datagram, const IkeHeader *header,
                         const IkePayloads *request)
{
    const uint32_t id = header->message_id;

    if (id + 1 == sa->next_peer || is_held(gateway, datagram)) {
        say_message("again", sa, id, header->exchange_type, NULL);
        if (id + 1 == sa->next_peer)
            gateway_send(sa, &sa->response);
        return;
    }
    if (id != sa->next_peer) {
        say_message("beyond", sa, id, header->exchange_type, request);
        return;
    }
    say_message("request", sa, id, header->exchange_type, request);
    if (!gateway->holds) {
        answer(gateway, sa, header, request);
    } else if (gateway->n_held < GATEWAY_HELD_MAX) {
        octets_set(&gateway->held[gateway->n_held++], datagram);
    }
}

static void take_response(Gateway *gateway, GatewaySa *sa, const IkeHeader *header,
                          const IkePayloads *response)
{
    say_message("response", sa, header->message_id, header->exchange_type, response);
    if (!sa->asking || header->message_id + 1 != sa->next_own)
        return;
    sa->asking = false;
    if (header->exchange_type == IKE_CREATE_CHILD_SA) {
        create_take(gateway, sa, response);
    } else if (sa->leaving) {
        end_sa(gateway, sa);
    } else {
        child_deleted(gateway);
    }
}

/* The payloads borrow from gateway->plain. */
static int sa_open(Gateway *gateway, const GatewaySa *sa, Bytes datagram, const IkeMessage *message,
                   IkePayloads *ret)
{
    size_t size = 0;

    int r = seal_open(sa->in, datagram, message, gateway->plain, &size);
    if (r < 0)
        return r;
    return ike_payloads_decode(message->payloads.inner, (Bytes){gateway->plain, size}, ret, NULL)
               ? -EBADMSG
               : 0;
}

static void answer_init(Gateway *gateway, const IkeMessage *message)
{
    Bytes response;
    Writer writer;

    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        if (!gateway->sas[i].authenticated)
            gateway_drop_sa(&gateway->sas[i]);
    }
    say_init(&message->payloads);
    writer_init(&writer, gateway->sealed, sizeof(gateway->sealed));
    if (gateway->handshake.init(gateway->handshake.userdata, message, &writer) == 0 &&
        writer_finish(&writer, &response) == 0) {
        for (int i = 0; i <= gateway->style.twice; i++)
            wire_send(&gateway->wire, response, true);
    }
}

void gateway_receive(Gateway *gateway, const Wire *wire, Bytes datagram)
{
    IkePayloads payloads;
    IkeMessage message;
    GatewaySa *sa;

    if (ike_message_decode(datagram, &message, NULL) != 0)
        return;
    gateway->wire = *wire;
    if (message.header.exchange_type == IKE_SA_INIT) {
        if (!(message.header.flags & IKE_FLAG_RESPONSE))
            answer_init(gateway, &message);
        return;
    }
    sa = sa_of_message(gateway, &message.header);
    if (!sa || sa_open(gateway, sa, datagram, &message, &payloads) < 0)
        return;
    sa->wire = *wire;
    if (message.header.flags & IKE_FLAG_RESPONSE) {
        take_response(gateway, sa, &message.header, &payloads);
    } else {
        take_request(gateway, sa, datagram, &message.header, &payloads);
    }
}

void gateway_release(Gateway *gateway)
{
    Octets held[GATEWAY_HELD_MAX];
    const size_t n = gateway->n_held;
    IkePayloads payloads;
    IkeMessage message;

    memcpy(held, gateway->held, sizeof(held));
    memset(gateway->held, 0, sizeof(gateway->held));
    gateway->n_held = 0;
    gateway->holds = false;
    for (size_t i = 0; i < n; i++) {
        const Bytes datagram = {held[i].data, held[i].size};
        GatewaySa *sa = NULL;

        if (ike_message_decode(datagram, &message, NULL) == 0)
            sa = sa_of_message(gateway, &message.header);
        if (sa && sa_open(gateway, sa, datagram, &message, &payloads) == 0)
            answer(gateway, sa, &message.header, &payloads);
        octets_free(&held[i]);
    }
}

/* Sealed messages of one IKE SA: which may go out and come in, in which order, and in how many
 * pieces (RFC 7296 2.2, RFC 7383 2.6). */
#include "tred/protection.h"

#include "base/cleanup.h"
#include "ikewire/message.h"

#include <errno.h>
#include <string.h>

enum { FRAGMENT_HEADER_SIZE = 4 }; /* RFC 7383 2.5: Fragment Number, Total Fragments */

/* One direction of requests with its responses: a window of 1 (RFC 7296 2.3). */
typedef struct Window {
    uint32_t next;         /* message ID of the next request */
    bool pending;          /* request `next` - 1 has no response yet */
    uint8_t exchange_type; /* of that request */
} Window;

struct Protection {
    ProtectionTerms terms;
    Seal *seal_out, *seal_in;
    Window ours, peers;
    /* What we are waiting for: the response to ours, the peer's next request. A window lets one
     * message in at a time, so that there is never more than one to put together. */
    Reassembly response, request;
};

int protection_new(const IkeSuite *suite, const IkeKeys *keys, const ProtectionTerms *terms,
                   Protection **ret)
{
    _cleanup_(protection_freep) Protection *protection = calloc(1, sizeof(*protection));
    Seal **initiators, **responders; /* who seals with SK_ei, and with SK_er */
    int r;

    if (!protection)
        return -ENOMEM;
    protection->terms = *terms;
    protection->ours.next = terms->first_request;
    initiators = terms->initiator ? &protection->seal_out : &protection->seal_in;
    responders = terms->initiator ? &protection->seal_in : &protection->seal_out;
    r = seal_new(suite->cipher, suite->integ, keys->sk_ei, keys->sk_ai, initiators);
    if (r < 0)
        return r;
    r = seal_new(suite->cipher, suite->integ, keys->sk_er, keys->sk_ar, responders);
    if (r < 0)
        return r;
    *ret = steal_pointer(protection);
    return 0;
}

void protection_free(Protection *protection)
{
    if (!protection)
        return;
    reassembly_deinit(&protection->response);
    reassembly_deinit(&protection->request);
    seal_free(protection->seal_out);
    seal_free(protection->seal_in);
    free(protection);
}

bool protection_fragments(const Protection *protection)
{
    return protection->terms.fragmentation;
}

void sealed_message_deinit(SealedMessage *message)
{
    for (size_t i = 0; i < message->count; i++)
        free(message->datagrams[i].data);
    *message = (SealedMessage){0};
}

void opened_message_deinit(OpenedMessage *message)
{
    free(message->plain);
    *message = (OpenedMessage){0};
}

static size_t datagram_size(const Seal *seal, size_t plain_size, bool fragment)
{
    size_t size = IKE_HEADER_SIZE + IKE_PAYLOAD_HEADER_SIZE + seal_size(seal, plain_size);

    return fragment ? size + FRAGMENT_HEADER_SIZE : size;
}

/* Seals one datagram and appends it to `message`. */
static int datagram_seal(Protection *protection, const IkeHeader *header, uint8_t first,
                         const IkeFragment *fragment, Bytes plain, SealedMessage *message)
{
    size_t size = datagram_size(protection->seal_out, plain.size, fragment);
    uint8_t *data = malloc(size);
    Writer writer;
    int r;

    if (!data)
        return -ENOMEM;
    writer_init(&writer, data, size);
    r = seal_message(protection->seal_out, header, first, fragment, plain, &writer);
    if (r < 0) {
        free(data);
        return r;
    }
    message->datagrams[message->count].data = data;
    message->datagrams[message->count].size = writer.size;
    message->count++;
    return 0;
}

/* Cuts `plain` so that each datagram has at most `max_datagram` octets. */
static int fragments_seal(Protection *protection, const IkeHeader *header, uint8_t first,
                          Bytes plain, size_t max_datagram, SealedMessage *message)
{
    const size_t headers = IKE_HEADER_SIZE + IKE_PAYLOAD_HEADER_SIZE + FRAGMENT_HEADER_SIZE;
    size_t piece =
        max_datagram > headers ? seal_capacity(protection->seal_out, max_datagram - headers) : 0;
    size_t total;

    if (piece == 0)
        return PROTECTION_E_TOO_LARGE;
    total = plain.size / piece + (plain.size % piece != 0 ? 1 : 0);
    if (total > PROTECTION_DATAGRAMS_MAX)
        return PROTECTION_E_TOO_LARGE;
    for (size_t i = 0; i < total; i++) {
        const IkeFragment fragment = {.number = (uint16_t)(i + 1), .total = (uint16_t)total};
        int r = datagram_seal(protection, header, first, &fragment,
                              bytes_slice(plain, i * piece, piece), message);

        if (r < 0)
            return r;
    }
    return 0;
}

static int message_seal(Protection *protection, const IkeHeader *header, uint8_t first, Bytes plain,
                        size_t max_datagram, SealedMessage *ret)
{
    _cleanup_(sealed_message_deinit) SealedMessage message = {.message_id = header->message_id};
    size_t size = datagram_size(protection->seal_out, plain.size, false);
    int r;

    if (size > IKE_MESSAGE_MAX)
        return PROTECTION_E_TOO_LARGE;
    if (protection->terms.fragmentation && size > max_datagram && plain.size > 0) {
        r = fragments_seal(protection, header, first, plain, max_datagram, &message);
    } else {
        r = datagram_seal(protection, header, first, NULL, plain, &message);
    }
    if (r != 0)
        return r;
    *ret = message;
    message = (SealedMessage){0};
    return 0;
}

int protection_seal(Protection *protection, uint8_t exchange_type, bool response, uint8_t first,
                    Bytes plain, size_t max_datagram, SealedMessage *ret)
{
    Window *window = response ? &protection->peers : &protection->ours;
    const IkeHeader header = {
        .spi_i = protection->terms.spi_i,
        .spi_r = protection->terms.spi_r,
        .exchange_type = exchange_type,
        .flags = (uint8_t)((protection->terms.initiator ? IKE_FLAG_INITIATOR : 0) |
                           (response ? IKE_FLAG_RESPONSE : 0)),
        .message_id = response ? window->next - 1 : window->next,
    };
    int r;

    if (response && (!window->pending || window->exchange_type != exchange_type))
        return PROTECTION_E_NO_REQUEST;
    if (!response && window->pending)
        return PROTECTION_E_BUSY;
    /* RFC 7296 2.2: message IDs must not wrap; the SA has to be closed before that. */
    if (!response && window->next == UINT32_MAX)
        return -EOVERFLOW;
    r = message_seal(protection, &header, first, plain, max_datagram, ret);
    if (r != 0)
        return r;
    window->pending = !response;
    if (!response) {
        window->next++;
        window->exchange_type = exchange_type;
    }
    return 0;
}

/* Whether the message is the one that is due: the response to our request, or the peer's next
 * request. */
static int message_check(const Protection *protection, const IkeHeader *header)
{
    const Window *ours = &protection->ours, *peers = &protection->peers;

    /* RFC 7296 2.2: the original initiator's messages have the flag I, the other's have not. */
    if (header->spi_i != protection->terms.spi_i || header->spi_r != protection->terms.spi_r ||
        !(header->flags & IKE_FLAG_INITIATOR) != protection->terms.initiator)
        return PROTECTION_E_FOREIGN;
    if (header->flags & IKE_FLAG_RESPONSE) {
        if (!ours->pending || header->message_id != ours->next - 1)
            return PROTECTION_E_REPLAY;
        return header->exchange_type == ours->exchange_type ? 0 : PROTECTION_E_FOREIGN;
    }
    if (peers->pending || header->message_id != peers->next)
        return PROTECTION_E_REPLAY;
    return header->message_id == UINT32_MAX ? PROTECTION_E_REPLAY : 0;
}

/* The message is whole and authentic: the window moves past it. */
static void window_advance(Protection *protection, const IkeHeader *header)
{
    if (header->flags & IKE_FLAG_RESPONSE) {
        protection->ours.pending = false;
        reassembly_deinit(&protection->response);
        return;
    }
    protection->peers.pending = true;
    protection->peers.next++;
    protection->peers.exchange_type = header->exchange_type;
    reassembly_deinit(&protection->request);
}

void protection_put_back(Protection *protection, const OpenedMessage *opened)
{
    if (opened->response) {
        protection->ours.pending = true;
        return;
    }
    protection->peers.pending = false;
    protection->peers.next--;
}

static int datagram_open(Protection *protection, Bytes datagram, const IkeMessage *message,
                         uint8_t **ret, size_t *ret_size)
{
    uint8_t *plain = malloc(datagram.size);
    int r;

    if (!plain)
        return -ENOMEM;
    r = seal_open(protection->seal_in, datagram, message, plain, ret_size);
    if (r < 0) {
        free(plain);
        return r == -EBADMSG ? PROTECTION_E_NOT_AUTHENTIC : r;
    }
    *ret = plain;
    return 0;
}

/* Takes a fragment in (RFC 7383 2.6). 0 if it made the message whole, which is then in *ret. */
static int fragment_open(Protection *protection, Bytes datagram, const IkeMessage *message,
                         OpenedMessage *ret)
{
    const IkePayloads *payloads = &message->payloads;
    bool response = message->header.flags & IKE_FLAG_RESPONSE;
    Reassembly *reassembly = response ? &protection->response : &protection->request;
    _cleanup_(free_bytesp) uint8_t *piece = NULL;
    size_t piece_size;
    IkeFragment fragment;
    int r;

    if (!protection->terms.fragmentation ||
        ike_fragment_decode(payloads->items[payloads->count - 1].body, &fragment) != 0)
        return PROTECTION_E_MALFORMED;
    r = reassembly_check(reassembly, fragment.number, fragment.total);
    if (r != 0)
        return r == REASSEMBLY_E_TOO_LARGE ? PROTECTION_E_TOO_LARGE : PROTECTION_E_REPLAY;
    r = datagram_open(protection, datagram, message, &piece, &piece_size);
    if (r != 0)
        return r;
    r = reassembly_add(reassembly, fragment.number, fragment.total, payloads->inner,
                       (Bytes){piece, piece_size});
    if (r > 0)
        return r == REASSEMBLY_E_MORE ? PROTECTION_E_FRAGMENT : PROTECTION_E_TOO_LARGE;
    if (r < 0)
        return r;
    ret->first = reassembly->first;
    r = reassembly_join(reassembly, &ret->plain, &ret->plain_size);
    if (r < 0) /* else none of it would be wanted when it comes again */
        reassembly_deinit(reassembly);
    return r;
}

int protection_open(Protection *protection, Bytes datagram, OpenedMessage *ret)
{
    OpenedMessage opened = {0};
    IkeMessage message;
    const IkePayloads *payloads = &message.payloads;
    uint8_t last;
    int r;

    if (datagram.size > IKE_MESSAGE_MAX)
        return PROTECTION_E_TOO_LARGE;
    if (ike_message_decode(datagram, &message, NULL) != 0 || payloads->count == 0)
        return PROTECTION_E_MALFORMED;
    r = message_check(protection, &message.header);
    if (r != 0)
        return r;
    last = payloads->items[payloads->count - 1].type;
    if (last == IKE_PAYLOAD_SK) {
        opened.first = payloads->inner;
        r = datagram_open(protection, datagram, &message, &opened.plain, &opened.plain_size);
    } else if (last == IKE_PAYLOAD_SKF) {
        r = fragment_open(protection, datagram, &message, &opened);
    } else {
        r = PROTECTION_E_MALFORMED;
    }
    if (r != 0)
        return r;
    opened.exchange_type = message.header.exchange_type;
    opened.response = message.header.flags & IKE_FLAG_RESPONSE;
    opened.message_id = message.header.message_id;
    window_advance(protection, &message.header);
    *ret = opened;
    return 0;
}

/* ---- fragments of one message ---- */

void reassembly_deinit(Reassembly *reassembly)
{
    for (size_t i = 0; i < REASSEMBLY_FRAGMENTS_MAX; i++)
        free(reassembly->pieces[i].data);
    *reassembly = (Reassembly){0};
}

int reassembly_check(const Reassembly *reassembly, uint16_t number, uint16_t total)
{
    if (total > REASSEMBLY_FRAGMENTS_MAX)
        return REASSEMBLY_E_TOO_LARGE;
    if (number == 0 || number > total || total < reassembly->total)
        return REASSEMBLY_E_UNWANTED;
    if (total == reassembly->total && reassembly->pieces[number - 1].present)
        return REASSEMBLY_E_UNWANTED;
    return 0;
}

int reassembly_add(Reassembly *reassembly, uint16_t number, uint16_t total, uint8_t first,
                   Bytes plain)
{
    uint8_t *copy;

    if (total > reassembly->total)
        reassembly_deinit(reassembly);
    if (plain.size > IKE_MESSAGE_MAX - reassembly->size) {
        reassembly_deinit(reassembly);
        return REASSEMBLY_E_TOO_LARGE;
    }
    copy = malloc(plain.size + 1); /* never of size 0 */
    if (!copy)
        return -ENOMEM;
    bytes_copy(copy, plain);
    reassembly->pieces[number - 1].present = true;
    reassembly->pieces[number - 1].data = copy;
    reassembly->pieces[number - 1].size = plain.size;
    reassembly->size += plain.size;
    reassembly->total = total;
    reassembly->received++;
    if (number == 1)
        reassembly->first = first;
    return reassembly->received == total ? 0 : REASSEMBLY_E_MORE;
}

int reassembly_join(const Reassembly *reassembly, uint8_t **ret, size_t *ret_size)
{
    uint8_t *plain = malloc(reassembly->size + 1); /* never of size 0 */
    Writer writer;

    if (!plain)
        return -ENOMEM;
    writer_init(&writer, plain, reassembly->size);
    for (size_t i = 0; i < reassembly->total; i++)
        writer_bytes(&writer, (Bytes){reassembly->pieces[i].data, reassembly->pieces[i].size});
    *ret = plain;
    *ret_size = reassembly->size;
    return 0;
}

/* Protect and Unprotect: the messages that may be sealed and opened in each state. tred is no
 * oracle for anything else. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Each exchange type that is none of RFC 7296 3.1; by itself a reserved one. */
enum { ANY_OTHER = 0 };

typedef struct MessageRule {
    ExchangeState state;
    uint8_t exchange_type;
    bool seal_request, seal_response;
    bool open_request, open_response;
} MessageRule;

/* Before the peer is verified only IKE_AUTH passes, from us to it and back; a request of the peer's
 * waits, unopened, for its retransmission. A peer that was refused is told so by INFORMATIONAL (RFC
 * 7296 2.21.2). On an IKE SA that was replaced the peer's CREATE_CHILD_SA gets an error (2.25.2),
 * and so does, once the peer is verified, each request of an exchange that nobody knows: one that
 * stays unanswered ends the IKE SA for the peer (2.1).
 */
static const MessageRule message_rules[] = {
    /* state             exchange             seal: request, response   open: request, response */
    {EXCHANGE_SIGNED, IKE_AUTH, true, false, false, true},
    {EXCHANGE_VERIFIED, IKE_CREATE_CHILD_SA, true, true, true, true},
    {EXCHANGE_VERIFIED, IKE_INFORMATIONAL, true, true, true, true},
    {EXCHANGE_VERIFIED, ANY_OTHER, false, true, true, false},
    {EXCHANGE_REFUSED, IKE_INFORMATIONAL, true, false, false, true},
    {EXCHANGE_REPLACED, IKE_CREATE_CHILD_SA, false, true, true, true},
    {EXCHANGE_REPLACED, IKE_INFORMATIONAL, true, true, true, true},
    {EXCHANGE_REPLACED, ANY_OTHER, false, true, true, false},
};

static bool is_initial(uint8_t exchange_type)
{
    return exchange_type == IKE_SA_INIT || exchange_type == IKE_AUTH;
}

static const MessageRule *rule_find(ExchangeState state, uint8_t exchange_type)
{
    const MessageRule *other = NULL;

    for (size_t i = 0; i < ELEMENTS(message_rules); i++) {
        const MessageRule *rule = &message_rules[i];

        if (rule->state != state)
            continue;
        if (rule->exchange_type == exchange_type)
            return rule;
        if (rule->exchange_type == ANY_OTHER && !is_initial(exchange_type))
            other = rule;
    }
    return other;
}

static int unexpected(const Exchange *exchange, uint8_t exchange_type, bool response,
                      Reason *reason)
{
    return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                      "%s %s (exchange type %u) has no place in state \"%s\"",
                      ike_exchange_name(exchange_type), response ? "response" : "request",
                      exchange_type, exchange_state_name(exchange->state));
}

static int protection_refuse(int error, Reason *reason)
{
    switch (error) {
    case PROTECTION_E_FOREIGN:
        return reason_set(
            reason, EXCHANGE_E_UNEXPECTED,
            "The datagram has other SPIs or flags than this IKE SA's peer uses. Ignore it");
    case PROTECTION_E_NOT_AUTHENTIC:
        return reason_set(reason, EXCHANGE_E_NOT_AUTHENTIC,
                          "The datagram's integrity check failed. Ignore it and wait for another");
    case PROTECTION_E_REPLAY:
        return reason_set(reason, EXCHANGE_E_REPLAYED,
                          "The message ID was seen before or is not due yet (RFC 7296 2.2). "
                          "Ignore the datagram, or "
                          "repeat the response if it is the last request again");
    case PROTECTION_E_BUSY:
        return reason_set(reason, EXCHANGE_E_REQUEST_PENDING,
                          "The last request has not been answered yet (window of 1, RFC 7296 2.3)");
    case PROTECTION_E_NO_REQUEST:
        return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                          "The peer has no request open that this could answer");
    case PROTECTION_E_TOO_LARGE:
        return reason_set(reason, EXCHANGE_E_TOO_LARGE,
                          "The message is larger than %d octets or has too many fragments",
                          IKE_MESSAGE_MAX);
    default:
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The message, or what was sealed in it, does not parse");
    }
}

/* True if there is one payload of `type`, and it has that body. */
static bool body_is(const IkePayloads *payloads, uint8_t type, Bytes expected)
{
    size_t position = 0;
    const IkePayload *payload = ike_payloads_next(payloads, type, &position);

    return payload && bytes_equal(payload->body, expected) &&
           !ike_payloads_next(payloads, type, &position);
}

/* An IKE_AUTH request speaks for this device, so its IDi and AUTH must be those that SignAuth made.
 * There is one, and one response: without EAP IKE_AUTH has no more (RFC 7296 1.2), and what is
 * believed of the peer is read from that pair. */
static int own_auth_check(const Exchange *exchange, const IkePayloads *payloads, Reason *reason)
{
    uint8_t auth_body[4 + AUTH_DATA_MAX];
    IkeAuth auth = {
        .method = exchange->auth_method,
        .data = {exchange->auth_data, exchange->auth_data_size},
    };
    Writer writer;
    Bytes expected;

    if (exchange->auth.response.there) {
        return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                          "The IKE_AUTH request was answered. Call VerifyPeer, or begin "
                          "another exchange");
    }
    writer_init(&writer, auth_body, sizeof(auth_body));
    ike_auth_encode(&writer, &auth);
    if (writer_finish(&writer, &expected) < 0)
        return -EIO;
    if (!body_is(payloads, IKE_PAYLOAD_AUTH, expected) ||
        !body_is(payloads, IKE_PAYLOAD_IDI, (Bytes){exchange->id_body, exchange->id_body_size})) {
        return reason_set(
            reason, EXCHANGE_E_UNEXPECTED,
            "The IKE_AUTH request does not have one IDi and one AUTH, as SignAuth returned them");
    }
    return 0;
}

/* To what nobody knows: an error, and nothing else. */
static int other_check(const IkePayloads *payloads, Reason *reason)
{
    IkeNotify notify;

    if (payloads->count == 1 && payloads->n_skipped == 0 && ike_payloads_error(payloads, &notify))
        return 0;
    return reason_set(reason, EXCHANGE_E_UNEXPECTED,
                      "A request of an unknown exchange type is answered by one error notify, and "
                      "nothing else");
}

static int plain_check(const Exchange *exchange, const PlainMessage *message, IkePayloads *ret,
                       Reason *reason)
{
    const MessageRule *rule = rule_find(exchange->state, message->exchange_type);
    IkeFault fault = {0};

    if (!rule || !(message->response ? rule->seal_response : rule->seal_request))
        return unexpected(exchange, message->exchange_type, message->response, reason);
    if (message->payloads.size > IKE_MESSAGE_MAX)
        return protection_refuse(PROTECTION_E_TOO_LARGE, reason);
    if (ike_payloads_decode(message->first, message->payloads, ret, &fault) != 0) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The payload chain does not parse: %s (payload type %u at octet %u)",
                          ike_fault_text(fault.code), fault.payload_type, fault.offset);
    }
    if (rule->exchange_type == ANY_OTHER)
        return other_check(ret, reason);
    if (message->exchange_type == IKE_AUTH)
        return own_auth_check(exchange, ret, reason);
    return 0;
}

/* What the protection says, with its reason where it refuses. */
static int protection_said(int r, Reason *reason)
{
    return r > 0 ? protection_refuse(r, reason) : r;
}

static int seal(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                SealedMessage *ret, Reason *reason)
{
    int r = protection_seal(exchange->protection, message->exchange_type, message->response,
                            message->first, message->payloads, max_datagram, ret);

    return protection_said(r, reason);
}

/* The request is kept if it is sealed. */
static int auth_seal(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                     SealedMessage *ret, Reason *reason)
{
    KeptMessage *kept = &exchange->auth.request, draft = {0};
    int r = exchange_keep(&draft, message->first, message->payloads);

    if (r == 0)
        r = seal(exchange, message, max_datagram, ret, reason);
    if (r == 0) {
        free(kept->payloads.data);
        *kept = draft;
    } else {
        free(draft.payloads.data);
    }
    return r;
}

/* What the message negotiates is kept if it is sealed. */
static int create_seal(Exchange *exchange, const PlainMessage *message, const IkePayloads *payloads,
                       size_t max_datagram, SealedMessage *ret, Reason *reason)
{
    Negotiation draft = {0};
    int r = exchange_create_draft(exchange, message, payloads, &draft, reason);

    if (r == 0)
        r = seal(exchange, message, max_datagram, ret, reason);
    exchange_create_settle(exchange, message, &draft, r == 0);
    return r;
}

int exchange_protect(Exchange *exchange, const PlainMessage *message, size_t max_datagram,
                     SealedMessage *ret, Reason *reason)
{
    IkePayloads payloads;
    int r;

    r = exchange_allows(exchange, EXCHANGE_PROTECT, reason);
    if (r == 0)
        r = plain_check(exchange, message, &payloads, reason);
    if (r != 0)
        return r;
    switch (message->exchange_type) {
    case IKE_AUTH:
        r = auth_seal(exchange, message, max_datagram, ret, reason);
        break;
    case IKE_CREATE_CHILD_SA:
        r = create_seal(exchange, message, &payloads, max_datagram, ret, reason);
        break;
    default:
        r = seal(exchange, message, max_datagram, ret, reason);
    }
    if (r != 0)
        return r;
    exchange_step(exchange, EXCHANGE_PROTECT);
    return 0;
}

/* What is read later is kept. 0 or -ENOMEM. */
static int opened_keep(Exchange *exchange, const OpenedMessage *opened)
{
    int r = 0;

    if (opened->exchange_type == IKE_CREATE_CHILD_SA)
        return exchange_create_opened(exchange, opened);
    if (opened->exchange_type != IKE_AUTH)
        return 0;
    r = exchange_keep(&exchange->auth.response, opened->first,
                      (Bytes){opened->plain, opened->plain_size});
    if (r == 0)
        key_offer_unref(steal_pointer(exchange->offer)); /* the peer is who answered IKE_SA_INIT */
    return r;
}

int exchange_unprotect(Exchange *exchange, Bytes datagram, bool *ret_complete, OpenedMessage *ret,
                       Reason *reason)
{
    const MessageRule *rule;
    IkeHeader header;
    bool response;
    int r;

    r = exchange_allows(exchange, EXCHANGE_UNPROTECT, reason);
    if (r != 0)
        return r;
    if (datagram.size > IKE_MESSAGE_MAX)
        return protection_refuse(PROTECTION_E_TOO_LARGE, reason);
    if (ike_header_decode(datagram, &header) != 0)
        return protection_refuse(PROTECTION_E_MALFORMED, reason);
    /* Asked before it is opened, so that the windows do not move for a message that nobody will
     * answer. */
    response = (header.flags & IKE_FLAG_RESPONSE) != 0;
    rule = rule_find(exchange->state, header.exchange_type);
    if (!rule || !(response ? rule->open_response : rule->open_request))
        return unexpected(exchange, header.exchange_type, response, reason);

    r = protection_open(exchange->protection, datagram, ret);
    if (r != 0 && r != PROTECTION_E_FRAGMENT)
        return protection_said(r, reason);
    *ret_complete = r == 0;
    if (*ret_complete) {
        r = opened_keep(exchange, ret);
        if (r < 0) {
            protection_put_back(exchange->protection, ret);
            return r;
        }
    }
    exchange_step(exchange, EXCHANGE_UNPROTECT);
    return 0;
}

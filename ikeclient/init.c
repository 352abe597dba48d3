/* IKE_SA_INIT: the request, and the judgement of answers that anyone could have sent. */
#include "ikeclient/init.h"

#include "ikeclient/proposals.h"

#include <errno.h>
#include <string.h>

int init_begin(InitExchange *init, const IkeSaPayload *offer, uint16_t group, uint64_t spi_i,
               Bytes nonce, Bytes ke)
{
    *init = (InitExchange){.offer = offer, .spi_i = spi_i};
    if (nonce.size < IKE_NONCE_MIN || nonce.size > sizeof(init->nonce))
        return -EMSGSIZE;
    memcpy(init->nonce, nonce.data, nonce.size);
    init->nonce_size = nonce.size;
    return init_change_group(init, group, ke);
}

int init_change_group(InitExchange *init, uint16_t group, Bytes ke)
{
    if (ke.size == 0 || ke.size > sizeof(init->ke))
        return -EMSGSIZE;
    memcpy(init->ke, ke.data, ke.size);
    init->ke_size = ke.size;
    init->group = group;
    return 0;
}

/* Who was sent here says by whom; anybody else, that he can be sent elsewhere (RFC 5685 3, 4). */
static void add_redirect(const InitExchange *init, IkeChain *chain)
{
    uint8_t octets[REDIRECTED_FROM_MAX];

    if (init->redirected_from.any.sa_family == 0) {
        ike_chain_add_notify(chain, IKE_NOTIFY_REDIRECT_SUPPORTED, (Bytes){0});
        return;
    }
    const size_t size = redirected_from_write(&init->redirected_from, octets);
    ike_chain_add_notify(chain, IKE_NOTIFY_REDIRECTED_FROM, (Bytes){octets, size});
}

void init_request_encode(const InitExchange *init, const Endpoint *local, const Endpoint *remote,
                         Writer *writer)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256, 0, IKE_HASH_SHA2_384,
                                     0, IKE_HASH_SHA2_512}; /* RFC 7427 4: a list of u16 */
    IkeHeader header = {
        .spi_i = init->spi_i, .exchange_type = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR};
    uint8_t source[NAT_HASH_SIZE], destination[NAT_HASH_SIZE];
    IkeChain chain;

    Endpoint seen = *local;
    if (init->feign_nat) /* no source port is 0, so the peer finds a NAT, and puts ESP into UDP */
        endpoint_set_port(&seen, 0);
    nat_hash(init->spi_i, 0, &seen, source);
    nat_hash(init->spi_i, 0, remote, destination);

    ike_message_begin(writer, &header, &chain);
    if (init->cookie_size > 0) /* RFC 7296 2.6: first, and the rest as it was */
        ike_chain_add_notify(&chain, IKE_NOTIFY_COOKIE, (Bytes){init->cookie, init->cookie_size});
    ike_chain_add_sa(&chain, init->offer);
    ike_chain_add_ke(&chain, init->group, (Bytes){init->ke, init->ke_size});
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, (Bytes){init->nonce, init->nonce_size});
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination));
    ike_chain_add_notify(&chain, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, (Bytes){0});
    ike_chain_add_notify(&chain, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, BYTES_OF(hashes));
    add_redirect(init, &chain);
    ike_message_end(&chain);
}

/* NULL if the header is that of an answer to our request; else why not. */
static const char *header_problem(const InitExchange *init, const IkeHeader *header)
{
    if (header->exchange_type != IKE_SA_INIT)
        return "not an IKE_SA_INIT message";
    if (!(header->flags & IKE_FLAG_RESPONSE) || (header->flags & IKE_FLAG_INITIATOR))
        return "not a responder's response";
    if (header->spi_i != init->spi_i)
        return "another SPI";
    if (header->message_id != 0)
        return "another message ID";
    return NULL;
}

static InitVerdict drop(InitResponse *response, const char *why)
{
    response->why = why;
    return INIT_DROP;
}

static InitVerdict take_cookie(InitExchange *init, Bytes cookie, InitResponse *response)
{
    if (cookie.size == 0 || cookie.size > sizeof(init->cookie))
        return drop(response, "a cookie that is not of 1 to 64 octets");
    /* The second answer to a request that was sent twice: the cookie is under way already. */
    if (bytes_equal(cookie, (Bytes){init->cookie, init->cookie_size}))
        return drop(response, "the cookie that we have sent already");
    if (init->cookies == INIT_COOKIES_MAX)
        return drop(response, "one more cookie after several");
    init->cookies++;
    memcpy(init->cookie, cookie.data, cookie.size);
    init->cookie_size = cookie.size;
    return INIT_COOKIE;
}

static InitVerdict take_group(InitExchange *init, Bytes data, InitResponse *response)
{
    Reader reader;
    uint16_t group = 0;

    reader_init(&reader, data);
    if (reader_u16(&reader, &group) < 0 || reader_left(&reader) > 0)
        return drop(response, "INVALID_KE_PAYLOAD without a group");
    if (group == init->group)
        return drop(response, "INVALID_KE_PAYLOAD that names the group we sent");
    if (!proposals_have_group(init->offer, group))
        return drop(response, "INVALID_KE_PAYLOAD that names a group we did not offer");
    if (init->group_changes == INIT_GROUP_CHANGES_MAX)
        return drop(response, "one more INVALID_KE_PAYLOAD after several");
    init->group_changes++;
    response->group = group;
    return INIT_GROUP;
}

/* RFC 5685 3: with our nonce at its end, which nobody knows who has not seen the request. */
static InitVerdict take_redirect(const InitExchange *init, Bytes data, InitResponse *response)
{
    if (redirect_read(data, (Bytes){init->nonce, init->nonce_size}, &response->redirect) < 0)
        return drop(response, "REDIRECT that is malformed, or has not our nonce");
    return INIT_REDIRECT;
}

static InitVerdict judge(InitExchange *init, const IkeMessage *message, const Endpoint *local,
                         const Endpoint *remote, InitResponse *response)
{
    const IkePayloads *payloads = &message->payloads;
    IkeNotify notify;

    if (ike_payloads_notify(payloads, IKE_NOTIFY_COOKIE, &notify))
        return take_cookie(init, notify.data, response);
    if (ike_payloads_notify(payloads, IKE_NOTIFY_INVALID_KE_PAYLOAD, &notify))
        return take_group(init, notify.data, response);
    if (ike_payloads_notify(payloads, IKE_NOTIFY_REDIRECT, &notify))
        return take_redirect(init, notify.data, response);
    if (ike_payloads_error(payloads, &notify)) {
        response->error = notify.type;
        return INIT_HINT;
    }
    if (message->header.spi_r == 0)
        return drop(response, "an answer without a responder's SPI");
    if (!ike_payloads_find(payloads, IKE_PAYLOAD_SA) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_KE) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_NONCE))
        return drop(response, "an answer without SA, KE or Nr");

    response->spi_r = message->header.spi_r;
    response->nat = nat_find(message, local, remote);
    response->certreq = ike_payloads_find(payloads, IKE_PAYLOAD_CERTREQ) != NULL;
    response->fragmentation =
        ike_payloads_notify(payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, &notify);
    response->hashes = ike_payloads_notify(payloads, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, &notify);
    return INIT_ANSWER;
}

void init_response_judge(InitExchange *init, Bytes datagram, const Endpoint *local,
                         const Endpoint *remote, InitResponse *ret)
{
    IkeMessage message;
    IkeFault fault = {0};

    *ret = (InitResponse){.verdict = INIT_DROP};
    int r = ike_header_decode(datagram, &message.header);
    if (r != 0) {
        ret->why = ike_fault_text((IkeFaultCode)r);
        return;
    }
    /* Not ours is not worth reading. */
    ret->why = header_problem(init, &message.header);
    if (ret->why)
        return;
    r = ike_message_decode(datagram, &message, &fault);
    if (r != 0) {
        ret->why = ike_fault_text((IkeFaultCode)r);
    } else {
        ret->verdict = judge(init, &message, local, remote, ret);
    }
}

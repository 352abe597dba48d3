/* Agree: whether these two IKE_SA_INIT messages are ours and our peer's, and the keys that
 * follow from them (RFC 7296 1.2, 2.14). */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <string.h>

/* One IKE_SA_INIT message, read whole. */
typedef struct Init {
    IkeMessage message;
    IkeSaPayload sa;
    IkeKe ke;
    Bytes nonce;
} Init;

/* What Agree works out before it changes anything. */
typedef struct Agreement {
    IkeSuite suite;
    OwnedBytes request;
    OwnedBytes response;
    IkeKeys keys;
    Protection *protection;
} Agreement;

static void agreement_deinit(Agreement *agreement)
{
    free(agreement->request.data);
    free(agreement->response.data);
    protection_free(agreement->protection);
    ike_keys_deinit(&agreement->keys);
}

static const Dh *own_dh(const Exchange *exchange)
{
    return key_offer_dh(exchange->offer);
}

static int malformed(Reason *reason, const char *which, const IkeFault *fault)
{
    return reason_set(reason, EXCHANGE_E_MALFORMED,
                      "The %s does not parse: %s (payload type %u at octet %u)", which,
                      ike_fault_text(fault->code), fault->payload_type, fault->offset);
}

static int missing(Reason *reason, const char *which, const char *payload)
{
    return reason_set(
        reason, EXCHANGE_E_MALFORMED,
        "The %s has no well-formed %s payload, which IKE_SA_INIT needs (RFC 7296 1.2)", which,
        payload);
}

static int init_read(Bytes datagram, const char *which, Init *ret, Reason *reason)
{
    const IkePayloads *payloads = &ret->message.payloads;
    const IkePayload *sa, *ke, *nonce;
    IkeFault fault = {0};

    if (datagram.size > EXCHANGE_INIT_SIZE_MAX) {
        return reason_set(
            reason, EXCHANGE_E_TOO_LARGE,
            "The %s has %zu octets; an IKE_SA_INIT message of more than %d is not taken", which,
            datagram.size, EXCHANGE_INIT_SIZE_MAX);
    }
    if (ike_message_decode(datagram, &ret->message, &fault) != 0)
        return malformed(reason, which, &fault);

    sa = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    if (!sa || ike_sa_decode(sa->body, &ret->sa) != 0)
        return missing(reason, which, "SA");
    ke = ike_payloads_find(payloads, IKE_PAYLOAD_KE);
    if (!ke || ike_ke_decode(ke->body, &ret->ke) != 0)
        return missing(reason, which, "KE");
    nonce = ike_payloads_find(payloads, IKE_PAYLOAD_NONCE);
    if (!nonce || ike_nonce_decode(nonce->body, &ret->nonce) != 0)
        return missing(reason, which, "Nonce");
    return 0;
}

/* Law 2: what SignAuth will sign must be the request that stands on our own SPI, nonce and KE. */
static int request_check(const Exchange *exchange, const Init *request, Reason *reason)
{
    const IkeHeader *header = &request->message.header;
    const char *wrong = NULL;

    if (header->exchange_type != IKE_SA_INIT || header->flags != IKE_FLAG_INITIATOR ||
        header->message_id != 0) {
        wrong = "it is not an IKE_SA_INIT request with message ID 0";
    } else if (header->spi_i != exchange->spi_i || header->spi_r != 0) {
        wrong = "its SPIs are not this exchange's SPI_i and zero";
    } else if (!bytes_equal(request->nonce, exchange_nonce_i(exchange))) {
        wrong = "its nonce is not this exchange's";
    } else if (request->ke.group != dh_group(own_dh(exchange)) ||
               !bytes_equal(request->ke.data, dh_public(own_dh(exchange)))) {
        wrong = "its KE is not the last one that this exchange made";
    }
    if (wrong) {
        return reason_set(reason, EXCHANGE_E_FOREIGN_REQUEST,
                          "The request is not this exchange's own: %s. Hand in the last "
                          "request sent, as it was sent",
                          wrong);
    }
    return 0;
}

static int response_check(const Exchange *exchange, const Init *response, Reason *reason)
{
    const IkeHeader *header = &response->message.header;
    uint8_t direction = header->flags & (IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE);
    const char *wrong = NULL;

    if (header->exchange_type != IKE_SA_INIT || direction != IKE_FLAG_RESPONSE ||
        header->message_id != 0) {
        wrong = "it is not an IKE_SA_INIT response with message ID 0";
    } else if (header->spi_i != exchange->spi_i) {
        wrong = "its SPI_i is not this exchange's";
    } else if (header->spi_r == 0) {
        wrong = "its SPI_r is zero";
    }
    if (wrong) {
        return reason_set(reason, EXCHANGE_E_FOREIGN_RESPONSE,
                          "The response does not answer this exchange: %s. Wait for another",
                          wrong);
    }
    return 0;
}

int exchange_suite_refuse(int error, Reason *reason)
{
    if (error == SUITE_E_NOT_OFFERED) {
        return reason_set(
            reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
            "The response chose an IKE suite that the request did not offer (RFC 7296 2.7)");
    }
    if (error == SUITE_E_NOT_ALLOWED) {
        return reason_set(
            reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
            "The response chose an IKE suite outside the profile; see tred(8) for those allowed");
    }
    return reason_set(
        reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
        "The response did not choose one proposal with one transform of each type (RFC 7296 2.7)");
}

/* The one suite, with KE and nonce that go with it. */
static int suite_check(const Exchange *exchange, const Init *request, const Init *response,
                       IkeSuite *ret, Reason *reason)
{
    int r = ike_suite_select(&request->sa, &response->sa, ret);

    if (r != 0)
        return exchange_suite_refuse(r, reason);
    if (ret->group != dh_group(own_dh(exchange)) || response->ke.group != ret->group) {
        return reason_set(reason, EXCHANGE_E_BAD_KEY_EXCHANGE,
                          "The response chose group %u and carries a KE of group %u; the "
                          "request's KE is of group %u",
                          ret->group, response->ke.group, dh_group(own_dh(exchange)));
    }
    if (2 * response->nonce.size < ret->prf->size) { /* RFC 7296 2.10 */
        return reason_set(
            reason, EXCHANGE_E_FOREIGN_RESPONSE,
            "The response's nonce has %zu octets, less than half of %s's key size (RFC 7296 2.10)",
            response->nonce.size, ret->prf->name);
    }
    return 0;
}

static int offer_spent(Reason *reason)
{
    return reason_set(reason, EXCHANGE_E_FOREIGN_RESPONSE,
                      "%d responses to this request were taken already, or %d refused as they lead "
                      "to the same keys. Begin another exchange",
                      KEY_OFFER_RESPONSES_MAX, KEY_OFFER_REFUSALS_MAX);
}

static int keys_derive(const Exchange *exchange, const Init *response, Agreement *agreement,
                       Reason *reason)
{
    _cleanup_(secret_freep) Secret *dh_secret = NULL, *skeyseed = NULL;
    Bytes nonce_i = exchange_nonce_i(exchange);
    int r;

    /* Whoever hands in the same again and again spends no more of tred's time. */
    if (key_offer_is_spent(exchange->offer))
        return offer_spent(reason);
    r = dh_derive(own_dh(exchange), response->ke.data, &dh_secret);
    if (r == -EBADMSG) {
        return reason_set(reason, EXCHANGE_E_BAD_KEY_EXCHANGE,
                          "The response's KE is not a valid public value of group %u (RFC 6989)",
                          dh_group(own_dh(exchange)));
    }
    if (r < 0)
        return r;
    r = skeyseed_compute(agreement->suite.prf, nonce_i, response->nonce, dh_secret, &skeyseed);
    if (r < 0)
        return r;
    return ike_keys_derive(&agreement->suite, skeyseed, nonce_i, response->nonce, exchange->spi_i,
                           response->message.header.spi_r, &agreement->keys);
}

/* Of responses to one request each leads to keys of its own. */
static int keys_note(Exchange *exchange, const IkeKeys *keys, Reason *reason)
{
    int r = key_offer_note_keys(exchange->offer, keys->sk_d);

    if (r == -EEXIST) {
        return reason_set(
            reason, EXCHANGE_E_FOREIGN_RESPONSE,
            "The response leads to the keys of another response to this request, that "
            "was taken already. Ignore it");
    }
    return r == -ENOSPC ? offer_spent(reason) : r;
}

static bool fragmentation_agreed(const Init *request, const Init *response)
{
    IkeNotify notify;

    return ike_payloads_notify(&request->message.payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED,
                               &notify) &&
           ike_payloads_notify(&response->message.payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED,
                               &notify);
}

/* RFC 7427 4: the hashes that the sender takes in a signature; none if it did not say. */
static size_t hashes_read(const Init *init, uint16_t *ret, size_t capacity)
{
    IkeNotify notify;
    Reader reader;
    size_t count = 0;

    if (!ike_payloads_notify(&init->message.payloads, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS,
                             &notify))
        return 0;
    reader_init(&reader, notify.data);
    while (count < capacity && reader_u16(&reader, &ret[count]) == 0)
        count++;
    return count;
}

/* Nothing here can fail: the exchange changes as a whole. */
static void agreement_take(Exchange *exchange, const Init *request, const Init *response,
                           Agreement *agreement)
{
    exchange->spi_r = response->message.header.spi_r;
    memcpy(exchange->nonce_r, response->nonce.data, response->nonce.size);
    exchange->nonce_r_size = response->nonce.size;
    exchange->n_own_hashes =
        hashes_read(request, exchange->own_hashes, ELEMENTS(exchange->own_hashes));
    exchange->n_peer_hashes =
        hashes_read(response, exchange->peer_hashes, ELEMENTS(exchange->peer_hashes));
    exchange->suite = agreement->suite;
    ike_suite_name(&exchange->suite, exchange->suite_name);
    exchange->request = agreement->request;
    exchange->response = agreement->response;
    exchange->keys = agreement->keys;
    exchange->protection = agreement->protection;
    *agreement = (Agreement){0};

    exchange_step(exchange, EXCHANGE_AGREE);
}

static int init_pair_read(const Exchange *exchange, Bytes request_bytes, Bytes response_bytes,
                          Init *request, Init *response, Reason *reason)
{
    int r;

    r = init_read(request_bytes, "request", request, reason);
    if (r == 0)
        r = request_check(exchange, request, reason);
    if (r == 0)
        r = init_read(response_bytes, "response", response, reason);
    if (r == 0)
        r = response_check(exchange, response, reason);
    return r;
}

int exchange_agree(Exchange *exchange, Bytes request_bytes, Bytes response_bytes, Reason *reason)
{
    _cleanup_(agreement_deinit) Agreement agreement = {0};
    Init request = {0}, response = {0};
    int r;

    r = exchange_allows(exchange, EXCHANGE_AGREE, reason);
    if (r != 0)
        return r;
    r = init_pair_read(exchange, request_bytes, response_bytes, &request, &response, reason);
    if (r != 0)
        return r;
    r = suite_check(exchange, &request, &response, &agreement.suite, reason);
    if (r != 0)
        return r;
    r = keys_derive(exchange, &response, &agreement, reason);
    if (r != 0)
        return r;
    /* SPIs and suite go with the keys; the protection borrows exchange->keys' secrets, which move
     * by pointer. */
    r = protection_new(
        &agreement.suite, &agreement.keys,
        &(ProtectionTerms){.spi_i = exchange->spi_i,
                           .spi_r = response.message.header.spi_r,
                           .initiator = true,
                           .first_request = 1, /* IKE_SA_INIT was 0 */
                           .fragmentation = fragmentation_agreed(&request, &response)},
        &agreement.protection);
    if (r < 0)
        return r;
    r = owned_bytes_copy(request_bytes, &agreement.request);
    if (r < 0)
        return r;
    r = owned_bytes_copy(response_bytes, &agreement.response);
    if (r < 0)
        return r;
    r = keys_note(exchange, &agreement.keys, reason);
    if (r != 0)
        return r;

    agreement_take(exchange, &request, &response, &agreement);
    return 0;
}

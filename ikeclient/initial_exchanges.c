/* The requests of IKE_SA_INIT and IKE_AUTH, and the judgement of what comes back: to the first one
 * anyone can have sent that. */
#include "ikeclient/initial_exchanges.h"

#include "base/cleanup.h"
#include "ikeclient/proposals.h"

#include <errno.h>
#include <string.h>

/* ---- IKE_SA_INIT ---- */

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

/* Whoever reads the report is to know what came, and not that nothing did. */
static InitVerdict unfit(InitResponse *response, const char *why)
{
    response->why = why;
    return INIT_UNFIT;
}

static InitVerdict take_cookie(InitExchange *init, Bytes cookie, InitResponse *response)
{
    if (cookie.size == 0 || cookie.size > sizeof(init->cookie))
        return unfit(response, "a cookie that is not of 1 to 64 octets");
    /* The second answer to a request that was sent twice: the cookie is under way already. */
    if (bytes_equal(cookie, (Bytes){init->cookie, init->cookie_size}))
        return drop(response, "the cookie that we have sent already");
    if (init->cookies == INIT_COOKIES_MAX)
        return unfit(response, "one more cookie after several");
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
        return unfit(response, "INVALID_KE_PAYLOAD without a group");
    if (group == init->group)
        return drop(response, "INVALID_KE_PAYLOAD that names the group we sent");
    if (!proposals_have_group(init->offer, group)) {
        response->group = group;
        return unfit(response, "INVALID_KE_PAYLOAD that names a group we did not offer");
    }
    if (init->group_changes == INIT_GROUP_CHANGES_MAX)
        return unfit(response, "one more INVALID_KE_PAYLOAD after several");
    init->group_changes++;
    response->group = group;
    return INIT_GROUP;
}

/* RFC 5685 3: with our nonce at its end, which nobody knows who has not seen the request. */
static InitVerdict take_redirect(const InitExchange *init, Bytes data, InitResponse *response)
{
    if (redirect_read(data, (Bytes){init->nonce, init->nonce_size}, &response->redirect) < 0)
        return unfit(response, "REDIRECT that is malformed, or has not our nonce");
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
        return unfit(response, "an answer without a responder's SPI");
    if (!ike_payloads_find(payloads, IKE_PAYLOAD_SA) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_KE) ||
        !ike_payloads_find(payloads, IKE_PAYLOAD_NONCE))
        return unfit(response, "an answer without SA, KE or Nr");

    response->spi_r = message->header.spi_r;
    response->nat = nat_find(message, local, remote);
    response->certreq = ike_payloads_find(payloads, IKE_PAYLOAD_CERTREQ) != NULL;
    response->fragmentation =
        ike_payloads_notify(payloads, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, &notify);
    response->hashes = ike_payloads_notify(payloads, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, &notify);
    return INIT_ANSWER;
}

/* An IKEv1 responder gives the initiator's cookie back where IKEv2 has our SPI (RFC 2408 3.1). */
static bool starts_with_our_spi(const InitExchange *init, Bytes datagram)
{
    Reader reader;
    uint64_t spi_i;

    reader_init(&reader, datagram);
    return reader_u64(&reader, &spi_i) == 0 && spi_i == init->spi_i;
}

void init_response_judge(InitExchange *init, Bytes datagram, const Endpoint *local,
                         const Endpoint *remote, InitResponse *ret)
{
    IkeMessage message;

    *ret = (InitResponse){.verdict = INIT_DROP};
    int r = ike_header_decode(datagram, &message.header);
    if (r != 0) {
        ret->why = ike_fault_text((IkeFaultCode)r);
        if ((r == IKEWIRE_E_VERSION || r == IKEWIRE_E_MAJOR_VERSION) &&
            starts_with_our_spi(init, datagram)) {
            ret->verdict = INIT_UNFIT;
            ret->fault.code = (IkeFaultCode)r;
        }
        return;
    }
    /* Not ours is not worth reading. */
    ret->why = header_problem(init, &message.header);
    if (ret->why)
        return;
    r = ike_message_decode(datagram, &message, &ret->fault);
    if (r != 0) {
        ret->verdict = unfit(ret, ike_fault_text((IkeFaultCode)r));
    } else {
        ret->verdict = judge(init, &message, local, remote, ret);
    }
}

/* ---- IKE_AUTH ---- */

void auth_request_encode(const AuthRequest *request, Writer *writer, uint8_t *ret_first)
{
    IkeId idi = {request->id_type, request->id_data};
    IkeId idr = {IKE_ID_FQDN,
                 {(const uint8_t *)request->segw_identity, strlen(request->segw_identity)}};
    IkeChain chain;

    ike_chain_init(&chain, writer);
    ike_chain_add_id(&chain, IKE_PAYLOAD_IDI, &idi);
    for (size_t i = 0; i < request->n_certificates; i++) {
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERT, IKE_CERT_X509_SIGNATURE,
                           request->certificates[i]);
    }
    if (request->initial_contact)
        ike_chain_add_notify(&chain, IKE_NOTIFY_INITIAL_CONTACT, (Bytes){0});
    if (request->anchor_hashes.size > 0) {
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERTREQ, IKE_CERT_X509_SIGNATURE,
                           request->anchor_hashes);
    }
    /* RFC 4806 3.1: no responder is named, as tred trusts those that a CA trusts. */
    if (request->ocsp_wanted)
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERTREQ, IKE_CERT_OCSP_CONTENT, (Bytes){0});
    ike_chain_add_id(&chain, IKE_PAYLOAD_IDR, &idr);
    ike_chain_add_auth(&chain, request->auth_method, request->auth_data);
    child_offer_encode(request->child, &chain);
    if (request->mobike) {
        ike_chain_add_notify(&chain, IKE_NOTIFY_MOBIKE_SUPPORTED, (Bytes){0});
        addresses_write(request->addresses, &chain);
    }
    *ret_first = chain.first;
}

static void count_certificates(const IkePayloads *payloads, AuthResponse *response)
{
    size_t position = 0;
    const IkePayload *payload;
    IkeCert cert;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_CERT, &position))) {
        bool known =
            ike_cert_decode(payload->body, &cert) == 0 &&
            (cert.encoding == IKE_CERT_X509_SIGNATURE || cert.encoding == IKE_CERT_OCSP_CONTENT);
        *(known ? &response->n_certificates : &response->n_other) += 1;
    }
}

bool auth_lifetime_read(Bytes data, uint32_t *ret_seconds)
{
    Reader reader;

    reader_init(&reader, data);
    return reader_u32(&reader, ret_seconds) == 0 && reader_left(&reader) == 0;
}

static const char *problem(const IkePayloads *payloads, AuthResponse *response)
{
    const IkePayload *idr = ike_payloads_find(payloads, IKE_PAYLOAD_IDR);
    const IkePayload *auth = ike_payloads_find(payloads, IKE_PAYLOAD_AUTH);

    if (ike_payloads_find(payloads, IKE_PAYLOAD_EAP)) { /* RFC 7296 2.16: it goes on with that */
        return "an EAP payload, as it wants EAP beside our certificate, which is all that a HeNB "
               "authenticates by: configure it so";
    }

    if (!idr || ike_id_decode(idr->body, &response->idr) != 0)
        return "no IDr that can be read: see its log";
    if (!auth || ike_auth_decode(auth->body, &response->auth) != 0)
        return "no AUTH that can be read: see its log";
    count_certificates(payloads, response);
    return NULL;
}

void auth_response_judge(const IkePayloads *payloads, AuthResponse *ret)
{
    bool has_auth = ike_payloads_find(payloads, IKE_PAYLOAD_AUTH) != NULL;
    IkeNotify notify;

    *ret = (AuthResponse){.verdict = AUTH_CLAIMED};
    /* Beside an AUTH, the notifies that refuse the Child SA alone are no failure (RFC 7296 1.2);
     * any other error is, known or not (3.10.1). */
    if (ike_payloads_error(payloads, &notify) && !(has_auth && child_error_is(notify.type))) {
        ret->verdict = AUTH_REFUSED;
        ret->error = notify.type;
        return;
    }
    ret->mobike = ike_payloads_notify(payloads, IKE_NOTIFY_MOBIKE_SUPPORTED, &notify);
    (void)addresses_read(payloads, &ret->addresses);
    ret->redirects = ike_payloads_notify(payloads, IKE_NOTIFY_REDIRECT, &notify) &&
                     redirect_read(notify.data, (Bytes){0}, &ret->redirect) == 0;
    ret->has_lifetime = ike_payloads_notify(payloads, IKE_NOTIFY_AUTH_LIFETIME, &notify) &&
                        auth_lifetime_read(notify.data, &ret->lifetime);
    ret->why = problem(payloads, ret);
    if (ret->why)
        ret->verdict = AUTH_MALFORMED;
}

const char *auth_scheme_name(uint8_t method, Bytes auth_data)
{
    /* The OBJECT IDENTIFIERs of RFC 7427 appendix A, after the SEQUENCE's header. */
    static const uint8_t ecdsa_sha256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2};
    static const uint8_t ecdsa_sha384[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3};
    static const uint8_t pss[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10};
    static const uint8_t rsa_sha256[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11};
    const struct {
        Bytes oid;
        const char *name;
    } schemes[] = {
        {BYTES_OF(ecdsa_sha256), "ecdsa-with-SHA256"},
        {BYTES_OF(ecdsa_sha384), "ecdsa-with-SHA384"},
        {BYTES_OF(pss), "RSASSA-PSS"},
        {BYTES_OF(rsa_sha256), "sha256WithRSAEncryption"},
    };
    enum { OID_OFFSET = 3 }; /* behind the length octet, SEQUENCE and its length */

    if (method != IKE_AUTH_DIGITAL_SIGNATURE)
        return ike_auth_method_name(method);
    for (size_t i = 0; i < ELEMENTS(schemes); i++) {
        if (bytes_equal(bytes_slice(auth_data, OID_OFFSET, schemes[i].oid.size), schemes[i].oid))
            return schemes[i].name;
    }
    return ike_auth_method_name(method);
}

/* IKE_AUTH: the request, and the judgement of its response. */
#include "ikeclient/auth.h"

#include "base/cleanup.h"

#include <string.h>

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

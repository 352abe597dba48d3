/* The judgement of the peer: its certificates, its identity, and its AUTH (RFC 7296 2.15). */
#include "tred/exchange_internal.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <string.h>

static ExchangeError peer_error(int error)
{
    switch (error) {
    case PEER_E_EXPIRED:
        return EXCHANGE_E_PEER_CERTIFICATE_EXPIRED;
    case PEER_E_NOT_YET_VALID:
        return EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID;
    case PEER_E_MALFORMED:
    case PEER_E_UNFIT:
        return EXCHANGE_E_PEER_CERTIFICATE_UNFIT;
    case PEER_E_IDENTITY:
        return EXCHANGE_E_PEER_IDENTITY_MISMATCH;
    case PEER_E_REVOKED:
        return EXCHANGE_E_PEER_REVOKED;
    case PEER_E_REVOCATION_UNKNOWN:
        return EXCHANGE_E_PEER_REVOCATION_UNKNOWN;
    default:
        return EXCHANGE_E_PEER_NOT_TRUSTED;
    }
}

/* TS 33.310 6.2.1: X.509 certificates, and RFC 4806's OCSP responses; hash-and-URL among others is
 * refused. */
static int cert_payloads_sort(const PeerAuth *peer, Bytes *certificates, Bytes *ocsp,
                              PeerEvidence *evidence, char *reason)
{
    evidence->certificates = certificates;
    evidence->ocsp = ocsp;
    for (size_t i = 0; i < peer->n_certificates; i++) {
        const IkeCert *payload = &peer->certificates[i];

        switch (payload->encoding) {
        case IKE_CERT_X509_SIGNATURE:
            certificates[evidence->n_certificates++] = payload->data;
            break;
        case IKE_CERT_OCSP_CONTENT:
            ocsp[evidence->n_ocsp++] = payload->data;
            break;
        default:
            return exchange_refuse(
                reason, EXCHANGE_E_PEER_CERTIFICATE_UNFIT,
                "CERT payload %zu has encoding %u; the SeGW must send X.509 certificates "
                "(encoding 4), and may send OCSP responses (14).",
                i + 1, payload->encoding);
        }
    }
    return 0;
}

/* The peer's certificates and name; *ret is its public key, *ret_expires when its chain ends. */
static int peer_certificates_check(const Exchange *exchange, const PeerAuth *peer, time_t now,
                                   EVP_PKEY **ret, time_t *ret_expires, char *reason)
{
    Bytes certificates[PEER_CERTIFICATES_MAX + PEER_OCSP_MAX];
    Bytes ocsp[PEER_CERTIFICATES_MAX + PEER_OCSP_MAX];
    const PeerPolicy policy = {
        .anchors = exchange->anchors,
        .profile = exchange->context->profile,
        .crls = exchange->context->crls,
        .revocation = exchange->context->revocation,
        .segw_name = exchange->context->segw_name,
    };
    PeerEvidence evidence = {
        .has_idr = true, .idr_type = peer->id_type, .idr = peer->id_data, .now = now};
    PeerReport report;
    int r;

    r = cert_payloads_sort(peer, certificates, ocsp, &evidence, reason);
    if (r != 0)
        return r;
    r = peer_judge(&policy, &evidence, &report);
    if (r == 0 && report.refusal) {
        char sentence[PEER_REASON_SIZE];

        peer_check_sentence(report.refusal, sentence);
        r = exchange_refuse(reason, peer_error(report.refusal->error), "%s", sentence);
    } else if (r == 0) {
        *ret = steal_pointer(report.key);
        *ret_expires = report.expires;
    }
    peer_report_deinit(&report);
    return r;
}

static int peer_auth_refuse(int error, uint8_t method, char *reason)
{
    if (error == AUTH_E_METHOD) {
        return exchange_refuse(
            reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
            "The SeGW signed with method %u (%s) or a hash that is outside the profile or does not "
            "fit its certificate's key. Let it use RFC 7427 signatures with SHA-256 or SHA-384.",
            method, ike_auth_method_name(method));
    }
    if (error == AUTH_E_ENCODING) {
        return exchange_refuse(reason, EXCHANGE_E_PEER_AUTH_FAILED,
                               "The SeGW's AUTH data does not parse.");
    }
    return exchange_refuse(
        reason, EXCHANGE_E_PEER_AUTH_FAILED,
        "The SeGW's AUTH signature is wrong: it does not have its certificate's private key, or "
        "somebody changed IKE_SA_INIT on the way.");
}

/* ResponderSignedOctets = RealMessage2 | NonceIData | MACedIDForR. */
static int peer_auth_check(const Exchange *exchange, const PeerAuth *peer, EVP_PKEY *key,
                           char *reason)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    IkeId id = {.type = peer->id_type, .data = peer->id_data};
    uint8_t id_body[IKE_ID_FIXED_SIZE + FQDN_SIZE_MAX];
    Writer writer;
    Bytes body;
    size_t size = 0;
    int r;

    writer_init(&writer, id_body, sizeof(id_body));
    ike_id_encode(&writer, &id);
    if (writer_finish(&writer, &body) < 0) {
        return exchange_refuse(reason, EXCHANGE_E_PEER_IDENTITY_MISMATCH,
                               "The SeGW's IDr is longer than any FQDN.");
    }
    r = auth_signed_octets(exchange->suite.prf, exchange->keys.sk_pr,
                           (Bytes){exchange->response.data, exchange->response.size},
                           exchange_nonce_i(exchange), body, &octets, &size);
    if (r < 0)
        return r;
    if (!exchange->context->profile->rsa_pkcs1 && auth_is_rsa_pkcs1(key, peer->method, peer->data))
        return peer_auth_refuse(AUTH_E_METHOD, peer->method, reason);
    if (!auth_hash_is_announced(peer->method, peer->data, exchange->own_hashes,
                                exchange->n_own_hashes)) {
        return exchange_refuse(reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
                               "The SeGW signed with a hash that our IKE_SA_INIT request did not "
                               "announce (RFC 7427 4). Correct the SeGW's signature schemes.");
    }
    r = auth_verify(key, peer->method, peer->data, (Bytes){octets, size});
    return r > 0 ? peer_auth_refuse(r, peer->method, reason) : r;
}

int exchange_verify_peer(Exchange *exchange, const PeerAuth *peer, time_t now, char *reason)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    time_t expires = 0;
    int r;

    r = exchange_allows(exchange, EXCHANGE_VERIFY_PEER, reason);
    if (r != 0)
        return r;
    r = peer_certificates_check(exchange, peer, now, &key, &expires, reason);
    if (r == 0)
        r = peer_auth_check(exchange, peer, key, reason);
    if (r < 0)
        return r;

    exchange_forget_messages(exchange);
    if (r > 0) {
        exchange->state = EXCHANGE_REFUSED;
        return r;
    }
    exchange->peer_expires = expires;
    /* peer_judge() has found IDr to be this name. */
    (void)snprintf(exchange->peer_identity, sizeof(exchange->peer_identity), "%s",
                   exchange->context->segw_name);
    exchange_step(exchange, EXCHANGE_VERIFY_PEER);
    return 0;
}

/* AUTH (RFC 7296 2.15): ours, made once in the TPM, and the judgement of the peer's. */
#include "base/reason.h"
#include "crypto/memory.h"
#include "crypto/openssl.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

/* IDi is our FQDN, the one in the device certificate (TS 33.320: IDi equals a dNSName of it). */
static int own_id_encode(Exchange *exchange)
{
    const char *identity = exchange->context->identity;
    IkeId id = {
        .type = IKE_ID_FQDN,
        .data = {(const uint8_t *)identity, strlen(identity)},
    };
    Writer writer;
    Bytes body;

    writer_init(&writer, exchange->id_body, sizeof(exchange->id_body));
    ike_id_encode(&writer, &id);
    if (writer_finish(&writer, &body) < 0)
        return -EIO;
    exchange->id_body_size = body.size;
    return 0;
}

/* InitiatorSignedOctets = RealMessage1 | NonceRData | MACedIDForI, hashed for the TPM. The message
 * is the one that Agree parsed and kept; a caller has no say in what is signed. */
static int own_digest(const Exchange *exchange, const char *digest_name, uint8_t *ret,
                      unsigned *ret_size)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    size_t size = 0, digest_size = 0;
    int r;

    r = auth_signed_octets(exchange->suite.prf, exchange->keys.sk_pi,
                           (Bytes){exchange->request.data, exchange->request.size},
                           exchange_nonce_r(exchange),
                           (Bytes){exchange->id_body, exchange->id_body_size}, &octets, &size);
    if (r < 0)
        return r;
    if (EVP_Q_digest(NULL, digest_name, NULL, octets, size, ret, &digest_size) != 1)
        return -EIO;
    *ret_size = (unsigned)digest_size;
    return 0;
}

/* A signature exists: whatever fails here, there is no second one. */
static int signature_take(Exchange *exchange, const SigningKey *key, Bytes signature, OwnAuth *ret)
{
    const AuthScheme *scheme = &exchange->signing_scheme;
    int r;

    exchange_step(exchange, EXCHANGE_SIGN_AUTH);
    r = auth_data_encode(scheme, key->public, signature, key->pss_salt, exchange->auth_data,
                         &exchange->auth_data_size);
    if (r < 0)
        return r;
    exchange->auth_method = scheme->method;
    *ret = (OwnAuth){
        .id_type = IKE_ID_FQDN,
        .id_data = bytes_slice((Bytes){exchange->id_body, exchange->id_body_size},
                               IKE_ID_FIXED_SIZE, exchange->id_body_size),
        .method = scheme->method,
        .data = {exchange->auth_data, exchange->auth_data_size},
    };
    return 0;
}

static int key_refuse(int r, const char *key_reason, Reason *reason)
{
    if (r == -EKEYREJECTED) {
        return reason_set(reason, EXCHANGE_E_INTEGRITY_FAILED, "The TPM refuses to sign: %s",
                          key_reason);
    }
    return reason_set(reason, EXCHANGE_E_TPM_FAILED,
                      "The TPM did not sign: %s. Nothing was signed; SignAuth may be called again",
                      key_reason[0] != '\0' ? key_reason : "it gave no reason");
}

static void key_done(int r, Bytes signature, const char *key_reason, void *userdata)
{
    Exchange *exchange = userdata;
    const SigningKey *key = steal_pointer(exchange->signing_key);
    Reason reason = {0};
    OwnAuth auth = {0};

    exchange->signing_request = NULL;
    r = r == 0 ? signature_take(exchange, key, signature, &auth)
               : key_refuse(r, key_reason, &reason);
    exchange->signed_done(exchange, r, &auth, reason.text, exchange->signed_userdata);
}

bool exchange_is_signing(const Exchange *exchange)
{
    return exchange->signing_key != NULL;
}

void exchange_sign_cancel(Exchange *exchange)
{
    if (!exchange->signing_key)
        return;
    signing_key_cancel(steal_pointer(exchange->signing_key),
                       steal_pointer(exchange->signing_request));
    exchange->signed_done(exchange, -ECANCELED, NULL, "", exchange->signed_userdata);
}

static int sign_begin(Exchange *exchange, SigningKey *key, ExchangeSigned done, void *userdata)
{
    const AuthScheme *scheme = &exchange->signing_scheme;
    uint8_t digest[EVP_MAX_MD_SIZE];
    SigningRequest *request = NULL;
    unsigned digest_size = 0;
    int r;

    r = own_digest(exchange, scheme->digest, digest, &digest_size);
    if (r < 0)
        return r;
    exchange->signing_key = key;
    exchange->signed_done = done;
    exchange->signed_userdata = userdata;
    r = signing_key_sign(key, scheme->digest, scheme->pss, (Bytes){digest, digest_size}, key_done,
                         exchange, &request);
    if (r < 0) {
        exchange->signing_key = NULL;
    } else if (request) { /* else it has ended in there, and with it perhaps the exchange */
        exchange->signing_request = request;
    }
    return r;
}

int exchange_sign_auth(Exchange *exchange, ExchangeSigned done, void *userdata, Reason *reason)
{
    SigningKey *key = exchange->context->signing_key;
    int r;

    r = exchange_allows(exchange, EXCHANGE_SIGN_AUTH, reason);
    if (r != 0)
        return r;
    if (exchange->signing_key) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "SignAuth is not possible: it is being done. Wait for its answer");
    }
    if (!key) {
        return reason_set(reason, EXCHANGE_E_TPM_FAILED,
                          "The device key is not loaded. Read the Manager's StateReason");
    }
    r = auth_scheme_choose(key->public, exchange->peer_hashes, exchange->n_peer_hashes,
                           &exchange->signing_scheme);
    if (r < 0) {
        return reason_set(reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
                          "No authentication method of the profile fits the device key. "
                          "Provision an ECDSA P-256, "
                          "P-384 or RSA-2048 key");
    }
    r = own_id_encode(exchange);
    return r < 0 ? r : sign_begin(exchange, key, done, userdata);
}

/* ---- the peer: its certificates, its identity, and its AUTH ---- */

/* What each reason of a verdict's, PEER_E_…, is called on the bus. */
static const ExchangeError peer_errors[] = {
    [PEER_E_NOT_TRUSTED] = EXCHANGE_E_PEER_NOT_TRUSTED,
    [PEER_E_MALFORMED] = EXCHANGE_E_PEER_CERTIFICATE_UNFIT,
    [PEER_E_EXPIRED] = EXCHANGE_E_PEER_CERTIFICATE_EXPIRED,
    [PEER_E_NOT_YET_VALID] = EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID,
    [PEER_E_UNFIT] = EXCHANGE_E_PEER_CERTIFICATE_UNFIT,
    [PEER_E_IDENTITY] = EXCHANGE_E_PEER_IDENTITY_MISMATCH,
    [PEER_E_REVOKED] = EXCHANGE_E_PEER_REVOKED,
    [PEER_E_REVOCATION_UNKNOWN] = EXCHANGE_E_PEER_REVOCATION_UNKNOWN,
};

static ExchangeError peer_error(int error)
{
    return error > 0 && (size_t)error < ELEMENTS(peer_errors) ? peer_errors[error]
                                                              : EXCHANGE_E_PEER_NOT_TRUSTED;
}

/* A SeGW that refuses this device sends no AUTH, but says why. */
static int auth_read(Exchange *exchange, const IkePayloads *payloads, Reason *reason)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_AUTH);
    IkeNotify notify = {0};
    IkeAuth auth;

    if (!payload || ike_auth_decode(payload->body, &auth) != 0) {
        bool said = ike_payloads_error(payloads, &notify);

        return reason_set(reason, EXCHANGE_E_PEER_AUTH_FAILED,
                          "The SeGW's IKE_AUTH response has no AUTH that can be read%s%s. See "
                          "the SeGW's log",
                          said ? ", but " : "", said ? ike_notify_name(notify.type) : "");
    }
    exchange->peer_auth_method = auth.method;
    exchange->peer_auth = auth.data;
    return 0;
}

/* A SeGW that was configured for a shared key sends no certificate, and that is not what is wrong.
 */
static int method_check(const Exchange *exchange, const VerifyRequest *request, Reason *reason)
{
    const uint8_t method = exchange->peer_auth_method;

    if (method != IKE_AUTH_SHARED_KEY_MIC || request->n_certificates > 0)
        return 0;
    return reason_set(
        reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
        "The SeGW authenticates by method %u (%s) and sent no certificate. Let it sign "
        "with the key of an X.509 certificate (TS 33.310 6.2.1)",
        method, ike_auth_method_name(method));
}

/* Everything that is judged is read from the message that was opened. A payload that may stand once
 * stands once, or the chain does not parse. */
static int response_read(Exchange *exchange, VerifyRequest *ret, Reason *reason)
{
    const KeptMessage *response = &exchange->auth.response;
    IkePayloads payloads;
    IkeFault fault = {0};
    IkeNotify notify;
    int r;

    if (ike_payloads_decode(response->first, kept_payloads(response), &payloads, &fault) != 0) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The SeGW's IKE_AUTH response does not parse: %s (payload type %u at "
                          "octet %u)",
                          ike_fault_text(fault.code), fault.payload_type, fault.offset);
    }
    exchange->mobike = ike_payloads_notify(&payloads, IKE_NOTIFY_MOBIKE_SUPPORTED, &notify);
    r = auth_read(exchange, &payloads, reason);
    if (r == 0)
        r = evidence_read(&payloads, ret, &exchange->peer_id_body, reason);
    return r != 0 ? r : method_check(exchange, ret, reason);
}

/* Nothing that only a judgement needs is kept beyond it. */
static void verify_settle(Exchange *exchange, ExchangeState state)
{
    exchange_forget_init(exchange);
    if (state == EXCHANGE_REFUSED)
        exchange_forget_auth(exchange);
    verifier_unref(steal_pointer(exchange->verifier));
    exchange->state = state;
}

int exchange_verify_begin(Exchange *exchange, time_t now, VerifyRequest *ret, Reason *reason)
{
    int r;

    r = exchange_allows(exchange, EXCHANGE_VERIFY_PEER, reason);
    if (r != 0)
        return r;
    if (!exchange->auth.response.there) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "VerifyPeer is not possible: no IKE_AUTH response was opened. Call "
                          "Unprotect with it");
    }
    verify_request_init(exchange, now, ret);
    r = response_read(exchange, ret, reason);
    if (r != 0) {
        verify_settle(exchange, EXCHANGE_REFUSED);
        return r;
    }
    exchange_step(exchange, EXCHANGE_VERIFY_PEER);
    return 0;
}

Verifier *exchange_verifier(const Exchange *exchange)
{
    return exchange->verifier;
}

static int peer_auth_refuse(int error, uint8_t method, Reason *reason)
{
    if (error == AUTH_E_METHOD) {
        return reason_set(
            reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
            "The SeGW signed with method %u (%s) or a hash that is outside the profile or does not "
            "fit its certificate's key. Let it use RFC 7427 signatures with SHA-256 or SHA-384",
            method, ike_auth_method_name(method));
    }
    if (error == AUTH_E_SHA1) {
        return reason_set(
            reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
            "The SeGW signed with method %u (%s) and SHA-1, which the profile does "
            "not have (TS 33.310 6.2.1b). Let it use RFC 7427 signatures with SHA-256 "
            "or SHA-384",
            method, ike_auth_method_name(method));
    }
    if (error == AUTH_E_ENCODING) {
        return reason_set(reason, EXCHANGE_E_PEER_AUTH_FAILED,
                          "The SeGW's AUTH data does not parse");
    }
    return reason_set(
        reason, EXCHANGE_E_PEER_AUTH_FAILED,
        "The SeGW's AUTH signature is wrong: it does not have its certificate's private key, or "
        "somebody changed IKE_SA_INIT on the way");
}

/* ResponderSignedOctets = RealMessage2 | NonceIData | MACedIDForR. */
static int peer_auth_check(Exchange *exchange, EVP_PKEY *key, bool rsa_pkcs1, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    const Bytes auth = exchange->peer_auth;
    const uint8_t method = exchange->peer_auth_method;
    size_t size = 0;
    int r;

    r = auth_signed_octets(exchange->suite.prf, exchange->keys.sk_pr,
                           (Bytes){exchange->response.data, exchange->response.size},
                           exchange_nonce_i(exchange), exchange->peer_id_body, &octets, &size);
    if (r < 0)
        return r;
    exchange->peer_rsa_pkcs1 = auth_is_rsa_pkcs1(key, method, auth);
    if (!rsa_pkcs1 && exchange->peer_rsa_pkcs1)
        return peer_auth_refuse(AUTH_E_METHOD, method, reason);
    if (!auth_hash_is_announced(method, auth, exchange->own_hashes, exchange->n_own_hashes)) {
        return reason_set(reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
                          "The SeGW signed with a hash that our IKE_SA_INIT request did not "
                          "announce (RFC 7427 4). Correct the SeGW's signature schemes");
    }
    r = auth_verify(key, method, auth, (Bytes){octets, size});
    return r > 0 ? peer_auth_refuse(r, method, reason) : r;
}

/* The verdict is the verifier's word, and its key is held against the AUTH; the identity must be
 * the one that was asked about. */
static int verdict_check(Exchange *exchange, const Verdict *verdict, Reason *reason)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    const Bytes public_key = {verdict->public_key, verdict->public_key_size};

    if (!verdict->taken) {
        Reason sentence;

        peer_check_sentence(&verdict->refusal, &sentence);
        return reason_set(reason, (int)peer_error(verdict->refusal.error), "%s", sentence.text);
    }
    if (peer_key_read(&exchange->context->peer_key, public_key, &key) < 0 ||
        strcmp(verdict->identity, exchange->segw->name) != 0) {
        return reason_set(reason, EXCHANGE_E_VERIFIER_FAILED,
                          "The verifier's verdict is about nobody, or its key is none. See "
                          "tred's log");
    }
    return peer_auth_check(exchange, key, verdict->rsa_pkcs1, reason);
}

int exchange_verify_end(Exchange *exchange, const Verdict *verdict, Reason *reason)
{
    int r = EXCHANGE_E_VERIFIER_FAILED;

    assert(exchange->state == EXCHANGE_VERIFYING);
    memory_watch_begin();
    if (verdict)
        r = verdict_check(exchange, verdict, reason);
    if (r == 0)
        r = evidence_new(&exchange->auth.response, &exchange->evidence);
    /* Whatever was found then, it may have been found for want of memory: a wrong signature, or
     * that it is none of the kind that the profile forbids. */
    if (memory_ran_out()) {
        r = -ENOMEM;
        *reason = (Reason){0};
    }
    ERR_clear_error();
    verify_settle(exchange, r == 0 ? EXCHANGE_VERIFIED : EXCHANGE_REFUSED);
    if (r != 0)
        return r;
    exchange->peer_expires = verdict->expires;
    exchange->peer_vouched = verdict->vouched;
    exchange->peer_path = verdict->path;
    (void)snprintf(exchange->peer_identity, sizeof(exchange->peer_identity), "%s",
                   verdict->identity);
    return 0;
}

/* Our AUTH, made once in the TPM (RFC 7296 2.15). */
#include "tred/exchange_internal.h"

#include "crypto/openssl.h"

#include <errno.h>
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

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

static int tpm_sign(const Exchange *exchange, const AuthScheme *scheme, uint8_t *ret,
                    size_t *ret_size, char *reason)
{
    char tpm_reason[TPM_ERROR_SIZE] = "";
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    int r;

    r = own_digest(exchange, scheme->digest, digest, &digest_size);
    if (r < 0)
        return r;
    r = device_key_sign(exchange->context->device_key, scheme->digest, scheme->pss,
                        (Bytes){digest, digest_size}, ret, ret_size, tpm_reason);
    if (r == -EKEYREJECTED) {
        return exchange_refuse(reason, EXCHANGE_E_INTEGRITY_FAILED, "The TPM refuses to sign: %s.",
                               tpm_reason);
    }
    if (r < 0) {
        return exchange_refuse(
            reason, EXCHANGE_E_TPM_FAILED,
            "The TPM did not sign: %s. Nothing was signed; SignAuth may be called again.",
            tpm_reason[0] != '\0' ? tpm_reason : "it gave no reason");
    }
    return 0;
}

int exchange_sign_auth(Exchange *exchange, OwnAuth *ret, char *reason)
{
    DeviceKey *key = exchange->context->device_key;
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t signature_size = 0;
    AuthScheme scheme;
    int r;

    r = exchange_allows(exchange, EXCHANGE_SIGN_AUTH, reason);
    if (r != 0)
        return r;
    if (!key) {
        return exchange_refuse(reason, EXCHANGE_E_TPM_FAILED,
                               "The device key is not loaded. Read the Manager's StateReason.");
    }
    r = auth_scheme_choose(device_key_public(key), exchange->peer_hashes, exchange->n_peer_hashes,
                           &scheme);
    if (r < 0) {
        return exchange_refuse(reason, EXCHANGE_E_METHOD_NOT_ALLOWED,
                               "No authentication method of the profile fits the device key. "
                               "Provision an ECDSA P-256, "
                               "P-384 or RSA-2048 key.");
    }
    r = own_id_encode(exchange);
    if (r < 0)
        return r;
    r = tpm_sign(exchange, &scheme, signature, &signature_size, reason);
    if (r != 0)
        return r;

    /* A signature exists now: whatever fails below, there is no second one. */
    exchange_step(exchange, EXCHANGE_SIGN_AUTH);
    r = auth_data_encode(&scheme, device_key_public(key), (Bytes){signature, signature_size},
                         device_key_pss_salt(key), exchange->auth_data, &exchange->auth_data_size);
    if (r < 0)
        return r;
    exchange->auth_method = scheme.method;
    *ret = (OwnAuth){
        .id_type = IKE_ID_FQDN,
        .id_data = bytes_slice((Bytes){exchange->id_body, exchange->id_body_size},
                               IKE_ID_FIXED_SIZE, exchange->id_body_size),
        .method = scheme.method,
        .data = {exchange->auth_data, exchange->auth_data_size},
    };
    return 0;
}

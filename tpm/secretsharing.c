/* A secret for the holder of a TPM's key, with RSA and with ECC. */
#include "tpm/secretsharing.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

enum { P256_SIZE = 32, P256_POINT_SIZE = 1 + 2 * P256_SIZE };

/* RSAES-OAEP (TPM 2.0 Part 1, B.4): the label takes its zero octet along. */
static int oaep_encrypt(EVP_PKEY *key, const char *label, const Secret *secret,
                        TPM2B_ENCRYPTED_SECRET *ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    unsigned char *copy = OPENSSL_memdup(label, strlen(label) + 1);
    size_t size = sizeof(ret->secret);

    if (!context || !copy || EVP_PKEY_encrypt_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, (int)strlen(label) + 1) != 1) {
        OPENSSL_free(copy);
        return -EIO;
    }
    if (EVP_PKEY_encrypt(context, ret->secret, &size, secret->data, secret->size) != 1)
        return -EIO;
    ret->size = (UINT16)size;
    return 0;
}

static int secret_send(EVP_PKEY *key, const char *label, Secret **ret,
                       TPM2B_ENCRYPTED_SECRET *ret_encrypted)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r = secret_new(TPM_HASH_SIZE, &secret);

    if (r < 0)
        return r;
    if (RAND_priv_bytes(secret->data, (int)secret->size) != 1)
        return -EIO;
    r = oaep_encrypt(key, label, secret, ret_encrypted);
    if (r == 0)
        *ret = steal_pointer(secret);
    return r;
}

static int ecdh(EVP_PKEY *own, EVP_PKEY *peer, Secret **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    _cleanup_(secret_freep) Secret *z = NULL;
    size_t size = P256_SIZE;
    int r;

    r = secret_new(P256_SIZE, &z);
    if (r < 0)
        return r;
    if (!context || EVP_PKEY_derive_init(context) != 1 ||
        /* On the curve, as OpenSSL took it; in the group, as P-256's cofactor is 1. */
        EVP_PKEY_derive_set_peer_ex(context, peer, 0) != 1 ||
        EVP_PKEY_derive(context, z->data, &size) != 1 || size != P256_SIZE)
        return -EIO;
    *ret = steal_pointer(z);
    return 0;
}

/* `point` is 4 | x | y. */
static int point_marshal(const uint8_t *point, TPM2B_ENCRYPTED_SECRET *ret)
{
    TPMS_ECC_POINT q = {.x.size = P256_SIZE, .y.size = P256_SIZE};
    size_t size = 0;

    memcpy(q.x.buffer, point + 1, P256_SIZE);
    memcpy(q.y.buffer, point + 1 + P256_SIZE, P256_SIZE);
    if (Tss2_MU_TPMS_ECC_POINT_Marshal(&q, ret->secret, sizeof(ret->secret), &size) !=
        TSS2_RC_SUCCESS)
        return -EIO;
    ret->size = (UINT16)size;
    return 0;
}

/* One-pass ECDH with a key pair of this call's own: the secret is agreed, not sent (C.6.1, C.6.4).
 */
static int secret_agree(TpmCrypto *crypto, EVP_PKEY *key, const char *label, Secret **ret,
                        TPM2B_ENCRYPTED_SECRET *ret_encrypted)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *ephemeral = EVP_EC_gen("P-256");
    _cleanup_(openssl_free_bytesp) unsigned char *own = NULL, *peer = NULL;
    _cleanup_(secret_freep) Secret *z = NULL;
    int r;

    if (!ephemeral || EVP_PKEY_get1_encoded_public_key(ephemeral, &own) != P256_POINT_SIZE ||
        EVP_PKEY_get1_encoded_public_key(key, &peer) != P256_POINT_SIZE)
        return -EIO;
    r = ecdh(ephemeral, key, &z);
    if (r == 0)
        r = point_marshal(own, ret_encrypted);
    if (r < 0)
        return r;
    return tpm_kdfe(crypto, z, label, (Bytes){own + 1, P256_SIZE}, (Bytes){peer + 1, P256_SIZE},
                    ret);
}

int tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *key, const char *label, Secret **ret,
                     TPM2B_ENCRYPTED_SECRET *ret_encrypted)
{
    int r = -EOPNOTSUPP;

    if (EVP_PKEY_is_a(key, "RSA")) {
        r = secret_send(key, label, ret, ret_encrypted);
    } else if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 8 * P256_SIZE) {
        r = secret_agree(crypto, key, label, ret, ret_encrypted);
    }
    ERR_clear_error();
    return r;
}

/* The cryptography of sessions with the TPM: hashes, HMACs, KDFa and CFB, and secrets shared with a
 * key of its own (TPM 2.0 Part 1, 11.4, 19.6, and Annex B and C). */
#include "tpm/crypto.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* OSSL_PARAM takes no const. */
static char digest_name[] = "SHA256";
static char kdf_mode[] = "COUNTER";
static char kdf_mac[] = "HMAC";

enum {
    INFO_MAX = 160, /* two nonces, two Names, or a label with two coordinates */
};

DEFINE_POINTER_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free);

struct TpmCrypto {
    EVP_MD *sha256;
    EVP_MD_CTX *hash;
    EVP_MAC_CTX *hmac; /* knows its digest, and no key */
    EVP_KDF *kdfa;
    EVP_KDF *kdfe;
    EVP_CIPHER *cfb;
};

static EVP_MAC_CTX *hmac_template(void)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    _cleanup_(EVP_MAC_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;

    return context && EVP_MAC_CTX_set_params(context, params) == 1 ? steal_pointer(context) : NULL;
}

int tpm_crypto_new(TpmCrypto **ret)
{
    _cleanup_(tpm_crypto_freep) TpmCrypto *crypto = calloc(1, sizeof(*crypto));

    if (!crypto)
        return -ENOMEM;
    crypto->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    crypto->hash = EVP_MD_CTX_new();
    crypto->hmac = hmac_template();
    crypto->kdfa = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    crypto->kdfe = EVP_KDF_fetch(NULL, "SSKDF", NULL);
    crypto->cfb = EVP_CIPHER_fetch(NULL, "AES-128-CFB", NULL);
    if (!crypto->sha256 || !crypto->hash || !crypto->hmac || !crypto->kdfa || !crypto->kdfe ||
        !crypto->cfb)
        return -EIO;
    *ret = steal_pointer(crypto);
    return 0;
}

void tpm_crypto_free(TpmCrypto *crypto)
{
    if (!crypto)
        return;
    EVP_MD_free(crypto->sha256);
    EVP_MD_CTX_free(crypto->hash);
    EVP_MAC_CTX_free(crypto->hmac);
    EVP_KDF_free(crypto->kdfa);
    EVP_KDF_free(crypto->kdfe);
    EVP_CIPHER_free(crypto->cfb);
    free(crypto);
}

int tpm_hash(TpmCrypto *crypto, const Bytes *pieces, size_t count, uint8_t *ret)
{
    if (EVP_DigestInit_ex2(crypto->hash, crypto->sha256, NULL) != 1)
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        if (EVP_DigestUpdate(crypto->hash, pieces[i].data, pieces[i].size) != 1)
            return -EIO;
    }
    return EVP_DigestFinal_ex(crypto->hash, ret, NULL) == 1 ? 0 : -EIO;
}

int tpm_hmac(TpmCrypto *crypto, Bytes key, const Bytes *pieces, size_t count, uint8_t *ret)
{
    /* A copy for each, so that the key is wiped with it. */
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = EVP_MAC_CTX_dup(crypto->hmac);
    static const uint8_t no_key[1];
    size_t size = 0;

    if (!context)
        return -ENOMEM;
    /* NULL would mean the key before. */
    if (EVP_MAC_init(context, key.size > 0 ? key.data : no_key, key.size, NULL) != 1)
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        if (EVP_MAC_update(context, pieces[i].data, pieces[i].size) != 1)
            return -EIO;
    }
    return EVP_MAC_final(context, ret, &size, TPM_HASH_SIZE) == 1 ? 0 : -EIO;
}

static int derive(EVP_KDF *kdf, const OSSL_PARAM *params, size_t size, Secret **ret)
{
    _cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r;

    if (!context)
        return -ENOMEM;
    r = secret_new(size, &secret);
    if (r < 0)
        return r;
    if (EVP_KDF_derive(context, secret->data, size, params) != 1)
        return -EIO;
    *ret = steal_pointer(secret);
    return 0;
}

/* OSSL_PARAM takes no const; OpenSSL only reads it. */
static OSSL_PARAM octets_param(const char *name, Bytes octets)
{
    const union {
        const void *constant;
        void *plain;
    } data = {.constant = octets.data};

    return (OSSL_PARAM){.key = name,
                        .data_type = OSSL_PARAM_OCTET_STRING,
                        .data = data.plain,
                        .data_size = octets.size,
                        .return_size = OSSL_PARAM_UNMODIFIED};
}

int tpm_kdfa(TpmCrypto *crypto, Bytes key, const char *label, Bytes context_u, Bytes context_v,
             size_t size, Secret **ret)
{
    uint8_t info[INFO_MAX];
    Writer writer;
    Bytes context;

    writer_init(&writer, info, sizeof(info));
    writer_bytes(&writer, context_u);
    writer_bytes(&writer, context_v);
    if (writer_finish(&writer, &context) < 0)
        return -EINVAL;

    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, kdf_mode, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, kdf_mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0),
        octets_param(OSSL_KDF_PARAM_KEY, key),
        octets_param(OSSL_KDF_PARAM_SALT, (Bytes){(const uint8_t *)label, strlen(label)}),
        octets_param(OSSL_KDF_PARAM_INFO, context),
        OSSL_PARAM_construct_end(),
    };

    return derive(crypto->kdfa, params, size, ret);
}

int tpm_kdfe(TpmCrypto *crypto, const Secret *z, const char *label, Bytes party_u, Bytes party_v,
             Secret **ret)
{
    uint8_t octets[INFO_MAX];
    Writer writer;
    Bytes info;

    writer_init(&writer, octets, sizeof(octets));
    writer_bytes(&writer, (Bytes){(const uint8_t *)label, strlen(label) + 1});
    writer_bytes(&writer, party_u);
    writer_bytes(&writer, party_v);
    if (writer_finish(&writer, &info) < 0)
        return -EINVAL;

    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0),
        octets_param(OSSL_KDF_PARAM_KEY, secret_bytes(z)),
        octets_param(OSSL_KDF_PARAM_INFO, info),
        OSSL_PARAM_construct_end(),
    };

    return derive(crypto->kdfe, params, TPM_HASH_SIZE, ret);
}

int tpm_cfb(TpmCrypto *crypto, bool encrypt, const uint8_t key[TPM_CIPHER_KEY_SIZE],
            const uint8_t iv[TPM_CIPHER_BLOCK_SIZE], uint8_t *data, size_t size)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int done = 0;
    const bool good = context && size <= UINT16_MAX &&
                      EVP_CipherInit_ex2(context, crypto->cfb, key, iv, encrypt, NULL) == 1 &&
                      EVP_CipherUpdate(context, data, &done, data, (int)size) == 1 &&
                      (size_t)done == size;

    EVP_CIPHER_CTX_free(context);
    return good ? 0 : -EIO;
}

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

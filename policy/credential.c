/* How is a secret locked to one TPM and one key in it without having that TPM, and how does the TPM
 * give it out? */
#include "policy/credential.h"

#include "crypto/hmac.h"
#include "crypto/openssl.h"
#include "policy/publickey.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* TPM 2.0 Part 1, 24.4 and B.10.3: this label takes its zero octet along wherever it is used. */
#define IDENTITY_LABEL "IDENTITY"

enum {
    SHA256_SIZE = 32,
    AES_KEY_SIZE = 16,
    AES_BLOCK_SIZE = 16,
    P256_SIZE = 32,
    P256_POINT_SIZE = 1 + 2 * P256_SIZE,
    LABEL_MAX = 16,
};

static char digest_name[] = "SHA256"; /* OSSL_PARAM takes no const */

DEFINE_POINTER_CLEANUP(EVP_KDF, EVP_KDF_free);
DEFINE_POINTER_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free);
DEFINE_POINTER_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

static int kdf_derive(const char *algorithm, const OSSL_PARAM *params, size_t size, Secret **ret)
{
    _cleanup_(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, algorithm, NULL);
    _cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
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

/* KDFa (TPM 2.0 Part 1, 11.4.10.2) is the counter mode of NIST SP 800-108 with HMAC. */
static int kdfa(const Secret *seed, const char *label, Bytes context, size_t size, Secret **ret)
{
    char mode[] = "COUNTER";
    char mac[] = "HMAC";
    char label_copy[LABEL_MAX]; /* OSSL_PARAM takes no const */
    uint8_t context_copy[sizeof(TPM2B_NAME)];

    if (context.size > sizeof(context_copy))
        return -EINVAL;
    (void)snprintf(label_copy, sizeof(label_copy), "%s", label);
    if (context.size > 0)
        memcpy(context_copy, context.data, context.size);

    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, seed->data, seed->size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, label_copy, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, context_copy, context.size),
        OSSL_PARAM_construct_end(),
    };

    return kdf_derive("KBKDF", params, size, ret);
}

/* KDFe (TPM 2.0 Part 1, 11.4.10.3) is the one-step derivation of NIST SP 800-56C with a hash. */
static int kdfe(const Secret *z, const uint8_t *party_u, const uint8_t *party_v, Secret **ret)
{
    uint8_t info[sizeof(IDENTITY_LABEL) + (size_t)2 * P256_SIZE];
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z->data, z->size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
        OSSL_PARAM_construct_end(),
    };
    Writer writer;

    writer_init(&writer, info, sizeof(info));
    writer_bytes(&writer, (Bytes){(const uint8_t *)IDENTITY_LABEL, sizeof(IDENTITY_LABEL)});
    writer_bytes(&writer, (Bytes){party_u, P256_SIZE});
    writer_bytes(&writer, (Bytes){party_v, P256_SIZE});
    if (writer.overflow)
        return -ENOBUFS;
    return kdf_derive("SSKDF", params, SHA256_SIZE, ret);
}

/* The seed in RSAES-OAEP (TPM 2.0 Part 1, B.10.3). */
static int seed_encrypt_rsa(EVP_PKEY *ek, const Secret *seed, TPM2B_ENCRYPTED_SECRET *ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(ek, NULL);
    unsigned char *label = OPENSSL_memdup(IDENTITY_LABEL, sizeof(IDENTITY_LABEL));
    size_t size = sizeof(ret->secret);

    if (!context || !label || EVP_PKEY_encrypt_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set0_rsa_oaep_label(context, label, sizeof(IDENTITY_LABEL)) != 1) {
        OPENSSL_free(label);
        return -EIO;
    }
    if (EVP_PKEY_encrypt(context, ret->secret, &size, seed->data, seed->size) != 1)
        return -EIO;
    ret->size = (UINT16)size;
    return 0;
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
        EVP_PKEY_derive_set_peer(context, peer) != 1 ||
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

/* One-pass ECDH with a key pair of this call's own: the seed is agreed, not sent (TPM 2.0 Part 1,
 * C.6.4). */
static int seed_agree_ecc(EVP_PKEY *ek, const TPMS_ECC_POINT *ek_point, Secret **ret_seed,
                          TPM2B_ENCRYPTED_SECRET *ret)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *ephemeral = EVP_EC_gen("P-256");
    _cleanup_(openssl_free_bytesp) unsigned char *point = NULL;
    _cleanup_(secret_freep) Secret *z = NULL;
    uint8_t ek_x[P256_SIZE];
    int r;

    if (!ephemeral || EVP_PKEY_get1_encoded_public_key(ephemeral, &point) != P256_POINT_SIZE ||
        tpm_integer_pad((Bytes){ek_point->x.buffer, ek_point->x.size}, ek_x, P256_SIZE) < 0)
        return -EIO;
    r = ecdh(ephemeral, ek, &z);
    if (r == 0)
        r = point_marshal(point, ret);
    if (r == 0)
        r = kdfe(z, point + 1, ek_x, ret_seed);
    return r;
}

static int seed_make(const TPM2B_PUBLIC *ek, Secret **ret_seed, TPM2B_ENCRYPTED_SECRET *ret)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
    _cleanup_(secret_freep) Secret *seed = NULL;
    int r = tpm_public_to_pkey(ek, &pkey);

    if (r < 0)
        return -EINVAL;
    if (ek->publicArea.type == TPM2_ALG_ECC)
        return seed_agree_ecc(pkey, &ek->publicArea.unique.ecc, ret_seed, ret);
    r = secret_new(SHA256_SIZE, &seed);
    if (r < 0)
        return r;
    if (RAND_priv_bytes(seed->data, (int)seed->size) != 1)
        return -EIO;
    r = seed_encrypt_rsa(pkey, seed, ret);
    if (r == 0)
        *ret_seed = steal_pointer(seed);
    return r;
}

/* encIdentity: the secret as TPM2B_DIGEST, AES-128-CFB with a zero IV under a key that no other
 * secret has (TPM 2.0 Part 1, 24.4). */
static int identity_encrypt(const Secret *seed, Bytes name, const Secret *secret, uint8_t *ret)
{
    static const uint8_t iv[AES_BLOCK_SIZE] = {0};
    const uint8_t size[] = {0, CREDENTIAL_SECRET_SIZE};
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    _cleanup_(secret_freep) Secret *key = NULL;
    int length[2] = {0, 0};
    int r;

    if (!context)
        return -ENOMEM;
    r = kdfa(seed, "STORAGE", name, AES_KEY_SIZE, &key);
    if (r < 0)
        return r;
    if (EVP_EncryptInit_ex2(context, EVP_aes_128_cfb128(), key->data, iv, NULL) != 1 ||
        EVP_EncryptUpdate(context, ret, &length[0], size, sizeof(size)) != 1 ||
        EVP_EncryptUpdate(context, ret + length[0], &length[1], secret->data, (int)secret->size) !=
            1 ||
        length[0] + length[1] != (int)(sizeof(size) + CREDENTIAL_SECRET_SIZE))
        return -EIO;
    return 0;
}

/* outerHMAC, which ties the secret to the key's Name. */
static int outer_hmac(const Secret *seed, Bytes identity, Bytes name, uint8_t *ret)
{
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    _cleanup_(secret_freep) Secret *key = NULL;
    size_t size = 0;
    int r;

    r = kdfa(seed, "INTEGRITY", (Bytes){0}, SHA256_SIZE, &key);
    if (r == 0)
        r = hmac_new(digest_name, secret_bytes(key), &context);
    if (r < 0)
        return r;
    return EVP_MAC_update(context, identity.data, identity.size) == 1 &&
                   EVP_MAC_update(context, name.data, name.size) == 1 &&
                   EVP_MAC_final(context, ret, &size, SHA256_SIZE) == 1 && size == SHA256_SIZE
               ? 0
               : -EIO;
}

static int blob_make(const Secret *seed, Bytes name, const Secret *secret, TPM2B_ID_OBJECT *ret)
{
    uint8_t identity_data[sizeof(uint16_t) + CREDENTIAL_SECRET_SIZE];
    const Bytes identity = BYTES_OF(identity_data);
    uint8_t hmac[SHA256_SIZE];
    Bytes written;
    Writer writer;
    int r;

    r = identity_encrypt(seed, name, secret, identity_data);
    if (r == 0)
        r = outer_hmac(seed, identity, name, hmac);
    if (r < 0)
        return r;
    writer_init(&writer, ret->credential, sizeof(ret->credential));
    writer_u16(&writer, SHA256_SIZE);
    writer_bytes(&writer, BYTES_OF(hmac));
    writer_bytes(&writer, identity);
    r = writer_finish(&writer, &written);
    ret->size = (UINT16)(r == 0 ? written.size : 0);
    return r;
}

int credential_make(const TPM2B_PUBLIC *ek, const TPM2B_NAME *name, const Secret *secret,
                    Credential *ret)
{
    _cleanup_(secret_freep) Secret *seed = NULL;
    Credential credential = {0};
    EndorsementTemplate template;
    int r;

    if (secret->size != CREDENTIAL_SECRET_SIZE || endorsement_template_of(ek, &template) < 0)
        return -EINVAL;
    r = seed_make(ek, &seed, &credential.secret);
    if (r == 0)
        r = blob_make(seed, (Bytes){name->name, name->size}, secret, &credential.blob);
    ERR_clear_error();
    if (r == 0)
        *ret = credential;
    return r;
}

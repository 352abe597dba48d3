/* The octets that an AUTH payload covers, and the forms in which its signature travels (RFC 7296
 * 2.15, RFC 7427). */
#include "tred/auth.h"

#include "base/bytes.h"
#include "crypto/auth_algorithm.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"

#include <errno.h>
#include <string.h>

int auth_signed_octets(const Prf *prf, const Secret *sk_p, Bytes message, Bytes nonce,
                       Bytes id_body, uint8_t **ret, size_t *ret_size)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    uint8_t maced_id[PRF_SIZE_MAX];
    size_t size = message.size + nonce.size + prf->size;
    Bytes whole;
    Writer writer;
    int r;

    octets = malloc(size);
    if (!octets)
        return -ENOMEM;
    writer_init(&writer, octets, size);
    writer_bytes(&writer, message);
    writer_bytes(&writer, nonce);
    r = prf_compute(prf, sk_p, id_body, maced_id);
    if (r == 0) {
        writer_bytes(&writer, (Bytes){maced_id, prf->size});
        r = writer_finish(&writer, &whole);
    }
    if (r < 0)
        return r;
    *ret = steal_pointer(octets);
    *ret_size = size;
    return 0;
}

/* The keys that the profile has (TS 33.310 6.1.3a, 6.2.1b). */
typedef enum KeyKind { KEY_UNFIT, KEY_P256, KEY_P384, KEY_RSA } KeyKind;

enum { RSA_BITS_MIN = 2048, GROUP_NAME_SIZE = 64, COORDINATE_SIZE_MAX = 48, ECDSA_DER_MAX = 128 };

static KeyKind key_kind(const EVP_PKEY *key)
{
    char group[GROUP_NAME_SIZE] = "";

    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN ? KEY_RSA : KEY_UNFIT;
    if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
        return KEY_UNFIT;
    if (strcmp(group, "prime256v1") == 0)
        return KEY_P256;
    return strcmp(group, "secp384r1") == 0 ? KEY_P384 : KEY_UNFIT;
}

/* The size of r and of s in a raw signature; 0 for RSA. */
static size_t key_half(KeyKind kind)
{
    if (kind == KEY_P256)
        return 32;
    return kind == KEY_P384 ? 48 : 0;
}

/* What each kind of key signs with: the hash for method 14, and the method without it. */
typedef struct KeyMethods {
    KeyKind kind;
    uint16_t hash;
    const char *digest;
    bool pss; /* with method 14 */
    uint8_t classic_method;
} KeyMethods;

static const KeyMethods KEY_METHODS[] = {
    {KEY_P256, IKE_HASH_SHA2_256, "SHA256", false, IKE_AUTH_ECDSA_SHA256_P256},
    {KEY_P384, IKE_HASH_SHA2_384, "SHA384", false, IKE_AUTH_ECDSA_SHA384_P384},
    {KEY_RSA, IKE_HASH_SHA2_256, "SHA256", true, IKE_AUTH_RSA},
};

int auth_scheme_choose(const EVP_PKEY *public_key, const uint16_t *peer_hashes, size_t count,
                       AuthScheme *ret)
{
    KeyKind kind = key_kind(public_key);

    for (size_t i = 0; i < ELEMENTS(KEY_METHODS); i++) {
        const KeyMethods *methods = &KEY_METHODS[i];

        if (methods->kind != kind)
            continue;
        *ret = (AuthScheme){.method = methods->classic_method, .digest = methods->digest};
        for (size_t j = 0; j < count; j++) {
            if (peer_hashes[j] == methods->hash)
                *ret = (AuthScheme){IKE_AUTH_DIGITAL_SIGNATURE, methods->digest, methods->pss};
        }
        return 0;
    }
    return -EOPNOTSUPP;
}

int auth_ecdsa_der(Bytes r, Bytes s, uint8_t *ret, size_t capacity, size_t *ret_size)
{
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *signature = ECDSA_SIG_new();
    _cleanup_(BN_freep) BIGNUM *r_number = NULL, *s_number = NULL;
    unsigned char *cursor = ret;
    int size;

    if (r.size > COORDINATE_SIZE_MAX || s.size > COORDINATE_SIZE_MAX)
        return -EINVAL;
    r_number = BN_bin2bn(r.data, (int)r.size, NULL);
    s_number = BN_bin2bn(s.data, (int)s.size, NULL);
    if (!signature || !r_number || !s_number)
        return -ENOMEM;
    if (BN_is_zero(r_number) || BN_is_zero(s_number))
        return -EINVAL;
    if (!ECDSA_SIG_set0(signature, r_number, s_number))
        return -EIO;
    r_number = s_number = NULL; /* the signature's now */
    size = i2d_ECDSA_SIG(signature, NULL);
    if (size <= 0)
        return -EIO;
    if ((size_t)size > capacity)
        return -ENOBUFS;
    *ret_size = (size_t)i2d_ECDSA_SIG(signature, &cursor);
    return 0;
}

/* RFC 7427 3: length of the AlgorithmIdentifier, AlgorithmIdentifier, signature. */
static int digital_signature_encode(const AuthScheme *scheme, KeyKind kind, Bytes signature,
                                    int pss_salt, Writer *writer)
{
    const AuthAlgorithm algorithm = {
        .ecdsa = kind != KEY_RSA,
        .pss = scheme->pss,
        .digest = scheme->digest,
        .salt = pss_salt,
    };
    uint8_t identifier[UINT8_MAX], der[ECDSA_DER_MAX];
    size_t half = key_half(kind), size = 0;
    int r;

    r = auth_algorithm_encode(&algorithm, identifier, sizeof(identifier), &size);
    if (r < 0)
        return r;
    writer_u8(writer, (uint8_t)size);
    writer_bytes(writer, (Bytes){identifier, size});
    if (kind == KEY_RSA) {
        writer_bytes(writer, signature);
        return 0;
    }
    r = auth_ecdsa_der(bytes_slice(signature, 0, half), bytes_slice(signature, half, half), der,
                       sizeof(der), &size);
    if (r < 0)
        return r;
    writer_bytes(writer, (Bytes){der, size});
    return 0;
}

int auth_data_encode(const AuthScheme *scheme, const EVP_PKEY *public_key, Bytes signature,
                     int pss_salt, uint8_t *ret, size_t *ret_size)
{
    KeyKind kind = key_kind(public_key);
    size_t size = kind == KEY_RSA ? (size_t)EVP_PKEY_get_size(public_key) : 2 * key_half(kind);
    Writer writer;
    Bytes whole;
    int r;

    if (kind == KEY_UNFIT || signature.size != size || (scheme->pss && kind != KEY_RSA))
        return -EINVAL;
    writer_init(&writer, ret, AUTH_DATA_MAX);
    if (scheme->method == IKE_AUTH_DIGITAL_SIGNATURE) {
        r = digital_signature_encode(scheme, kind, signature, pss_salt, &writer);
        if (r < 0)
            return r;
    } else {
        writer_bytes(&writer, signature); /* RFC 4754 7, RFC 7296 2.15 */
    }
    r = writer_finish(&writer, &whole);
    if (r < 0)
        return r;
    *ret_size = whole.size;
    return 0;
}

static int signature_verify(EVP_PKEY *key, const AuthAlgorithm *algorithm, Bytes signature,
                            Bytes octets)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL; /* the context's */

    if (!context)
        return -EIO;
    if (EVP_DigestVerifyInit_ex(context, &key_context, algorithm->digest, NULL, NULL, key, NULL) <=
        0)
        return -EIO;
    if (algorithm->pss &&
        (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) <= 0 ||
         EVP_PKEY_CTX_set_rsa_mgf1_md_name(key_context, algorithm->digest, NULL) <= 0 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, algorithm->salt) <= 0))
        return -EIO;
    if (EVP_DigestVerify(context, signature.data, signature.size, octets.data, octets.size) != 1)
        return AUTH_E_SIGNATURE;
    return 0;
}

/* RFC 4754 7: r | s, each as long as the curve's order. */
static int raw_ecdsa_verify(EVP_PKEY *key, const char *digest, Bytes auth_data, Bytes octets)
{
    const AuthAlgorithm algorithm = {.ecdsa = true, .digest = digest};
    size_t half = key_half(key_kind(key)), size;
    uint8_t der[ECDSA_DER_MAX];
    int r;

    if (auth_data.size != 2 * half)
        return AUTH_E_ENCODING;
    r = auth_ecdsa_der(bytes_slice(auth_data, 0, half), bytes_slice(auth_data, half, half), der,
                       sizeof(der), &size);
    if (r == -EINVAL)
        return AUTH_E_SIGNATURE; /* r or s is zero */
    if (r < 0)
        return r;
    return signature_verify(key, &algorithm, (Bytes){der, size}, octets);
}

/* RFC 7296 2.15: PKCS#1 v1.5 with a hash that the data does not name outside the signature. SHA-1,
 * which the RFC has as the default, is never taken (TS 33.310 6.2.1b), but told from a signature
 * with another key. */
static int raw_rsa_verify(EVP_PKEY *key, Bytes auth_data, Bytes octets)
{
    static const char *const DIGESTS[] = {"SHA256", "SHA384", "SHA512"};

    for (size_t i = 0; i < ELEMENTS(DIGESTS); i++) {
        const AuthAlgorithm algorithm = {.digest = DIGESTS[i]};
        int r = signature_verify(key, &algorithm, auth_data, octets);

        if (r != AUTH_E_SIGNATURE)
            return r;
    }
    const AuthAlgorithm sha1 = {.digest = "SHA1"};
    return signature_verify(key, &sha1, auth_data, octets) == 0 ? AUTH_E_SHA1 : AUTH_E_SIGNATURE;
}

/* True if `der` is one ECDSA-Sig-Value in DER, and nothing after it. */
static bool ecdsa_is_canonical(Bytes der)
{
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *signature = NULL;
    const unsigned char *cursor = der.data;
    unsigned char again[ECDSA_DER_MAX], *end = again;

    if (der.size > sizeof(again))
        return false;
    signature = d2i_ECDSA_SIG(NULL, &cursor, (long)der.size);
    if (!signature)
        return false;
    if (i2d_ECDSA_SIG(signature, NULL) != (int)der.size)
        return false;
    (void)i2d_ECDSA_SIG(signature, &end);
    return memcmp(again, der.data, der.size) == 0;
}

/* RFC 7427 3: takes method 14's AUTH data apart. 0 or AUTH_E_…. */
static int digital_signature_decode(Bytes auth_data, AuthAlgorithm *ret_algorithm,
                                    Bytes *ret_signature)
{
    Bytes identifier;
    uint8_t size;
    Reader reader;
    int r;

    reader_init(&reader, auth_data);
    if (reader_u8(&reader, &size) < 0 || reader_take(&reader, size, &identifier) < 0)
        return AUTH_E_ENCODING;
    *ret_signature = reader_rest(&reader);
    r = auth_algorithm_decode(identifier, ret_algorithm);
    if (r != 0)
        return r == AUTH_ALGORITHM_E_ENCODING ? AUTH_E_ENCODING : AUTH_E_METHOD;
    return 0;
}

static int digital_signature_verify(EVP_PKEY *key, Bytes auth_data, Bytes octets)
{
    AuthAlgorithm algorithm;
    Bytes signature;
    int r;

    r = digital_signature_decode(auth_data, &algorithm, &signature);
    if (r != 0)
        return r;
    if (algorithm.ecdsa != (key_kind(key) != KEY_RSA))
        return AUTH_E_METHOD;
    if (algorithm.ecdsa && !ecdsa_is_canonical(signature))
        return AUTH_E_ENCODING;
    return signature_verify(key, &algorithm, signature, octets);
}

int auth_verify(EVP_PKEY *peer_key, uint8_t method, Bytes auth_data, Bytes octets)
{
    KeyKind kind = key_kind(peer_key);

    if (kind == KEY_UNFIT)
        return AUTH_E_METHOD;
    switch (method) {
    case IKE_AUTH_DIGITAL_SIGNATURE:
        return digital_signature_verify(peer_key, auth_data, octets);
    case IKE_AUTH_ECDSA_SHA256_P256:
        return kind == KEY_P256 ? raw_ecdsa_verify(peer_key, "SHA256", auth_data, octets)
                                : AUTH_E_METHOD;
    case IKE_AUTH_ECDSA_SHA384_P384:
        return kind == KEY_P384 ? raw_ecdsa_verify(peer_key, "SHA384", auth_data, octets)
                                : AUTH_E_METHOD;
    case IKE_AUTH_RSA:
        return kind == KEY_RSA ? raw_rsa_verify(peer_key, auth_data, octets) : AUTH_E_METHOD;
    default:
        return AUTH_E_METHOD;
    }
}

bool auth_is_rsa_pkcs1(const EVP_PKEY *peer_key, uint8_t method, Bytes auth_data)
{
    AuthAlgorithm algorithm;
    Bytes signature;

    if (method == IKE_AUTH_RSA)
        return true;
    return method == IKE_AUTH_DIGITAL_SIGNATURE && key_kind(peer_key) == KEY_RSA &&
           digital_signature_decode(auth_data, &algorithm, &signature) == 0 && !algorithm.ecdsa &&
           !algorithm.pss;
}

/* OpenSSL's name of an IKE_HASH_…; NULL for one outside the profile. */
static const char *hash_digest(uint16_t hash)
{
    switch (hash) {
    case IKE_HASH_SHA2_256:
        return "SHA256";
    case IKE_HASH_SHA2_384:
        return "SHA384";
    case IKE_HASH_SHA2_512:
        return "SHA512";
    default:
        return NULL;
    }
}

bool auth_hash_is_announced(uint8_t method, Bytes auth_data, const uint16_t *hashes, size_t count)
{
    AuthAlgorithm algorithm;
    Bytes signature;

    if (method != IKE_AUTH_DIGITAL_SIGNATURE ||
        digital_signature_decode(auth_data, &algorithm, &signature) != 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        const char *digest = hash_digest(hashes[i]);

        if (digest && strcmp(digest, algorithm.digest) == 0)
            return true;
    }
    return false;
}

/* ---- the SeGW's public key ---- */

static void key_keep(PeerKey *last, Bytes public_key, EVP_PKEY *key)
{
    if (public_key.size > sizeof(last->octets) || EVP_PKEY_up_ref(key) != 1)
        return;
    EVP_PKEY_free(last->key);
    last->key = key;
    memcpy(last->octets, public_key.data, public_key.size);
    last->size = public_key.size;
}

int peer_key_read(PeerKey *last, Bytes public_key, EVP_PKEY **ret)
{
    int r;

    if (last->key && bytes_equal(public_key, (Bytes){last->octets, last->size}) &&
        EVP_PKEY_up_ref(last->key) == 1) {
        *ret = last->key;
        return 0;
    }
    r = spki_decode(public_key, ret);
    if (r == 0)
        key_keep(last, public_key, *ret);
    return r;
}

void peer_key_deinit(PeerKey *last)
{
    EVP_PKEY_free(last->key);
    *last = (PeerKey){0};
}

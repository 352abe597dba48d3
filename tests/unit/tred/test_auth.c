/* Is an AUTH made and judged by its method, its key and its exact form? */
#include "octets_fixture.h"
#include "openssl_memory.h"

#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "tred/auth.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIGNATURE_MAX = 512, TPM_MAX_SALT = 222 };

static const uint8_t octets[] = "what an AUTH covers";

/* Made once, as RSA keys take their time. */
typedef struct Keys {
    EVP_PKEY *p256, *p384, *p521, *rsa, *weak_rsa, *ed25519;
} Keys;

static int keys_new(void **state)
{
    Keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return -1;
    keys->p256 = EVP_EC_gen("P-256");
    keys->p384 = EVP_EC_gen("P-384");
    keys->p521 = EVP_EC_gen("P-521");
    keys->rsa = EVP_RSA_gen(2048);
    keys->weak_rsa = EVP_RSA_gen(1024);
    keys->ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    *state = keys;
    return 0;
}

static int keys_free(void **state)
{
    Keys *keys = *state;

    EVP_PKEY_free(keys->p256);
    EVP_PKEY_free(keys->p384);
    EVP_PKEY_free(keys->p521);
    EVP_PKEY_free(keys->rsa);
    EVP_PKEY_free(keys->weak_rsa);
    EVP_PKEY_free(keys->ed25519);
    free(keys);
    return 0;
}

/* A signature as the library writes it. */
static Octets library_sign(EVP_PKEY *key, const char *digest, bool pss, int salt)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    Octets signature = {.size = sizeof(signature.data)};

    assert_true(EVP_DigestSignInit_ex(context, &key_context, digest, NULL, NULL, key, NULL) > 0);
    if (pss) {
        assert_true(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) > 0);
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, salt) > 0);
    }
    assert_true(EVP_DigestSign(context, signature.data, &signature.size, octets, sizeof(octets)) >
                0);
    return signature;
}

/* ECDSA's r | s, as a TPM gives it. */
static Octets raw_from_der(const Octets *der, size_t half)
{
    const unsigned char *cursor = der->data;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &cursor, (long)der->size);
    Octets raw = {.size = 2 * half};

    assert_non_null(signature);
    assert_true(BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw.data, (int)half) > 0);
    assert_true(BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw.data + half, (int)half) > 0);
    return raw;
}

/* What a TPM would sign with this key and scheme. */
static Octets tpm_sign(EVP_PKEY *key, const AuthScheme *scheme, int salt)
{
    Octets signature = library_sign(key, scheme->digest, scheme->pss, salt);

    if (EVP_PKEY_is_a(key, "RSA"))
        return signature;
    return raw_from_der(&signature, (size_t)(EVP_PKEY_get_bits(key) + 7) / 8);
}

static Octets auth_data_make(EVP_PKEY *key, const AuthScheme *scheme, int salt)
{
    Octets signature = tpm_sign(key, scheme, salt), data = {0};

    assert_int_equal(
        auth_data_encode(scheme, key, octets_bytes(&signature), salt, data.data, &data.size), 0);
    return data;
}

static int verify(EVP_PKEY *key, uint8_t method, const Octets *data)
{
    return auth_verify(key, method, octets_bytes(data), BYTES_OF(octets));
}

static AuthScheme scheme_for(const EVP_PKEY *key, uint16_t peer_hash)
{
    AuthScheme scheme = {0};

    assert_int_equal(auth_scheme_choose(key, &peer_hash, peer_hash ? 1 : 0, &scheme), 0);
    return scheme;
}

/* Method 14's data from its parts. */
static Octets digital_signature(const char *algorithm_hex, const Octets *signature)
{
    Octets algorithm = octets_from_hex(algorithm_hex), data = {0};
    Bytes whole;
    Writer writer;

    writer_init(&writer, data.data, sizeof(data.data));
    writer_u8(&writer, (uint8_t)algorithm.size);
    writer_bytes(&writer, octets_bytes(&algorithm));
    writer_bytes(&writer, octets_bytes(signature));
    assert_int_equal(writer_finish(&writer, &whole), 0);
    data.size = whole.size;
    return data;
}

#define ECDSA_SHA256 "300a06082a8648ce3d040302"
#define ECDSA_SHA384 "300a06082a8648ce3d040303"
#define RSA_SHA256 "300d06092a864886f70d01010b0500"

static void the_signed_octets_are_message_nonce_and_maced_id(void **state)
{
    (void)state;
    static const uint8_t message[] = "message", nonce[] = "nonce", id[] = "id";
    const Prf *prf = prf_find(IKE_PRF_HMAC_SHA2_256);
    _cleanup_(secret_freep) Secret *sk_p = secret_from_hex("000102030405060708090a0b0c0d0e0f"
                                                           "101112131415161718191a1b1c1d1e1f");
    _cleanup_(free_bytesp) uint8_t *found = NULL;
    size_t size = 0;

    assert_int_equal(auth_signed_octets(prf, sk_p, (Bytes){message, 7}, (Bytes){nonce, 5},
                                        (Bytes){id, 2}, &found, &size),
                     0);
    /* The last 32 octets by Python: hmac.digest(bytes(range(32)), b"id", "sha256") */
    assert_octets((Bytes){found, size},
                  "6d657373616765 6e6f6e6365"
                  "8adc89f941958303437a8bc95f97f9cf2e160dcb63ebfe5a2b5c6b773272401e");
}

static void method_14_is_chosen_where_the_peer_has_our_hash(void **state)
{
    const Keys *keys = *state;
    AuthScheme scheme = scheme_for(keys->p256, IKE_HASH_SHA2_256);

    assert_int_equal(scheme.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_string_equal(scheme.digest, "SHA256");
    scheme = scheme_for(keys->p384, IKE_HASH_SHA2_384);
    assert_int_equal(scheme.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_string_equal(scheme.digest, "SHA384");
    scheme = scheme_for(keys->rsa, IKE_HASH_SHA2_256);
    assert_int_equal(scheme.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_true(scheme.pss);
}

static void the_keys_own_method_is_chosen_otherwise(void **state)
{
    const Keys *keys = *state;
    AuthScheme scheme = scheme_for(keys->p256, 0);

    assert_int_equal(scheme.method, IKE_AUTH_ECDSA_SHA256_P256);
    scheme = scheme_for(keys->p384, IKE_HASH_SHA2_256); /* not the hash that fits */
    assert_int_equal(scheme.method, IKE_AUTH_ECDSA_SHA384_P384);
    scheme = scheme_for(keys->rsa, 0);
    assert_int_equal(scheme.method, IKE_AUTH_RSA);
    assert_string_equal(scheme.digest, "SHA256");
    assert_false(scheme.pss);
}

static void keys_outside_the_profile_have_no_method(void **state)
{
    const Keys *keys = *state;
    const EVP_PKEY *unfit[] = {keys->p521, keys->weak_rsa, keys->ed25519};
    AuthScheme scheme;

    for (size_t i = 0; i < ELEMENTS(unfit); i++)
        assert_int_equal(auth_scheme_choose(unfit[i], NULL, 0, &scheme), -EOPNOTSUPP);
}

static void what_we_make_verifies_with_every_key_and_method(void **state)
{
    const Keys *keys = *state;
    EVP_PKEY *fit[] = {keys->p256, keys->p384, keys->rsa};
    static const uint16_t hashes[] = {0, IKE_HASH_SHA2_256, IKE_HASH_SHA2_384};

    for (size_t i = 0; i < ELEMENTS(fit); i++) {
        for (size_t j = 0; j < ELEMENTS(hashes); j++) {
            const AuthScheme scheme = scheme_for(fit[i], hashes[j]);
            Octets data = auth_data_make(fit[i], &scheme, 32);

            assert_int_equal(verify(fit[i], scheme.method, &data), 0);
            assert_int_equal(
                auth_verify(fit[i], scheme.method, octets_bytes(&data), (Bytes){octets, 5}),
                AUTH_E_SIGNATURE);
        }
    }
}

static void pkcs1_padding_is_told_from_pss_and_ecdsa(void **state)
{
    const Keys *keys = *state;
    const AuthScheme pkcs1 = {.method = IKE_AUTH_DIGITAL_SIGNATURE, .digest = "SHA256"};
    const AuthScheme pss = scheme_for(keys->rsa, IKE_HASH_SHA2_256);
    const AuthScheme ecdsa = scheme_for(keys->p256, IKE_HASH_SHA2_256);
    Octets of_pkcs1 = auth_data_make(keys->rsa, &pkcs1, 32);
    Octets of_pss = auth_data_make(keys->rsa, &pss, 32);
    Octets of_ecdsa = auth_data_make(keys->p256, &ecdsa, 32);

    assert_true(auth_is_rsa_pkcs1(keys->rsa, IKE_AUTH_RSA, octets_bytes(&of_pkcs1)));
    assert_true(auth_is_rsa_pkcs1(keys->rsa, pkcs1.method, octets_bytes(&of_pkcs1)));
    assert_false(auth_is_rsa_pkcs1(keys->rsa, pss.method, octets_bytes(&of_pss)));
    assert_false(auth_is_rsa_pkcs1(keys->p256, ecdsa.method, octets_bytes(&of_ecdsa)));
}

static void only_method_14_has_a_hash_to_be_announced(void **state)
{
    static const uint16_t sha384[] = {IKE_HASH_SHA2_384}, both[] = {1, IKE_HASH_SHA2_256};
    static const uint8_t ecdsa_sha256[] = {12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                           0xce, 0x3d, 0x04, 0x03, 0x02, 0x30, 0x00};
    const Bytes data = BYTES_OF(ecdsa_sha256);

    (void)state;
    assert_true(auth_hash_is_announced(IKE_AUTH_DIGITAL_SIGNATURE, data, both, 2));
    assert_false(auth_hash_is_announced(IKE_AUTH_DIGITAL_SIGNATURE, data, sha384, 1));
    assert_false(auth_hash_is_announced(IKE_AUTH_DIGITAL_SIGNATURE, data, NULL, 0));
    assert_true(auth_hash_is_announced(IKE_AUTH_ECDSA_SHA256_P256, data, sha384, 1));
    assert_true(auth_hash_is_announced(IKE_AUTH_RSA, data, NULL, 0));
    /* auth_verify() says what is wrong with it. */
    assert_true(auth_hash_is_announced(IKE_AUTH_DIGITAL_SIGNATURE, (Bytes){0}, NULL, 0));
}

static void a_tpms_longest_pss_salt_is_said_and_verifies(void **state)
{
    const Keys *keys = *state;
    const AuthScheme scheme = scheme_for(keys->rsa, IKE_HASH_SHA2_256);
    Octets data = auth_data_make(keys->rsa, &scheme, TPM_MAX_SALT);

    assert_int_equal(verify(keys->rsa, scheme.method, &data), 0);
}

static void a_pss_salt_of_another_length_than_is_said_is_refused(void **state)
{
    const Keys *keys = *state;
    const AuthScheme scheme = scheme_for(keys->rsa, IKE_HASH_SHA2_256);

    for (int said = 32; said <= 40; said += 8) {
        for (int used = 32; used <= 40; used += 8) {
            Octets signature = tpm_sign(keys->rsa, &scheme, used), data = {0};

            assert_int_equal(auth_data_encode(&scheme, keys->rsa, octets_bytes(&signature), said,
                                              data.data, &data.size),
                             0);
            assert_int_equal(verify(keys->rsa, scheme.method, &data),
                             said == used ? 0 : AUTH_E_SIGNATURE);
        }
    }
}

static void der_integers_are_minimal(void **state)
{
    (void)state;
    static const struct {
        const char *r, *s, *der;
    } cases[] = {
        {"0000000000000001", "000000000000007f", "300602010102017f"},
        {"0000000000000080", "00000000000000ff", "3008020200800202 00ff"},
        {"00ffffffffffffff", "7fffffffffffffff", "3014020800ffffffffffffff02087fffffffffffffff"},
        {"ffffffffffffffff", "0080000000000000", "3015020900ffffffffffffffff02080080000000000000"},
        {"0000007f00000000", "8000000000000000", "301202057f00000000 0209008000000000000000"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Octets r = octets_from_hex(cases[i].r), s = octets_from_hex(cases[i].s);
        uint8_t der[64];
        size_t size = 0;

        assert_int_equal(
            auth_ecdsa_der(octets_bytes(&r), octets_bytes(&s), der, sizeof(der), &size), 0);
        assert_octets((Bytes){der, size}, cases[i].der);
    }
}

static void der_of_no_number_or_without_room_is_refused(void **state)
{
    (void)state;
    static const uint8_t zero[32], one[32] = {[31] = 1}, long_one[49] = {[48] = 1};
    uint8_t der[64];
    size_t size;

    assert_int_equal(auth_ecdsa_der(BYTES_OF(zero), BYTES_OF(one), der, sizeof(der), &size),
                     -EINVAL);
    assert_int_equal(auth_ecdsa_der(BYTES_OF(one), BYTES_OF(zero), der, sizeof(der), &size),
                     -EINVAL);
    assert_int_equal(auth_ecdsa_der(BYTES_OF(one), BYTES_OF(long_one), der, sizeof(der), &size),
                     -EINVAL);
    /* 30 06 02 01 01 02 01 01 */
    assert_int_equal(auth_ecdsa_der(BYTES_OF(one), BYTES_OF(one), der, 7, &size), -ENOBUFS);
    assert_int_equal(auth_ecdsa_der(BYTES_OF(one), BYTES_OF(one), der, 8, &size), 0);
}

/* Signs until r (or s) has a leading zero octet, which one signature in 256 has. */
static Octets sign_with_leading_zero(EVP_PKEY *key, const AuthScheme *scheme, size_t offset)
{
    enum { TRIES = 20000 };

    for (size_t i = 0; i < TRIES; i++) {
        Octets signature = tpm_sign(key, scheme, 0);

        if (signature.data[offset] == 0)
            return signature;
    }
    fail_msg("no leading zero in %d signatures", TRIES);
    return (Octets){0};
}

static void real_signatures_with_leading_zeros_verify(void **state)
{
    const Keys *keys = *state;
    static const uint16_t hashes[] = {0, IKE_HASH_SHA2_256};
    static const size_t offsets[] = {0, 32}; /* of r, of s */

    for (size_t i = 0; i < ELEMENTS(hashes); i++) {
        for (size_t j = 0; j < ELEMENTS(offsets); j++) {
            const AuthScheme scheme = scheme_for(keys->p256, hashes[i]);
            Octets signature = sign_with_leading_zero(keys->p256, &scheme, offsets[j]);
            Octets data = {0};

            assert_int_equal(auth_data_encode(&scheme, keys->p256, octets_bytes(&signature), 0,
                                              data.data, &data.size),
                             0);
            assert_int_equal(verify(keys->p256, scheme.method, &data), 0);
        }
    }
}

static void a_signature_of_another_size_is_not_encoded(void **state)
{
    const Keys *keys = *state;
    static const uint8_t signature[257] = {1};
    const AuthScheme ecdsa = scheme_for(keys->p256, 0), rsa = scheme_for(keys->rsa, 0);
    uint8_t data[AUTH_DATA_MAX];
    size_t size;

    assert_int_equal(auth_data_encode(&ecdsa, keys->p256, (Bytes){signature, 63}, 0, data, &size),
                     -EINVAL);
    assert_int_equal(auth_data_encode(&ecdsa, keys->p256, (Bytes){signature, 96}, 0, data, &size),
                     -EINVAL);
    assert_int_equal(auth_data_encode(&rsa, keys->rsa, (Bytes){signature, 257}, 0, data, &size),
                     -EINVAL);
    assert_int_equal(
        auth_data_encode(&rsa, keys->weak_rsa, (Bytes){signature, 128}, 0, data, &size), -EINVAL);
}

/* As a TPM that is broken may give it: r, or s, is zero. */
static void a_signature_that_no_key_makes_is_not_encoded(void **state)
{
    const Keys *keys = *state;
    const AuthScheme scheme = scheme_for(keys->p256, IKE_HASH_SHA2_256);
    uint8_t data[AUTH_DATA_MAX];
    size_t size;

    for (size_t half = 0; half < 2; half++) {
        uint8_t signature[64] = {0};

        signature[half * 32] = 1;
        assert_int_equal(auth_data_encode(&scheme, keys->p256, BYTES_OF(signature), 0, data, &size),
                         -EINVAL);
    }
}

/* RSA-8192: by itself it has just room, with its algorithm's name before it none. */
static void a_signature_without_room_is_not_encoded(void **state)
{
    static const uint8_t octets_of_ff[] = {[0 ... AUTH_DATA_MAX - 1] = 0xff},
                         exponent[] = {1, 0, 1};
    const AuthScheme bare = {.method = IKE_AUTH_RSA, .digest = "SHA256"};
    const AuthScheme named = {IKE_AUTH_DIGITAL_SIGNATURE, "SHA256", true};
    EVP_PKEY *key = NULL;
    uint8_t data[AUTH_DATA_MAX];
    size_t size = 0;

    (void)state;
    assert_int_equal(rsa_key_new(BYTES_OF(octets_of_ff), BYTES_OF(exponent), &key), 0);
    assert_int_equal(auth_data_encode(&bare, key, BYTES_OF(octets_of_ff), 0, data, &size), 0);
    assert_int_equal(size, AUTH_DATA_MAX);
    assert_int_equal(auth_data_encode(&named, key, BYTES_OF(octets_of_ff), 32, data, &size),
                     -ENOBUFS);
    EVP_PKEY_free(key);
}

static void rsa_without_pss_verifies_with_every_hash_but_sha1(void **state)
{
    const Keys *keys = *state;
    static const struct {
        const char *digest, *algorithm;
    } hashes[] = {{"SHA256", RSA_SHA256},
                  {"SHA384", "300d06092a864886f70d01010c0500"},
                  {"SHA512", "300d06092a864886f70d01010d0500"}};

    for (size_t i = 0; i < ELEMENTS(hashes); i++) {
        Octets signature = library_sign(keys->rsa, hashes[i].digest, false, 0);
        Octets data = digital_signature(hashes[i].algorithm, &signature);

        assert_int_equal(verify(keys->rsa, IKE_AUTH_RSA, &signature), 0);
        assert_int_equal(verify(keys->rsa, IKE_AUTH_DIGITAL_SIGNATURE, &data), 0);
    }

    Octets sha1 = library_sign(keys->rsa, "SHA1", false, 0);
    Octets sha1_data = digital_signature("300d06092a864886f70d0101050500", &sha1);

    assert_int_equal(verify(keys->rsa, IKE_AUTH_RSA, &sha1), AUTH_E_SHA1);
    sha1.data[0] ^= 1; /* with another key it is none */
    assert_int_equal(verify(keys->rsa, IKE_AUTH_RSA, &sha1), AUTH_E_SIGNATURE);
    assert_int_equal(verify(keys->rsa, IKE_AUTH_DIGITAL_SIGNATURE, &sha1_data), AUTH_E_METHOD);
}

static void a_hash_other_than_the_named_one_is_wrong(void **state)
{
    const Keys *keys = *state;
    Octets signature = library_sign(keys->p256, "SHA384", false, 0);
    Octets right = digital_signature(ECDSA_SHA384, &signature);
    Octets wrong = digital_signature(ECDSA_SHA256, &signature);

    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &right), 0);
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &wrong), AUTH_E_SIGNATURE);
}

/* RFC 4754 7, FIPS 186-4 6.4: r and s are from 1 up. In raw form nothing else says that they are
 * not. */
static void raw_ecdsa_with_a_zero_is_a_wrong_signature(void **state)
{
    const Keys *keys = *state;
    const Octets der = library_sign(keys->p256, "SHA256", false, 0);
    const Octets sound = raw_from_der(&der, 32);

    assert_int_equal(verify(keys->p256, IKE_AUTH_ECDSA_SHA256_P256, &sound), 0);
    for (size_t half = 0; half < 3; half++) { /* r, s, both */
        Octets raw = sound;

        if (half != 1)
            memset(raw.data, 0, 32);
        if (half != 0)
            memset(raw.data + 32, 0, 32);
        assert_int_equal(verify(keys->p256, IKE_AUTH_ECDSA_SHA256_P256, &raw), AUTH_E_SIGNATURE);
    }
}

static void a_key_of_another_kind_than_the_method_is_refused(void **state)
{
    const Keys *keys = *state;
    Octets p256 = library_sign(keys->p256, "SHA256", false, 0);
    Octets raw_p256 = raw_from_der(&p256, 32);
    Octets rsa = library_sign(keys->rsa, "SHA256", false, 0);
    Octets rsa_named_ecdsa = digital_signature(ECDSA_SHA256, &rsa);
    Octets ecdsa_named_rsa = digital_signature(RSA_SHA256, &p256);

    assert_int_equal(verify(keys->p384, IKE_AUTH_ECDSA_SHA256_P256, &raw_p256), AUTH_E_METHOD);
    assert_int_equal(verify(keys->p256, IKE_AUTH_ECDSA_SHA384_P384, &raw_p256), AUTH_E_METHOD);
    assert_int_equal(verify(keys->rsa, IKE_AUTH_ECDSA_SHA256_P256, &raw_p256), AUTH_E_METHOD);
    assert_int_equal(verify(keys->p256, IKE_AUTH_RSA, &rsa), AUTH_E_METHOD);
    assert_int_equal(verify(keys->rsa, IKE_AUTH_DIGITAL_SIGNATURE, &rsa_named_ecdsa),
                     AUTH_E_METHOD);
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &ecdsa_named_rsa),
                     AUTH_E_METHOD);
}

static void keys_outside_the_profile_verify_nothing(void **state)
{
    const Keys *keys = *state;
    Octets weak = library_sign(keys->weak_rsa, "SHA256", false, 0);
    Octets p521 = library_sign(keys->p521, "SHA256", false, 0);
    Octets weak_data = digital_signature(RSA_SHA256, &weak);
    Octets p521_data = digital_signature(ECDSA_SHA256, &p521);

    assert_int_equal(verify(keys->weak_rsa, IKE_AUTH_RSA, &weak), AUTH_E_METHOD);
    assert_int_equal(verify(keys->weak_rsa, IKE_AUTH_DIGITAL_SIGNATURE, &weak_data), AUTH_E_METHOD);
    assert_int_equal(verify(keys->p521, IKE_AUTH_DIGITAL_SIGNATURE, &p521_data), AUTH_E_METHOD);
}

static void methods_outside_the_profile_are_refused(void **state)
{
    const Keys *keys = *state;
    const AuthScheme scheme = scheme_for(keys->p256, 0);
    Octets data = auth_data_make(keys->p256, &scheme, 0);

    for (unsigned method = 0; method <= UINT8_MAX; method++) {
        if (method != IKE_AUTH_ECDSA_SHA256_P256 && method != IKE_AUTH_DIGITAL_SIGNATURE)
            assert_int_equal(verify(keys->p256, (uint8_t)method, &data), AUTH_E_METHOD);
    }
}

static void ecdsa_in_anything_but_minimal_der_is_refused(void **state)
{
    const Keys *keys = *state;
    Octets signature = library_sign(keys->p256, "SHA256", false, 0), padded = {0};
    Octets data = digital_signature(ECDSA_SHA256, &signature);

    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), 0);

    signature.data[signature.size++] = 0; /* an octet after it */
    data = digital_signature(ECDSA_SHA256, &signature);
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), AUTH_E_ENCODING);
    signature.size--;

    /* A zero in front of r, as one from a TPM has it in a form of fixed size. */
    padded.size = signature.size + 1;
    memcpy(padded.data, signature.data, 4);
    padded.data[1]++;
    padded.data[3]++;
    memcpy(padded.data + 5, signature.data + 4, signature.size - 4);
    data = digital_signature(ECDSA_SHA256, &padded);
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), AUTH_E_ENCODING);

    Octets raw = raw_from_der(&signature, 32);

    data = digital_signature(ECDSA_SHA256, &raw);
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), AUTH_E_ENCODING);
}

/* Canonical, of numbers that no curve has: what is longer than any signature of the profile is not
 * looked at. */
static void the_longest_der_that_is_read_has_128_octets(void **state)
{
    enum { MAX = 128, R_SIZE = 60 };
    const Keys *keys = *state;

    for (size_t size = MAX; size <= MAX + 1; size++) {
        const size_t s_size = size - 6 - R_SIZE;
        Octets signature = {.size = size}, data;

        memset(signature.data, 1, size);
        signature.data[0] = 0x30;
        signature.data[1] = (uint8_t)(size - 2);
        signature.data[2] = signature.data[4 + R_SIZE] = 0x02;
        signature.data[3] = R_SIZE;
        signature.data[5 + R_SIZE] = (uint8_t)s_size;
        data = digital_signature(ECDSA_SHA256, &signature);
        assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data),
                         size <= MAX ? AUTH_E_SIGNATURE : AUTH_E_ENCODING);
    }
}

static void data_of_another_size_is_refused(void **state)
{
    const Keys *keys = *state;
    const AuthScheme scheme = scheme_for(keys->p256, 0);
    Octets data = auth_data_make(keys->p256, &scheme, 0);
    Octets rsa = library_sign(keys->rsa, "SHA256", false, 0);

    data.size = 63;
    assert_int_equal(verify(keys->p256, scheme.method, &data), AUTH_E_ENCODING);
    data.size = 65;
    assert_int_equal(verify(keys->p256, scheme.method, &data), AUTH_E_ENCODING);
    rsa.size++;
    assert_int_equal(verify(keys->rsa, IKE_AUTH_RSA, &rsa), AUTH_E_SIGNATURE);
    rsa.size = 0;
    assert_int_equal(verify(keys->rsa, IKE_AUTH_RSA, &rsa), AUTH_E_SIGNATURE);
}

static void what_follows_an_ecdsa_signature_is_refused_however_long_it_is(void **state)
{
    const Keys *keys = *state;
    Octets signature = library_sign(keys->p256, "SHA256", false, 0);
    const size_t size = signature.size;

    memset(signature.data + size, 0, sizeof(signature.data) - size);
    for (signature.size = size; signature.size < 140; signature.size++) {
        Octets data = digital_signature(ECDSA_SHA256, &signature);

        assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data),
                         signature.size == size ? 0 : AUTH_E_ENCODING);
    }
}

static void an_algorithm_that_is_cut_off_is_refused(void **state)
{
    const Keys *keys = *state;
    Octets signature = library_sign(keys->p256, "SHA256", false, 0);
    Octets data = digital_signature(ECDSA_SHA256, &signature);

    for (size_t size = 0; size < 13; size++) {
        assert_int_equal(auth_verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE,
                                     (Bytes){data.data, size}, BYTES_OF(octets)),
                         AUTH_E_ENCODING);
    }
    data.data[0] = UINT8_MAX;
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), AUTH_E_ENCODING);
    data.data[0] = 0;
    assert_int_equal(verify(keys->p256, IKE_AUTH_DIGITAL_SIGNATURE, &data), AUTH_E_ENCODING);
}

/* One allocation fails alone: what goes on after it must not be of octets that nobody wrote. */
static void without_memory_an_auth_is_neither_made_nor_judged(void **state)
{
    static const uint8_t message[] = "message", nonce[] = "nonce", id[] = "id";
    const Keys *keys = *state;
    const Prf *prf = prf_find(IKE_PRF_HMAC_SHA2_256);
    const AuthScheme scheme = scheme_for(keys->p256, IKE_HASH_SHA2_256);
    const Octets signature = tpm_sign(keys->p256, &scheme, 0);
    Octets right = {0};
    _cleanup_(secret_freep) Secret *sk_p = secret_from_hex("00010203");
    unsigned refused[3] = {0};
    bool failed = true;

    assert_int_equal(
        auth_data_encode(&scheme, keys->p256, octets_bytes(&signature), 0, right.data, &right.size),
        0);

    for (size_t nth = 1; failed; nth++) {
        _cleanup_(free_bytesp) uint8_t *covered = NULL;
        size_t size = 0;

        openssl_memory_fail_once(nth);
        const int r = auth_signed_octets(prf, sk_p, BYTES_OF(message), BYTES_OF(nonce),
                                         BYTES_OF(id), &covered, &size);
        failed = openssl_memory_end();
        assert_int_equal(covered != NULL, r == 0);
        refused[0] += r < 0;
    }
    failed = true;
    for (size_t nth = 1; failed; nth++) {
        Octets data = {0};

        openssl_memory_fail_once(nth);
        const int r = auth_data_encode(&scheme, keys->p256, octets_bytes(&signature), 0, data.data,
                                       &data.size);
        failed = openssl_memory_end();
        if (r == 0) {
            assert_int_equal(data.size, right.size);
            assert_memory_equal(data.data, right.data, right.size);
        }
        refused[1] += r < 0;
    }
    failed = true;
    for (size_t nth = 1; failed; nth++) {
        openssl_memory_fail_once(nth);
        const int r = verify(keys->p256, IKE_AUTH_ECDSA_SHA256_P256, &signature);
        failed = openssl_memory_end();
        refused[2] += r == -ENOMEM;
    }
    for (size_t i = 0; i < ELEMENTS(refused); i++)
        assert_true(refused[i] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_ecdsa_with_a_zero_is_a_wrong_signature),
        cmocka_unit_test(the_signed_octets_are_message_nonce_and_maced_id),
        cmocka_unit_test(method_14_is_chosen_where_the_peer_has_our_hash),
        cmocka_unit_test(the_keys_own_method_is_chosen_otherwise),
        cmocka_unit_test(keys_outside_the_profile_have_no_method),
        cmocka_unit_test(what_we_make_verifies_with_every_key_and_method),
        cmocka_unit_test(only_method_14_has_a_hash_to_be_announced),
        cmocka_unit_test(a_tpms_longest_pss_salt_is_said_and_verifies),
        cmocka_unit_test(a_pss_salt_of_another_length_than_is_said_is_refused),
        cmocka_unit_test(der_integers_are_minimal),
        cmocka_unit_test(der_of_no_number_or_without_room_is_refused),
        cmocka_unit_test(real_signatures_with_leading_zeros_verify),
        cmocka_unit_test(a_signature_of_another_size_is_not_encoded),
        cmocka_unit_test(a_signature_that_no_key_makes_is_not_encoded),
        cmocka_unit_test(a_signature_without_room_is_not_encoded),
        cmocka_unit_test(rsa_without_pss_verifies_with_every_hash_but_sha1),
        cmocka_unit_test(a_hash_other_than_the_named_one_is_wrong),
        cmocka_unit_test(a_key_of_another_kind_than_the_method_is_refused),
        cmocka_unit_test(keys_outside_the_profile_verify_nothing),
        cmocka_unit_test(methods_outside_the_profile_are_refused),
        cmocka_unit_test(ecdsa_in_anything_but_minimal_der_is_refused),
        cmocka_unit_test(the_longest_der_that_is_read_has_128_octets),
        cmocka_unit_test(data_of_another_size_is_refused),
        cmocka_unit_test(what_follows_an_ecdsa_signature_is_refused_however_long_it_is),
        cmocka_unit_test(an_algorithm_that_is_cut_off_is_refused),
        cmocka_unit_test(pkcs1_padding_is_told_from_pss_and_ecdsa),
        cmocka_unit_test(without_memory_an_auth_is_neither_made_nor_judged),
    };

    if (!openssl_memory_begin() || secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("auth", tests, keys_new, keys_free);
}

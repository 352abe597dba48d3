/* What sessions compute, beside published values; where there are none, beside those of another
 * implementation: Python's hmac and hashlib, by the formulas of TPM 2.0 Part 1, 11.4.10. */
#include "tpm/crypto.h"

#include "no_random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

static TpmCrypto *crypto;

static int group_init(void **state)
{
    (void)state;
    return secrets_init() < 0 || tpm_crypto_new(&crypto) < 0 ? -1 : 0;
}

static int group_deinit(void **state)
{
    (void)state;
    tpm_crypto_free(crypto);
    return 0;
}

static void assert_hex(Bytes found, const char *hex)
{
    long size = 0;
    unsigned char *octets = OPENSSL_hexstr2buf(hex, &size);

    assert_non_null(octets);
    assert_int_equal(found.size, (size_t)size);
    assert_memory_equal(found.data, octets, found.size);
    OPENSSL_free(octets);
}

static Bytes text(const char *string)
{
    return (Bytes){(const uint8_t *)string, strlen(string)};
}

/* Octets that count up from `first`. */
static Bytes counting(uint8_t first, uint8_t *ret)
{
    for (unsigned i = 0; i < TPM_HASH_SIZE; i++)
        ret[i] = (uint8_t)(first + i);
    return (Bytes){ret, TPM_HASH_SIZE};
}

static void sha256_is_that_of_fips_180(void **state)
{
    uint8_t found[TPM_HASH_SIZE];

    (void)state;
    assert_int_equal(tpm_hash(crypto, (Bytes[]){text("abc")}, 1, found), 0);
    assert_hex(BYTES_OF(found), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /* In pieces, an empty one among them, and again in the same context. */
    assert_int_equal(tpm_hash(crypto, (Bytes[]){text("a"), {0}, text("bc")}, 3, found), 0);
    assert_hex(BYTES_OF(found), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, 4.2 to 4.4, 4.7 and 4.8. */
static void hmac_sha256_is_that_of_rfc_4231(void **state)
{
    static const struct {
        const char *data; /* NULL: `data_octet` fifty times */
        const char *expected;
        size_t key_size;
        uint8_t key_octet;
        uint8_t data_octet;
    } cases[] = {
        {"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 20, 0x0b,
         0},
        {NULL, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", 20, 0xaa, 0xdd},
        {"Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", 131, 0xaa, 0},
        {"This is a test using a larger than block-size key and a larger than block-size data. The "
         "key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", 131, 0xaa, 0},
    };
    uint8_t key[131], fifty[50], found[TPM_HASH_SIZE];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const Bytes data = cases[i].data ? text(cases[i].data) : BYTES_OF(fifty);

        memset(key, cases[i].key_octet, sizeof(key));
        memset(fifty, cases[i].data_octet, sizeof(fifty));
        assert_int_equal(
            tpm_hmac(crypto, (Bytes){key, cases[i].key_size},
                     (Bytes[]){bytes_slice(data, 0, 3), bytes_slice(data, 3, data.size - 3)}, 2,
                     found),
            0);
        assert_hex(BYTES_OF(found), cases[i].expected);
    }
    assert_int_equal(
        tpm_hmac(crypto, text("Jefe"), (Bytes[]){text("what do ya want for nothing?")}, 1, found),
        0);
    assert_hex(BYTES_OF(found), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* The value of hmac.new(b'', b'', 'sha256'): an empty key is none that was used before. */
static void an_hmac_may_have_an_empty_key(void **state)
{
    uint8_t found[TPM_HASH_SIZE];

    (void)state;
    assert_int_equal(tpm_hmac(crypto, (Bytes){0}, NULL, 0, found), 0);
    assert_hex(BYTES_OF(found), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void kdfa_is_what_another_implementation_computes(void **state)
{
    uint8_t key_octets[TPM_HASH_SIZE], u_octets[TPM_HASH_SIZE], v_octets[TPM_HASH_SIZE];
    const Bytes key = counting(0, key_octets);
    const Bytes u = counting(0x40, u_octets), v = counting(0x80, v_octets);
    const struct {
        const char *label;
        Bytes u, v;
        size_t size;
        const char *expected;
    } cases[] = {
        {"ATH", u, v, 32, "4cfbf4144b94620cadfb0b65f86d9772cd5c3fd3adb70f6cdf5ac455e51b0485"},
        {"CFB", u, v, 32, "ec2057e64412f8054f121ba8370bac29fdf083682406d1ea1f50f180df8b5e60"},
        {"STORAGE", {0}, {0}, 16, "5049bb5a43d04dc4ab539dda0b90b959"},
        /* More than two blocks of the HMAC. */
        {"INTEGRITY",
         u,
         {0},
         80,
         "b8c0d7193e79fc65c810bbfd8696757d4213e3d4d99400af9b1f47779ccc1873046d13319d35f0af4ac8707b"
         "1937d2c1ae3587774d9da9802a641e0666149bb73cce1b7eb276ec9d66cefe3609ae2cf0"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(secret_freep) Secret *found = NULL;

        assert_int_equal(
            tpm_kdfa(crypto, key, cases[i].label, cases[i].u, cases[i].v, cases[i].size, &found),
            0);
        assert_hex(secret_bytes(found), cases[i].expected);
    }
}

static void kdfa_takes_a_key_longer_than_a_block(void **state)
{
    uint8_t key[100], u_octets[TPM_HASH_SIZE], v_octets[TPM_HASH_SIZE];
    _cleanup_(secret_freep) Secret *found = NULL;

    (void)state;
    memset(key, 0x5a, sizeof(key));
    assert_int_equal(tpm_kdfa(crypto, BYTES_OF(key), "CFB", counting(0x40, u_octets),
                              counting(0x80, v_octets), 32, &found),
                     0);
    assert_hex(secret_bytes(found),
               "7adb7b32d1564252bcbeebb20db0c432862edfa2ed24f5a7c282d95ddba346e6");
}

static void kdfe_is_what_another_implementation_computes(void **state)
{
    static const struct {
        const char *label;
        const char *expected;
    } cases[] = {
        {"SECRET", "8fd4a6b22128da55bcda0ab360e35dd724a285e21557f2fcd92a62d418c0210c"},
        {"IDENTITY", "a0340f5b67663d0c37b3b2607d17693b167829dfb47db3cb7f1ed9ce140870c8"},
    };
    uint8_t u_octets[TPM_HASH_SIZE], v_octets[TPM_HASH_SIZE];
    _cleanup_(secret_freep) Secret *z = NULL;

    (void)state;
    assert_int_equal(secret_new(TPM_HASH_SIZE, &z), 0);
    (void)counting(0, z->data);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(secret_freep) Secret *found = NULL;

        assert_int_equal(tpm_kdfe(crypto, z, cases[i].label, counting(0x40, u_octets),
                                  counting(0x80, v_octets), &found),
                         0);
        assert_hex(secret_bytes(found), cases[i].expected);
    }
}

static void what_does_not_fit_into_a_kdf_is_refused(void **state)
{
    static const uint8_t large[256];
    _cleanup_(secret_freep) Secret *z = NULL;
    Secret *found = NULL;

    (void)state;
    assert_int_equal(secret_new(TPM_HASH_SIZE, &z), 0);
    assert_int_equal(
        tpm_kdfa(crypto, BYTES_OF(large), "CFB", BYTES_OF(large), (Bytes){0}, 32, &found), -EINVAL);
    assert_int_equal(tpm_kdfe(crypto, z, "SECRET", BYTES_OF(large), (Bytes){0}, &found), -EINVAL);
    assert_null(found);
}

/* NIST SP 800-38A, F.3.13 and F.3.14. */
static const char cfb_key[] = "2b7e151628aed2a6abf7158809cf4f3c";
static const char cfb_iv[] = "000102030405060708090a0b0c0d0e0f";
static const char cfb_plain[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const char cfb_sealed[] = "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
                                 "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6";

/* The first `size` octets of the vector, which need not be whole blocks. */
static void assert_cfb(size_t size)
{
    unsigned char *key = OPENSSL_hexstr2buf(cfb_key, NULL), *iv = OPENSSL_hexstr2buf(cfb_iv, NULL);
    unsigned char *plain = OPENSSL_hexstr2buf(cfb_plain, NULL);
    unsigned char *sealed = OPENSSL_hexstr2buf(cfb_sealed, NULL);
    uint8_t data[64];

    memcpy(data, plain, size);
    assert_int_equal(tpm_cfb(crypto, true, key, iv, data, size), 0);
    assert_memory_equal(data, sealed, size);
    assert_int_equal(tpm_cfb(crypto, false, key, iv, data, size), 0);
    assert_memory_equal(data, plain, size);
    OPENSSL_free(key);
    OPENSSL_free(iv);
    OPENSSL_free(plain);
    OPENSSL_free(sealed);
}

static void aes_128_cfb_is_that_of_sp_800_38a(void **state)
{
    (void)state;
    assert_cfb(64);
    assert_cfb(16);
    assert_cfb(37);
    assert_cfb(1);
    assert_cfb(0);
}

static bool is_full;
int __real_secret_memory_take(size_t size, uint8_t **ret);
int __wrap_secret_memory_take(size_t size, uint8_t **ret);

int __wrap_secret_memory_take(size_t size, uint8_t **ret)
{
    return is_full ? -ENOMEM : __real_secret_memory_take(size, ret);
}

/* The secret that is sent by RSA, and that of ECDH; and the beginning of what is sent, behind the
 * point's size. */
static void every_octet_of_a_shared_secret_is_by_chance(void **state)
{
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256")};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        uint8_t secrets[VARYING_DRAWS][TPM_HASH_SIZE], sent[VARYING_DRAWS][TPM_HASH_SIZE];

        for (size_t j = 0; j < VARYING_DRAWS; j++) {
            _cleanup_(secret_freep) Secret *secret = NULL;
            TPM2B_ENCRYPTED_SECRET encrypted = {0};

            assert_int_equal(tpm_secret_share(crypto, keys[i], "IDENTITY", &secret, &encrypted), 0);
            assert_int_equal(secret->size, TPM_HASH_SIZE);
            memcpy(secrets[j], secret->data, TPM_HASH_SIZE);
            memcpy(sent[j], encrypted.secret + 2, TPM_HASH_SIZE);
        }
        assert_each_octet_varies(secrets, TPM_HASH_SIZE);
        assert_each_octet_varies(sent, TPM_HASH_SIZE);
        EVP_PKEY_free(keys[i]);
    }
}

static void without_random_numbers_or_room_no_secret_is_shared(void **state)
{
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256")};
    static TPM2B_ENCRYPTED_SECRET encrypted;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        _cleanup_(secret_freep) Secret *good = NULL;
        Secret *none = NULL;

        assert_int_equal(tpm_secret_share(crypto, keys[i], "SECRET", &good, &encrypted), 0);
        is_full = true;
        assert_int_equal(tpm_secret_share(crypto, keys[i], "SECRET", &none, &encrypted), -ENOMEM);
        assert_int_equal(tpm_kdfe(crypto, good, "SECRET", (Bytes){0}, (Bytes){0}, &none), -ENOMEM);
        assert_int_equal(tpm_kdfa(crypto, secret_bytes(good), "ATH", (Bytes){0}, (Bytes){0},
                                  TPM_HASH_SIZE, &none),
                         -ENOMEM);
        is_full = false;
        assert_null(none);
    }
    for (int says = 0; says >= -1; says--) { /* OpenSSL draws the other's key itself */
        Secret *none = NULL;

        no_random_begin(1, says);
        assert_int_equal(tpm_secret_share(crypto, keys[0], "SECRET", &none, &encrypted), -EIO);
        assert_true(no_random_end());
        assert_null(none);
    }
    for (size_t i = 0; i < ELEMENTS(keys); i++)
        EVP_PKEY_free(keys[i]);
}

static bool has_no_memory;
void *__real_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size)
{
    return has_no_memory ? NULL : __real_calloc(count, size);
}

static void without_memory_nothing_is_computed(void **state)
{
    TpmCrypto *none = NULL;

    (void)state;
    has_no_memory = true;
    assert_int_equal(tpm_crypto_new(&none), -ENOMEM);
    has_no_memory = false;
    assert_null(none);
}

static void more_than_a_parameter_can_have_is_not_encrypted(void **state)
{
    static const uint8_t key[TPM_CIPHER_KEY_SIZE], iv[TPM_CIPHER_BLOCK_SIZE], zeros[UINT16_MAX + 1];
    static uint8_t data[UINT16_MAX + 1];

    (void)state;
    assert_int_equal(tpm_cfb(crypto, true, key, iv, data, UINT16_MAX + 1), -EIO);
    assert_memory_equal(data, zeros, sizeof(data));
    assert_int_equal(tpm_cfb(crypto, true, key, iv, data, UINT16_MAX), 0);
    assert_memory_not_equal(data, zeros, UINT16_MAX);
}

static void a_key_that_no_tpm_of_ours_has_shares_no_secret(void **state)
{
    EVP_PKEY *keys[] = {EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    static TPM2B_ENCRYPTED_SECRET encrypted;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        Secret *none = NULL;

        assert_non_null(keys[i]);
        assert_int_equal(tpm_secret_share(crypto, keys[i], "SECRET", &none, &encrypted),
                         -EOPNOTSUPP);
        assert_null(none);
        EVP_PKEY_free(keys[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_that_of_fips_180),
        cmocka_unit_test(hmac_sha256_is_that_of_rfc_4231),
        cmocka_unit_test(an_hmac_may_have_an_empty_key),
        cmocka_unit_test(kdfa_is_what_another_implementation_computes),
        cmocka_unit_test(kdfa_takes_a_key_longer_than_a_block),
        cmocka_unit_test(kdfe_is_what_another_implementation_computes),
        cmocka_unit_test(what_does_not_fit_into_a_kdf_is_refused),
        cmocka_unit_test(aes_128_cfb_is_that_of_sp_800_38a),
        cmocka_unit_test(every_octet_of_a_shared_secret_is_by_chance),
        cmocka_unit_test(without_random_numbers_or_room_no_secret_is_shared),
        cmocka_unit_test(without_memory_nothing_is_computed),
        cmocka_unit_test(more_than_a_parameter_can_have_is_not_encrypted),
        cmocka_unit_test(a_key_that_no_tpm_of_ours_has_shares_no_secret),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

/* Are the TPM's raw signatures judged as OpenSSL judges its own? */
#include "tpm/publickey.h"

#include "openssl_memory.h"

#include <openssl/ecdsa.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t digest_data[48] = {1, 2, 3};
static const Bytes digest = {digest_data, 32};

/* A signature by OpenSSL, RSA with `padding` and `salt`. */
static size_t sign(EVP_PKEY *key, int padding, int salt, uint8_t *ret, size_t capacity)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t size = capacity;

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    if (padding)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, ret, &size, digest.data, digest.size), 1);
    EVP_PKEY_CTX_free(ctx);
    return size;
}

static void raw_ecdsa_is_good_until_an_octet_changes(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t der[128];
    uint8_t raw[64];
    const unsigned char *position = der;
    ECDSA_SIG *ecdsa = d2i_ECDSA_SIG(NULL, &position, (long)sign(key, 0, 0, der, sizeof(der)));

    (void)state;
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(ecdsa), raw, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(ecdsa), raw + 32, 32), 32);
    ECDSA_SIG_free(ecdsa);
    assert_true(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    raw[40] ^= 1;
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    memset(raw, 0, sizeof(raw));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    EVP_PKEY_free(key);
}

static void rsa_is_good_with_its_own_padding_and_salt_only(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    uint8_t raw[256];

    (void)state;
    assert_int_equal(sign(key, RSA_PKCS1_PADDING, 0, raw, sizeof(raw)), sizeof(raw));
    assert_true(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), 32));
    assert_int_equal(sign(key, RSA_PKCS1_PSS_PADDING, 32, raw, sizeof(raw)), sizeof(raw));
    assert_true(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), 32));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), 222));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), 0));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    EVP_PKEY_free(key);
}

static void no_signature_is_good_for_want_of_memory(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t raw[64];
    size_t nth = 1;

    (void)state;
    memset(raw, 0x11, sizeof(raw));
    assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
    for (openssl_memory_fail(nth);; openssl_memory_fail(++nth)) {
        assert_false(signature_is_good(key, "SHA256", digest, BYTES_OF(raw), -1));
        if (!openssl_memory_end())
            break;
    }
    assert_true(nth > 10);
    EVP_PKEY_free(key);
}

/* A Name without octets would be that of any object that has none. */
static void without_memory_there_is_the_right_name_or_none(void **state)
{
    const TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TPM2B_NAME right = {0};
    size_t nth = 0, refused = 0;
    bool failed;

    (void)state;
    assert_int_equal(tpm_object_name(&public, &right), 0);
    do {
        TPM2B_NAME made = {0};

        openssl_memory_fail_once(++nth);
        const int r = tpm_object_name(&public, &made);
        failed = openssl_memory_end();
        if (r == 0) {
            assert_int_equal(made.size, right.size);
            assert_memory_equal(made.name, right.name, right.size);
        } else {
            refused++;
        }
    } while (failed);
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_ecdsa_is_good_until_an_octet_changes),
        cmocka_unit_test(rsa_is_good_with_its_own_padding_and_salt_only),
        cmocka_unit_test(no_signature_is_good_for_want_of_memory),
        cmocka_unit_test(without_memory_there_is_the_right_name_or_none),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

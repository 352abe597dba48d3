/* Is there either the right value or none, wherever OpenSSL runs out of memory on the way? */
#include "tpm/crypto.h"

#include "crypto/openssl.h"
#include "openssl_memory.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ALLOCATIONS_MAX = 4096 };

static TpmCrypto *crypto;

static const uint8_t octets[TPM_HASH_SIZE] = {1, 2, 3};

static int make_hash(uint8_t *ret)
{
    return tpm_hash(crypto, (Bytes[]){BYTES_OF(octets)}, 1, ret);
}

static int make_hmac(uint8_t *ret)
{
    return tpm_hmac(crypto, BYTES_OF(octets), (Bytes[]){BYTES_OF(octets)}, 1, ret);
}

static int make_kdfa(uint8_t *ret)
{
    _cleanup_(secret_freep) Secret *secret = NULL;
    int r = tpm_kdfa(crypto, BYTES_OF(octets), "ATH", BYTES_OF(octets), BYTES_OF(octets),
                     TPM_HASH_SIZE, &secret);

    if (r == 0)
        memcpy(ret, secret->data, TPM_HASH_SIZE);
    return r;
}

static int make_cfb(uint8_t *ret)
{
    memcpy(ret, octets, TPM_HASH_SIZE);
    return tpm_cfb(crypto, true, octets, octets + 16, ret, TPM_HASH_SIZE);
}

static int (*const makers[])(uint8_t *ret) = {make_hash, make_hmac, make_kdfa, make_cfb};

static void without_memory_there_is_the_right_value_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(makers); i++) {
        uint8_t right[TPM_HASH_SIZE];
        size_t nth = 0;
        bool failed;

        assert_int_equal(makers[i](right), 0);
        do {
            uint8_t made[TPM_HASH_SIZE] = {0};

            openssl_memory_fail_once(++nth);
            const int r = makers[i](made);
            failed = openssl_memory_end();
            if (r == 0) {
                assert_memory_equal(made, right, sizeof(right));
            } else {
                assert_true(failed);
            }
        } while (failed && nth < ALLOCATIONS_MAX);
        assert_false(failed);
    }
}

/* What the TPM, which has the private key, makes of what was sent: OAEP with SHA-256 in both places
 * and with the label and its zero (TPM 2.0 Part 1, B.4). */
static void assert_opens(EVP_PKEY *key, const TPM2B_ENCRYPTED_SECRET *sent, const Secret *secret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    uint8_t found[256];
    size_t size = sizeof(found);

    assert_int_equal(EVP_PKEY_decrypt_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(
                         context, OPENSSL_memdup("SECRET", sizeof("SECRET")), sizeof("SECRET")),
                     1);
    assert_int_equal(EVP_PKEY_decrypt(context, found, &size, sent->secret, sent->size), 1);
    assert_int_equal(size, secret->size);
    assert_memory_equal(found, secret->data, size);
}

static void without_memory_a_secret_is_one_that_the_tpm_can_open_or_none(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    size_t nth = 0, refused = 0;
    bool failed;

    (void)state;
    do {
        _cleanup_(secret_freep) Secret *secret = NULL;
        TPM2B_ENCRYPTED_SECRET sent = {0};

        openssl_memory_fail_once(++nth);
        const int r = tpm_secret_share(crypto, key, "SECRET", &secret, &sent);
        failed = openssl_memory_end();
        if (r == 0) {
            assert_opens(key, &sent, secret);
        } else {
            assert_true(failed);
            assert_null(secret);
            refused++;
        }
    } while (failed && nth < ALLOCATIONS_MAX);
    assert_false(failed);
    assert_true(refused > 5);
    EVP_PKEY_free(key);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_the_right_value_or_none),
        cmocka_unit_test(without_memory_a_secret_is_one_that_the_tpm_can_open_or_none),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

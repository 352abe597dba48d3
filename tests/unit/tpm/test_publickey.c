/* The TPM's integers are brought to one width, and its public areas to OpenSSL keys. */
#include "tpm/publickey.h"

#include "base/cleanup.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void an_integer_without_its_leading_zeros_gets_them_back(void **state)
{
    static const uint8_t stripped[] = {7, 8};
    static const uint8_t expected[] = {0, 0, 7, 8};
    uint8_t padded[4] = {0xff, 0xff, 0xff, 0xff};

    (void)state;
    assert_int_equal(tpm_integer_pad(BYTES_OF(stripped), padded, sizeof(padded)), 0);
    assert_memory_equal(padded, expected, sizeof(expected));
    assert_int_equal(tpm_integer_pad((Bytes){0}, padded, sizeof(padded)), 0);
    assert_memory_equal(padded, ((const uint8_t[4]){0}), 4);
}

static void an_integer_with_more_zeros_than_needed_loses_them(void **state)
{
    static const uint8_t long_one[] = {0, 0, 7, 8};
    static const uint8_t expected[] = {7, 8};
    uint8_t padded[2] = {0xff, 0xff};

    (void)state;
    assert_int_equal(tpm_integer_pad(BYTES_OF(long_one), padded, sizeof(padded)), 0);
    assert_memory_equal(padded, expected, sizeof(expected));
}

static void what_cannot_be_marshalled_has_no_name(void **state)
{
    const TPMS_NV_PUBLIC index = {
        .nvIndex = 0x01800000,
        .nameAlg = TPM2_ALG_SHA256,
        .authPolicy.size = sizeof(index.authPolicy.buffer) + 1,
    };
    const TPM2B_PUBLIC object = {.publicArea = {.nameAlg = TPM2_ALG_SHA256}}; /* of no type */
    TPM2B_NAME name = {0};

    (void)state;
    assert_int_equal(tpm_nv_name(&index, &name), -EINVAL);
    assert_int_equal(tpm_object_name(&object, &name), -EINVAL);
    assert_int_equal(name.size, 0);
}

static void an_integer_that_is_too_large_is_refused(void **state)
{
    static const uint8_t large[] = {1, 7, 8};
    uint8_t padded[2];

    (void)state;
    assert_int_equal(tpm_integer_pad(BYTES_OF(large), padded, sizeof(padded)), -ERANGE);
}

/* An EC public area with the coordinates of `key`, cut as some TPMs do. */
static TPM2B_PUBLIC public_of(EVP_PKEY *key, TPM2_ECC_CURVE curve)
{
    TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_ECC, .parameters.eccDetail.curveID = curve},
    };
    TPMS_ECC_POINT *q = &public.publicArea.unique.ecc;
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, "qx", &x), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(key, "qy", &y), 1);
    q->x.size = (UINT16)BN_bn2bin(x, q->x.buffer); /* without leading zeros */
    q->y.size = (UINT16)BN_bn2bin(y, q->y.buffer);
    BN_free(x);
    BN_free(y);
    return public;
}

static void a_point_with_short_coordinates_is_the_same_key(void **state)
{
    bool short_seen = false;

    (void)state;
    /* Until a coordinate starts with a zero octet: one key in 128. */
    for (int i = 0; i < 20000 && !short_seen; i++) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        const TPM2B_PUBLIC public = public_of(key, TPM2_ECC_NIST_P256);
        EVP_PKEY *again = NULL;

        short_seen = public.publicArea.unique.ecc.x.size < 32;
        if (short_seen || i == 0) {
            assert_int_equal(tpm_public_to_pkey(&public, &again), 0);
            assert_int_equal(EVP_PKEY_eq(key, again), 1);
        }
        EVP_PKEY_free(again);
        EVP_PKEY_free(key);
    }
    assert_true(short_seen);
}

static void an_rsa_area_without_exponent_has_the_default_one(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_RSA, .parameters.rsaDetail.keyBits = 2048},
    };
    TPM2B_PUBLIC_KEY_RSA *modulus = &public.publicArea.unique.rsa;
    EVP_PKEY *again = NULL;
    BIGNUM *n = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    modulus->size = (UINT16)BN_bn2bin(n, modulus->buffer);
    assert_int_equal(tpm_public_to_pkey(&public, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    BN_free(n);
    EVP_PKEY_free(again);
    EVP_PKEY_free(key);
}

static void a_point_off_the_curve_and_an_unknown_type_are_refused(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    TPM2B_PUBLIC public = public_of(key, TPM2_ECC_NIST_P384);
    EVP_PKEY *again = NULL;

    (void)state;
    public.publicArea.unique.ecc.y.buffer[5] ^= 1;
    assert_int_equal(tpm_public_to_pkey(&public, &again), -EIO);
    public.publicArea.parameters.eccDetail.curveID = TPM2_ECC_BN_P256;
    assert_int_equal(tpm_public_to_pkey(&public, &again), -EOPNOTSUPP);
    public.publicArea.type = TPM2_ALG_KEYEDHASH;
    assert_int_equal(tpm_public_to_pkey(&public, &again), -EOPNOTSUPP);
    assert_null(again);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_without_its_leading_zeros_gets_them_back),
        cmocka_unit_test(an_integer_with_more_zeros_than_needed_loses_them),
        cmocka_unit_test(an_integer_that_is_too_large_is_refused),
        cmocka_unit_test(what_cannot_be_marshalled_has_no_name),
        cmocka_unit_test(a_point_with_short_coordinates_is_the_same_key),
        cmocka_unit_test(an_rsa_area_without_exponent_has_the_default_one),
        cmocka_unit_test(a_point_off_the_curve_and_an_unknown_type_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

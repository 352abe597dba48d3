/* Are there either the right keys or none, wherever OpenSSL runs out of memory on the way, and is
 * nothing of them left when they have been given back? */
#include "openssl_memory.h"

#include "crypto/secret_memory.h"
#include "tred/keyschedule.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SECRET_SIZE = 32, ALLOCATIONS_MAX = 4096 };

static const uint8_t nonce_i[32] = {1, 2}, nonce_r[32] = {3, 4};
static const uint64_t spi_i = 0x0102030405060708, spi_r = 0x1112131415161718;

/* What one derivation makes of `from`: its octets, and how many there are. */
typedef struct Made {
    uint8_t octets[1024];
    size_t size;
} Made;

static void made_add(Made *made, const Secret *secret)
{
    if (!secret)
        return;
    assert_true(made->size + secret->size <= sizeof(made->octets));
    memcpy(made->octets + made->size, secret->data, secret->size);
    made->size += secret->size;
}

static const Prf *the_prf(void)
{
    return prf_find(IKE_PRF_HMAC_SHA2_384);
}

static int make_skeyseed(const Secret *from, Made *ret)
{
    _cleanup_(secret_freep) Secret *skeyseed = NULL;
    const int r =
        skeyseed_compute(the_prf(), BYTES_OF(nonce_i), BYTES_OF(nonce_r), from, &skeyseed);

    made_add(ret, skeyseed);
    return r;
}

static int make_skeyseed_of_a_rekeyed_sa(const Secret *from, Made *ret)
{
    _cleanup_(secret_freep) Secret *skeyseed = NULL;
    const int r =
        skeyseed_rekey(the_prf(), from, from, BYTES_OF(nonce_i), BYTES_OF(nonce_r), &skeyseed);

    made_add(ret, skeyseed);
    return r;
}

static int make_ike_keys(const Secret *from, Made *ret)
{
    _cleanup_(ike_keys_deinit) IkeKeys keys = {0};
    const IkeSuite suite = {
        .cipher = cipher_find(IKE_ENCR_AES_CBC, 256),
        .integ = integ_find(IKE_INTEG_HMAC_SHA2_256_128),
        .prf = the_prf(),
    };
    const int r =
        ike_keys_derive(&suite, from, BYTES_OF(nonce_i), BYTES_OF(nonce_r), spi_i, spi_r, &keys);
    const Secret *const parts[] = {keys.sk_d,  keys.sk_ai, keys.sk_ar, keys.sk_ei,
                                   keys.sk_er, keys.sk_pi, keys.sk_pr};

    for (size_t i = 0; i < ELEMENTS(parts); i++)
        made_add(ret, parts[i]);
    return r;
}

static int make_esp_keys(const Secret *from, Made *ret)
{
    _cleanup_(esp_keys_deinit) EspKeys keys = {0};
    const EspSuite suite = {
        .cipher = cipher_find(IKE_ENCR_AES_CBC, 256),
        .integ = integ_find(IKE_INTEG_HMAC_SHA2_256_128),
    };
    const int r =
        esp_keys_derive(the_prf(), &suite, from, from, BYTES_OF(nonce_i), BYTES_OF(nonce_r), &keys);
    const Secret *const parts[] = {keys.encr_i, keys.integ_i, keys.encr_r, keys.integ_r};

    for (size_t i = 0; i < ELEMENTS(parts); i++)
        made_add(ret, parts[i]);
    return r;
}

/* The octets of a failure are not looked at: it has no secret to hold them. */
static int make_prf(const Secret *from, Made *ret)
{
    uint8_t octets[64];
    const int r = prf_compute(the_prf(), from, BYTES_OF(nonce_i), octets);

    if (r == 0) {
        memcpy(ret->octets, octets, the_prf()->size);
        ret->size = the_prf()->size;
    }
    return r;
}

static int (*const derivations[])(const Secret *from, Made *ret) = {
    make_skeyseed, make_skeyseed_of_a_rekeyed_sa, make_ike_keys, make_esp_keys, make_prf,
};

static void without_memory_there_are_the_right_keys_or_none(void **state)
{
    _cleanup_(secret_freep) Secret *from = NULL;

    (void)state;
    assert_int_equal(secret_new(SECRET_SIZE, &from), 0);
    memset(from->data, 7, from->size);
    for (size_t i = 0; i < ELEMENTS(derivations); i++) {
        Made right = {0};
        size_t nth = 0, refused = 0, used = CRYPTO_secure_used();
        bool failed;

        assert_int_equal(derivations[i](from, &right), 0);
        assert_int_equal(CRYPTO_secure_used(), used);
        assert_true(right.size > 0);
        do {
            Made made = {0};

            openssl_memory_fail(++nth);
            const int r = derivations[i](from, &made);
            failed = openssl_memory_end();
            assert_int_equal(CRYPTO_secure_used(), used);
            if (r == 0) {
                assert_int_equal(made.size, right.size);
                assert_memory_equal(made.octets, right.octets, right.size);
            } else {
                assert_true(r < 0);
                assert_true(failed);
                assert_int_equal(made.size, 0);
                refused++;
            }
        } while (failed && nth < ALLOCATIONS_MAX);
        assert_false(failed);
        assert_true(refused > 3);
    }
}

static size_t takes_left; /* 0: no limit; 1: the next one is refused */
int __real_secret_memory_take(size_t size, uint8_t **ret);
int __wrap_secret_memory_take(size_t size, uint8_t **ret);

int __wrap_secret_memory_take(size_t size, uint8_t **ret)
{
    if (takes_left > 0 && --takes_left == 0)
        return -ENOMEM;
    return __real_secret_memory_take(size, ret);
}

/* Whichever of the secrets on the way it is that has no room there. */
static void without_room_in_the_secure_heap_there_are_no_keys(void **state)
{
    _cleanup_(secret_freep) Secret *from = NULL;

    (void)state;
    assert_int_equal(secret_new(SECRET_SIZE, &from), 0);
    for (size_t i = 0; i < ELEMENTS(derivations); i++) {
        const size_t used = CRYPTO_secure_used();
        size_t nth = 0;

        do {
            Made made = {0};

            takes_left = ++nth;
            const int r = derivations[i](from, &made);
            assert_int_equal(CRYPTO_secure_used(), used);
            if (takes_left > 0) {
                assert_int_equal(r, 0);
                break;
            }
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(made.size, 0);
        } while (true);
        takes_left = 0;
    }
}

static void nonces_that_are_too_long_for_a_key_make_none(void **state)
{
    static const uint8_t nonce[IKE_NONCE_MAX + 1];
    _cleanup_(secret_freep) Secret *from = NULL;
    Secret *skeyseed = NULL;

    (void)state;
    assert_int_equal(secret_new(SECRET_SIZE, &from), 0);
    assert_int_equal(skeyseed_compute(the_prf(), (Bytes){nonce, IKE_NONCE_MAX}, BYTES_OF(nonce),
                                      from, &skeyseed),
                     -ENOBUFS);
    assert_null(skeyseed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_are_the_right_keys_or_none),
        cmocka_unit_test(without_room_in_the_secure_heap_there_are_no_keys),
        cmocka_unit_test(nonces_that_are_too_long_for_a_key_make_none),
    };

    if (!openssl_memory_begin() || secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("keyschedule_memory", tests, NULL, NULL);
}

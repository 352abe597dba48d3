/* Is a SeGW's key read once for the same octets, and anew for any others? */
#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "tred/auth.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Spki {
    unsigned char *data;
    size_t size;
} Spki;

static Spki spki_of(EVP_PKEY *key)
{
    Spki spki = {0};
    const int size = spki_encode(key, &spki.data);

    assert_true(size > 0);
    spki.size = (size_t)size;
    EVP_PKEY_free(key);
    return spki;
}

static EVP_PKEY *read_with(PeerKey *last, Bytes octets)
{
    EVP_PKEY *key = NULL;

    assert_int_equal(peer_key_read(last, octets, &key), 0);
    EVP_PKEY_free(key); /* what `last` keeps stays */
    return key;
}

static Bytes bytes_of(const Spki *spki)
{
    return (Bytes){spki->data, spki->size};
}

static void a_key_is_kept_until_another_is_read(void **state)
{
    PeerKey last = {0};
    Spki first = spki_of(EVP_EC_gen("P-256")), second = spki_of(EVP_EC_gen("P-256"));
    EVP_PKEY *unread = NULL;

    (void)state;
    const EVP_PKEY *kept = read_with(&last, bytes_of(&first));
    assert_ptr_equal(last.key, kept);
    assert_ptr_equal(read_with(&last, bytes_of(&first)), kept);
    /* One octet is another; and neither keeps what was read before from being right. */
    first.data[first.size - 1] ^= 1;
    assert_int_equal(peer_key_read(&last, bytes_of(&first), &unread), -EBADMSG);
    first.data[first.size - 1] ^= 1;
    assert_int_equal(
        peer_key_read(&last, bytes_slice(bytes_of(&first), 0, first.size - 1), &unread), -EBADMSG);
    assert_ptr_equal(read_with(&last, bytes_of(&first)), kept);
    (void)read_with(&last, bytes_of(&second));
    assert_int_equal(last.size, second.size);
    assert_memory_equal(last.octets, second.data, second.size);
    peer_key_deinit(&last);
    assert_null(last.key);
    OPENSSL_free(first.data);
    OPENSSL_free(second.data);
}

/* Its modulus is a product of no primes that anybody knows, which nobody looks at here. */
static Spki spki_of_rsa(size_t modulus_size)
{
    static const uint8_t exponent[] = {1, 0, 1};
    uint8_t modulus[PEER_KEY_SIZE_MAX];
    EVP_PKEY *key = NULL;

    memset(modulus, 0xff, sizeof(modulus));
    assert_int_equal(rsa_key_new((Bytes){modulus, modulus_size}, BYTES_OF(exponent), &key), 0);
    return spki_of(key);
}

static void a_key_of_more_octets_than_are_kept_is_read_each_time(void **state)
{
    PeerKey last = {0};
    Spki small = spki_of_rsa(PEER_KEY_SIZE_MAX / 2);
    const size_t most = PEER_KEY_SIZE_MAX - (small.size - PEER_KEY_SIZE_MAX / 2);
    Spki largest = spki_of_rsa(most), larger = spki_of_rsa(most + 1);

    (void)state;
    assert_int_equal(larger.size, PEER_KEY_SIZE_MAX + 1);
    (void)read_with(&last, bytes_of(&larger));
    assert_null(last.key);
    assert_int_equal(last.size, 0);
    const EVP_PKEY *kept = read_with(&last, bytes_of(&largest));
    assert_ptr_equal(last.key, kept);
    assert_int_equal(last.size, PEER_KEY_SIZE_MAX);
    peer_key_deinit(&last);
    OPENSSL_free(small.data);
    OPENSSL_free(largest.data);
    OPENSSL_free(larger.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_kept_until_another_is_read),
        cmocka_unit_test(a_key_of_more_octets_than_are_kept_is_read_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

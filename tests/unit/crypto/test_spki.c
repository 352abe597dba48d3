/* SubjectPublicKeyInfo, held against OpenSSL's own reader and writer. */
#include "openssl_memory.h"

#include "crypto/openssl.h"
#include "crypto/spki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { DER_MAX = 1024 };

static EVP_PKEY *key_of(const char *kind)
{
    EVP_PKEY *key = strncmp(kind, "RSA", 3) == 0   ? EVP_RSA_gen(2048)
                    : strcmp(kind, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
                                                   : EVP_EC_gen(kind);

    assert_non_null(key);
    return key;
}

static const char *const kinds[] = {"P-256", "P-384", "RSA"};

/* As OpenSSL writes it. */
static Bytes reference(EVP_PKEY *key, uint8_t *ret)
{
    unsigned char *end = ret;
    const int size = i2d_PUBKEY(key, NULL);

    assert_in_range(size, 1, DER_MAX);
    assert_int_equal(i2d_PUBKEY(key, &end), size);
    return (Bytes){ret, (size_t)size};
}

static void a_key_is_written_as_openssl_writes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]);
        _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
        uint8_t octets[DER_MAX];
        const Bytes expected = reference(key, octets);

        assert_int_equal(spki_encode(key, &der), expected.size);
        assert_memory_equal(der, expected.data, expected.size);
    }
}

static void a_key_is_read_as_openssl_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]), *read = NULL;
        uint8_t octets[DER_MAX];

        assert_int_equal(spki_decode(reference(key, octets), &read), 0);
        assert_int_equal(EVP_PKEY_eq(key, read), 1);
    }
}

static void a_key_cut_off_anywhere_or_with_more_after_it_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]);
        EVP_PKEY *read = NULL;
        uint8_t octets[DER_MAX + 1] = {0};
        const Bytes whole = reference(key, octets);

        for (size_t size = 0; size < whole.size; size++)
            assert_int_equal(spki_decode((Bytes){octets, size}, &read), -EBADMSG);
        assert_int_equal(spki_decode((Bytes){octets, whole.size + 1}, &read), -EBADMSG);
        assert_null(read);
    }
}

/* Whatever single octet is changed: what OpenSSL refuses is refused, and what is taken is what
 * OpenSSL makes of it. */
static void a_changed_octet_never_yields_a_key_that_openssl_does_not_see(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]);
        uint8_t octets[DER_MAX];
        const Bytes whole = reference(key, octets);

        for (size_t at = 0; at < 64; at++) {
            _cleanup_(EVP_PKEY_freep) EVP_PKEY *read = NULL, *theirs = NULL;
            const unsigned char *cursor = octets;

            octets[at] ^= 1;
            if (spki_decode(whole, &read) == 0) {
                theirs = d2i_PUBKEY(NULL, &cursor, (long)whole.size);
                assert_non_null(theirs);
                assert_int_equal(EVP_PKEY_eq(read, theirs), 1);
            }
            octets[at] ^= 1;
        }
    }
}

static void a_sequence_that_is_not_marked_as_constructed_is_refused(void **state)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of("P-256");
    EVP_PKEY *read = NULL;
    uint8_t octets[DER_MAX];
    const Bytes whole = reference(key, octets);

    (void)state;
    octets[0] &= (uint8_t)~V_ASN1_CONSTRUCTED;
    assert_int_equal(spki_decode(whole, &read), -EBADMSG);
    assert_null(read);
}

static void a_negative_modulus_is_refused(void **state)
{
    enum { MODULUS = 33 }; /* its first octet, which is 0 as the next one's first bit is 1 */
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of("RSA");
    EVP_PKEY *read = NULL;
    uint8_t octets[DER_MAX];
    const Bytes whole = reference(key, octets);

    (void)state;
    assert_int_equal(octets[MODULUS - 1], 0);
    octets[MODULUS - 1] = 0x80;
    assert_int_equal(spki_decode(whole, &read), -EBADMSG);
    assert_null(read);
}

static void a_point_that_is_not_on_the_curve_is_refused(void **state)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of("P-256");
    EVP_PKEY *read = NULL;
    uint8_t octets[DER_MAX];
    const Bytes whole = reference(key, octets);

    (void)state;
    octets[whole.size - 1] ^= 1;
    assert_int_equal(spki_decode(whole, &read), -EBADMSG);
    assert_null(read);
}

static void a_kind_of_key_outside_the_profile_is_neither_read_nor_written(void **state)
{
    static const char *const others[] = {"P-521", "ED25519"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(others[i]);
        unsigned char *der = NULL;
        EVP_PKEY *read = NULL;
        uint8_t octets[DER_MAX];

        assert_int_equal(spki_decode(reference(key, octets), &read), -EOPNOTSUPP);
        assert_int_equal(spki_encode(key, &der), -EOPNOTSUPP);
        assert_null(read);
        assert_null(der);
    }
}

/* Writes each kind of key while one allocation after the other fails. */
static void write_while(void (*run_out)(size_t nth))
{
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]);
        uint8_t octets[DER_MAX];
        const Bytes expected = reference(key, octets);
        bool failed = true;

        for (size_t nth = 1; failed; nth++) {
            _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;

            run_out(nth);
            const int size = spki_encode(key, &der);
            failed = openssl_memory_end();
            if (size < 0) {
                assert_true(failed);
                continue;
            }
            assert_int_equal(size, expected.size);
            assert_memory_equal(der, expected.data, expected.size);
        }
    }
}

static void a_key_is_written_whole_or_not_at_all_for_want_of_memory(void **state)
{
    (void)state;
    write_while(openssl_memory_fail);
}

/* What goes on as if it had the number that there was no memory for writes another key. */
static void a_key_is_written_whole_or_not_at_all_where_memory_is_short_once(void **state)
{
    (void)state;
    write_while(openssl_memory_fail_once);
}

/* Reads each kind of key while one allocation after the other fails. */
static void read_while(void (*run_out)(size_t nth))
{
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_of(kinds[i]);
        uint8_t octets[DER_MAX];
        const Bytes whole = reference(key, octets);
        bool failed = true;

        for (size_t nth = 1; failed; nth++) {
            _cleanup_(EVP_PKEY_freep) EVP_PKEY *read = NULL;

            run_out(nth);
            const int r = spki_decode(whole, &read);
            failed = openssl_memory_end();
            assert_true(r == 0 || failed);
            assert_int_equal(r == 0, read != NULL);
            if (r == 0)
                assert_int_equal(EVP_PKEY_eq(key, read), 1);
        }
    }
}

static void a_key_is_read_as_what_it_is_or_not_at_all_for_want_of_memory(void **state)
{
    (void)state;
    read_while(openssl_memory_fail);
}

static void a_key_is_read_as_what_it_is_or_not_at_all_where_memory_is_short_once(void **state)
{
    (void)state;
    read_while(openssl_memory_fail_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_written_as_openssl_writes_it),
        cmocka_unit_test(a_key_is_read_as_openssl_reads_it),
        cmocka_unit_test(a_key_cut_off_anywhere_or_with_more_after_it_is_refused),
        cmocka_unit_test(a_changed_octet_never_yields_a_key_that_openssl_does_not_see),
        cmocka_unit_test(a_sequence_that_is_not_marked_as_constructed_is_refused),
        cmocka_unit_test(a_negative_modulus_is_refused),
        cmocka_unit_test(a_point_that_is_not_on_the_curve_is_refused),
        cmocka_unit_test(a_kind_of_key_outside_the_profile_is_neither_read_nor_written),
        cmocka_unit_test(a_key_is_written_whole_or_not_at_all_for_want_of_memory),
        cmocka_unit_test(a_key_is_written_whole_or_not_at_all_where_memory_is_short_once),
        cmocka_unit_test(a_key_is_read_as_what_it_is_or_not_at_all_for_want_of_memory),
        cmocka_unit_test(a_key_is_read_as_what_it_is_or_not_at_all_where_memory_is_short_once),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests_name("crypto spki", tests, NULL, NULL);
}

/* Who sends us elsewhere is read within bounds, and can't do so for ever. */
#include "ikeclient/redirect.h"

#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

static const uint8_t nonce_octets[32] = {7};
static const Bytes nonce = {nonce_octets, sizeof(nonce_octets)}, none;
static Redirect redirect;

static int read_text(const char *octets, size_t size)
{
    return redirect_read((Bytes){(const uint8_t *)octets, size}, none, &redirect);
}

#define READ(literal) read_text(literal, sizeof(literal) - 1)

static void each_kind_of_gateway_is_read(void **state)
{
    (void)state;
    assert_int_equal(READ("\1\4\xc0\0\2\1"), 0);
    assert_string_equal(redirect.name, "192.0.2.1");
    assert_int_equal(READ("\2\20\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), 0);
    assert_string_equal(redirect.name, "2001:db8::1");
    assert_int_equal(READ("\3\14segw.example"), 0);
    assert_string_equal(redirect.name, "segw.example");
}

static void what_is_malformed_is_refused(void **state)
{
    (void)state;
    assert_int_equal(READ(""), -EBADMSG);
    assert_int_equal(READ("\1"), -EBADMSG);
    assert_int_equal(READ("\1\4\1\2\3"), -EBADMSG);
    assert_int_equal(READ("\1\3\1\2\3"), -EBADMSG);
    assert_int_equal(READ("\1\4\1\2\3\4\5"), -EBADMSG);
    assert_int_equal(READ("\2\4\1\2\3\4"), -EBADMSG);
    assert_int_equal(READ("\3\0"), -EBADMSG);
    assert_int_equal(READ("\3\4a\0bc"), -EBADMSG);
    assert_int_equal(READ("\3\10a name b"), -EBADMSG);
    assert_int_equal(READ("\4\4\1\2\3\4"), -EBADMSG);
    assert_string_equal(redirect.name, "");
}

static void the_nonce_is_ours_to_its_last_octet(void **state)
{
    uint8_t octets[6 + 32] = {1, 4, 192, 0, 2, 1};
    (void)state;

    memcpy(octets + 6, nonce_octets, 32);
    assert_int_equal(redirect_read(BYTES_OF(octets), nonce, &redirect), 0);
    assert_int_equal(redirect_read(BYTES_OF(octets), none, &redirect), -EBADMSG);
    assert_int_equal(redirect_read((Bytes){octets, 6}, nonce, &redirect), -EBADMSG);
    assert_int_equal(redirect_read((Bytes){octets, 6 + 31}, nonce, &redirect), -EBADMSG);
    octets[sizeof(octets) - 1] ^= 1;
    assert_int_equal(redirect_read(BYTES_OF(octets), nonce, &redirect), -EBADMSG);
}

static void who_sent_us_is_named_by_address(void **state)
{
    const Endpoint v4 = endpoint_of("192.0.2.1", 4500), v6 = endpoint_of("2001:db8::1", 500);
    uint8_t octets[REDIRECTED_FROM_MAX];
    (void)state;

    assert_int_equal(redirected_from_write(&v4, octets), 6);
    assert_memory_equal(octets, "\1\4\xc0\0\2\1", 6);
    assert_int_equal(redirected_from_write(&v6, octets), 18);
    assert_int_equal(octets[0], 2);
    assert_int_equal(octets[1], 16);
}

static void five_are_followed_in_300_seconds_and_no_sixth(void **state)
{
    RedirectGuard guard = {0};
    (void)state;

    for (uint64_t i = 0; i < REDIRECTS_MAX; i++)
        assert_true(redirect_allows(&guard, i * S));
    assert_false(redirect_allows(&guard, 5 * S));
    assert_false(redirect_allows(&guard, REDIRECT_PERIOD_S * S - 1));
    assert_true(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S)); /* the first is forgotten */
    assert_true(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S)); /* … and the second */
    assert_false(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_gateway_is_read),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(the_nonce_is_ours_to_its_last_octet),
        cmocka_unit_test(who_sent_us_is_named_by_address),
        cmocka_unit_test(five_are_followed_in_300_seconds_and_no_sixth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

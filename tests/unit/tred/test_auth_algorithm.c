/* Is an AlgorithmIdentifier judged by what it means, and all outside the profile refused? */
#include "octets_fixture.h"
#include "openssl_memory.h"

#include "crypto/auth_algorithm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define OID_SHA1 "06052b0e03021a"
#define OID_SHA256 "0609608648016503040201"
#define OID_SHA384 "0609608648016503040202"
#define OID_PSS "06092a864886f70d01010a"
#define OID_MGF1 "06092a864886f70d010108"

/* RFC 7427 appendix A, and the larger hashes alike. */
static const struct {
    AuthAlgorithm algorithm;
    const char *der;
} known[] = {
    {{.ecdsa = true, .digest = "SHA256"}, "300a06082a8648ce3d040302"},
    {{.ecdsa = true, .digest = "SHA384"}, "300a06082a8648ce3d040303"},
    {{.ecdsa = true, .digest = "SHA512"}, "300a06082a8648ce3d040304"},
    {{.digest = "SHA256"}, "300d06092a864886f70d01010b0500"},
    {{.digest = "SHA384"}, "300d06092a864886f70d01010c0500"},
    {{.digest = "SHA512"}, "300d06092a864886f70d01010d0500"},
    {{.pss = true, .digest = "SHA256", .salt = 32},
     "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
     "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"},
    {{.pss = true, .digest = "SHA256", .salt = 222}, /* RSA-2048's most, two octets long */
     "304206092a864886f70d01010a3035a00f300d06096086480165030402010500"
     "a11c301a06092a864886f70d010108300d06096086480165030402010500a204020200de"},
    {{.pss = true, .digest = "SHA384", .salt = 48},
     "304106092a864886f70d01010a3034a00f300d06096086480165030402020500"
     "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130"},
};

static int decode(const char *hex, AuthAlgorithm *ret)
{
    Octets der = octets_from_hex(hex);

    return auth_algorithm_decode(octets_bytes(&der), ret);
}

static void assert_decoded(const char *hex, const AuthAlgorithm *expected)
{
    AuthAlgorithm found = {0};

    assert_int_equal(decode(hex, &found), 0);
    assert_int_equal(found.ecdsa, expected->ecdsa);
    assert_int_equal(found.pss, expected->pss);
    assert_string_equal(found.digest, expected->digest);
    assert_int_equal(found.salt, expected->salt);
}

static void assert_refused(const char *hex, int expected)
{
    AuthAlgorithm found = {0};

    assert_int_equal(decode(hex, &found), expected);
    assert_null(found.digest);
}

static void what_the_rfc_lists_is_read(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(known); i++)
        assert_decoded(known[i].der, &known[i].algorithm);
}

static void what_the_rfc_lists_is_written(void **state)
{
    (void)state;

    for (size_t i = 0; i < ELEMENTS(known); i++) {
        uint8_t der[UINT8_MAX];
        size_t size = 0;

        assert_int_equal(auth_algorithm_encode(&known[i].algorithm, der, sizeof(der), &size), 0);
        assert_octets((Bytes){der, size}, known[i].der);
    }
}

static void an_algorithm_without_room_is_not_written(void **state)
{
    (void)state;
    const AuthAlgorithm unknown = {.ecdsa = true, .digest = "SHA1"};
    uint8_t der[UINT8_MAX];
    size_t size = 0;

    for (size_t i = 0; i < ELEMENTS(known); i++) {
        const size_t exact = strlen(known[i].der) / 2;

        assert_int_equal(auth_algorithm_encode(&known[i].algorithm, der, exact - 1, &size),
                         -ENOBUFS);
        assert_int_equal(auth_algorithm_encode(&known[i].algorithm, der, exact, &size), 0);
        assert_int_equal(size, exact);
    }
    assert_int_equal(auth_algorithm_encode(&unknown, der, sizeof(der), &size), -EINVAL);
}

/* One allocation fails alone: what is written after it would be another algorithm. */
static void an_algorithm_is_written_whole_or_not_at_all_for_want_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        bool failed = true;

        for (size_t nth = 1; failed; nth++) {
            uint8_t der[UINT8_MAX];
            size_t size = 0;

            openssl_memory_fail_once(nth);
            const int r = auth_algorithm_encode(&known[i].algorithm, der, sizeof(der), &size);
            failed = openssl_memory_end();
            if (r == 0) {
                assert_octets((Bytes){der, size}, known[i].der);
                continue;
            }
            assert_int_equal(r, -ENOMEM);
            assert_true(failed);
        }
    }
}

static void hash_parameters_may_be_left_out(void **state)
{
    (void)state;
    const AuthAlgorithm rsa = {.digest = "SHA256"};
    const AuthAlgorithm pss = {.pss = true, .digest = "SHA256", .salt = 32};

    assert_decoded("300b06092a864886f70d01010b", &rsa);
    assert_decoded("303d" OID_PSS "3030"
                   "a00d300b" OID_SHA256 "a11a3018" OID_MGF1 "300b" OID_SHA256 "a203020120",
                   &pss);
}

static void the_default_trailer_may_be_spelt_out_and_no_other(void **state)
{
    (void)state;
    const AuthAlgorithm pss = {.pss = true, .digest = "SHA256", .salt = 32};

    assert_decoded("3046" OID_PSS "3039"
                   "a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA256
                   "0500a203020120a303020101",
                   &pss);
    assert_refused("3046" OID_PSS "3039"
                   "a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA256
                   "0500a203020120a303020102",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void sha1_is_not_allowed(void **state)
{
    (void)state;

    assert_refused("300906072a8648ce3d0401", AUTH_ALGORITHM_E_NOT_ALLOWED);         /* ECDSA */
    assert_refused("300d06092a864886f70d0101050500", AUTH_ALGORITHM_E_NOT_ALLOWED); /* RSA */
    assert_refused("3039" OID_PSS "302c"
                   "a00b3009" OID_SHA1 "0500a1183016" OID_MGF1 "3009" OID_SHA1 "0500a203020120",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void pss_with_default_parameters_is_not_allowed(void **state)
{
    (void)state;

    assert_refused("300b" OID_PSS, AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("300d" OID_PSS "0500", AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("300d" OID_PSS "3000", AUTH_ALGORITHM_E_NOT_ALLOWED);
    /* Without the hash, the mask generation, the salt's length. */
    assert_refused("3030" OID_PSS "3023"
                   "a11c301a" OID_MGF1 "300d" OID_SHA256 "0500a203020120",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("3023" OID_PSS "3016"
                   "a00f300d" OID_SHA256 "0500a203020120",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("303c" OID_PSS "302f"
                   "a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA256 "0500",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void pss_with_what_are_no_parameters_is_refused(void **state)
{
    (void)state;

    assert_refused("3010" OID_PSS "3003020101", AUTH_ALGORITHM_E_ENCODING);
    assert_refused("3010" OID_PSS "3003a00305", AUTH_ALGORITHM_E_ENCODING);
    assert_refused("300f" OID_PSS "3002a007", AUTH_ALGORITHM_E_ENCODING);
}

static void pss_with_two_hashes_is_not_allowed(void **state)
{
    (void)state;

    assert_refused("3041" OID_PSS "3034"
                   "a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA384 "0500a203020120",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("303d" OID_PSS "3030"
                   "a00f300d" OID_SHA256 "0500a1183016" OID_MGF1 "3009" OID_SHA1 "0500a203020120",
                   AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void a_pss_salt_shorter_than_the_hash_is_not_allowed(void **state)
{
    (void)state;

#define PSS_SALT(integer)                                                                          \
    OID_PSS "3034a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA256 "0500a203" integer
    assert_refused("3041" PSS_SALT("02011f"), AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("3041" PSS_SALT("020114"), AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("3041" PSS_SALT("020100"), AUTH_ALGORITHM_E_NOT_ALLOWED);
    assert_refused("3041" PSS_SALT("0201ff"), AUTH_ALGORITHM_E_NOT_ALLOWED); /* -1 */
#undef PSS_SALT
}

static void a_pss_salt_longer_than_any_key_is_not_allowed(void **state)
{
    const AuthAlgorithm longest = {.pss = true, .digest = "SHA256", .salt = 512};

    (void)state;
#define PSS_SALT(integer)                                                                          \
    "3042" OID_PSS "3035a00f300d" OID_SHA256 "0500a11c301a" OID_MGF1 "300d" OID_SHA256             \
    "0500a204" integer
    assert_decoded(PSS_SALT("02020200"), &longest);
    assert_refused(PSS_SALT("02020201"), AUTH_ALGORITHM_E_NOT_ALLOWED);
#undef PSS_SALT
}

static void other_algorithms_are_not_allowed(void **state)
{
    (void)state;

    assert_refused("300506032b6570", AUTH_ALGORITHM_E_NOT_ALLOWED);             /* Ed25519 */
    assert_refused("300b0609608648016503040302", AUTH_ALGORITHM_E_NOT_ALLOWED); /* DSA */
    assert_refused("300d06092a864886f70d0101010500", AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void ecdsa_with_parameters_is_not_allowed(void **state)
{
    (void)state;

    assert_refused("300c06082a8648ce3d0403020500", AUTH_ALGORITHM_E_NOT_ALLOWED);
}

static void octets_after_the_algorithm_are_refused(void **state)
{
    (void)state;

    assert_refused("300a06082a8648ce3d04030200", AUTH_ALGORITHM_E_ENCODING);
    assert_refused("300b06082a8648ce3d04030200", AUTH_ALGORITHM_E_ENCODING);
    assert_refused("300f06082a8648ce3d04030205000500", AUTH_ALGORITHM_E_ENCODING);
}

static void what_is_cut_off_or_not_der_is_refused(void **state)
{
    (void)state;
    Octets der = octets_from_hex(known[6].der);

    for (size_t size = 0; size < der.size; size++) {
        AuthAlgorithm found;

        assert_int_equal(auth_algorithm_decode((Bytes){der.data, size}, &found),
                         AUTH_ALGORITHM_E_ENCODING);
    }
    assert_refused("30810a06082a8648ce3d040302", AUTH_ALGORITHM_E_ENCODING);   /* long length */
    assert_refused("308006082a8648ce3d0403020000", AUTH_ALGORITHM_E_ENCODING); /* indefinite */
    assert_refused("310a06082a8648ce3d040302", AUTH_ALGORITHM_E_ENCODING);     /* a SET */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_rfc_lists_is_read),
        cmocka_unit_test(what_the_rfc_lists_is_written),
        cmocka_unit_test(an_algorithm_without_room_is_not_written),
        cmocka_unit_test(an_algorithm_is_written_whole_or_not_at_all_for_want_of_memory),
        cmocka_unit_test(hash_parameters_may_be_left_out),
        cmocka_unit_test(the_default_trailer_may_be_spelt_out_and_no_other),
        cmocka_unit_test(sha1_is_not_allowed),
        cmocka_unit_test(pss_with_default_parameters_is_not_allowed),
        cmocka_unit_test(pss_with_what_are_no_parameters_is_refused),
        cmocka_unit_test(pss_with_two_hashes_is_not_allowed),
        cmocka_unit_test(a_pss_salt_shorter_than_the_hash_is_not_allowed),
        cmocka_unit_test(a_pss_salt_longer_than_any_key_is_not_allowed),
        cmocka_unit_test(other_algorithms_are_not_allowed),
        cmocka_unit_test(ecdsa_with_parameters_is_not_allowed),
        cmocka_unit_test(octets_after_the_algorithm_are_refused),
        cmocka_unit_test(what_is_cut_off_or_not_der_is_refused),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests_name("auth algorithm", tests, NULL, NULL);
}

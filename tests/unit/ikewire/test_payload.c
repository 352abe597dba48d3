/* Are the simple payloads read field by field, and malformed ones refused? */
#include "ikewire/payload.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HASH "000102030405060708090a0b0c0d0e0f10111213"

static IkeKe ke;
static IkeId id;
static IkeCert cert;
static IkeAuth auth;
static IkeFragment fragment;
static Bytes nonce;

static uint8_t buffer[256];
static Writer writer;

static int start_writing(void **state)
{
    (void)state;
    writer_init(&writer, buffer, sizeof(buffer));
    return 0;
}

static int decode_ke(Bytes body)
{
    return ike_ke_decode(body, &ke);
}

static int decode_id(Bytes body)
{
    return ike_id_decode(body, &id);
}

static int decode_cert(Bytes body)
{
    return ike_cert_decode(body, &cert);
}

static int decode_auth(Bytes body)
{
    return ike_auth_decode(body, &auth);
}

static int decode_fragment(Bytes body)
{
    return ike_fragment_decode(body, &fragment);
}

static void a_key_exchange_is_read_and_written(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body = octets_new("0013 ffff 0102030405");

    assert_int_equal(decode_ke(body), 0);
    assert_int_equal(ke.group, IKE_GROUP_ECP_256);
    assert_int_equal(ke.data.size, 5);
    ike_ke_encode(&writer, &ke);
    written_check(&writer, "0013 0000 0102030405");
}

static void malformed_key_exchanges_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"no reserved field", "0013", IKEWIRE_E_TRUNCATED},
        {"no data", "00130000", IKEWIRE_E_VALUE},
        {"group 0", "00000000 01", IKEWIRE_E_VALUE},
    };

    malformed_check(cases, ELEMENTS(cases), decode_ke);
}

static void an_identity_is_read_and_written(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body = octets_new("02 ffffff 612e62");

    assert_int_equal(decode_id(body), 0);
    assert_int_equal(id.type, IKE_ID_FQDN);
    assert_memory_equal(id.data.data, "a.b", 3);
    ike_id_encode(&writer, &id);
    written_check(&writer, "02 000000 612e62");
}

static void malformed_identities_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half the reserved field", "0200", IKEWIRE_E_TRUNCATED},
        {"type 0", "00000000 61", IKEWIRE_E_VALUE},
        {"no name", "02000000", IKEWIRE_E_VALUE},
        {"IPv4 address of 3 octets", "01000000 0a0000", IKEWIRE_E_LENGTH},
        {"IPv6 address of 4 octets", "05000000 0a000001", IKEWIRE_E_LENGTH},
    };

    malformed_check(cases, ELEMENTS(cases), decode_id);
}

static void a_certificate_is_read_and_written(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body = octets_new("04 3000");

    assert_int_equal(decode_cert(body), 0);
    assert_int_equal(cert.encoding, IKE_CERT_X509_SIGNATURE);
    assert_int_equal(cert.data.size, 2);
    ike_cert_encode(&writer, &cert);
    written_check(&writer, "04 3000");
}

static void malformed_certificates_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"no certificate", "04", IKEWIRE_E_VALUE},
        {"encoding 0", "00 3000", IKEWIRE_E_VALUE},
    };

    malformed_check(cases, ELEMENTS(cases), decode_cert);
}

static void an_auth_is_read_and_written(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body = octets_new("0e ffffff 0102");

    assert_int_equal(decode_auth(body), 0);
    assert_int_equal(auth.method, IKE_AUTH_DIGITAL_SIGNATURE);
    assert_int_equal(auth.data.size, 2);
    ike_auth_encode(&writer, &auth);
    written_check(&writer, "0e 000000 0102");
}

static void malformed_auths_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half the reserved field", "0e00", IKEWIRE_E_TRUNCATED},
        {"method 0", "00000000 01", IKEWIRE_E_VALUE},
        {"no signature", "0e000000", IKEWIRE_E_VALUE},
    };

    malformed_check(cases, ELEMENTS(cases), decode_auth);
}

static void a_nonce_has_16_to_256_octets(void **state)
{
    (void)state;
    static const uint8_t octets[IKE_NONCE_MAX + 1] = {0};

    assert_int_equal(ike_nonce_decode((Bytes){octets, 15}, &nonce), IKEWIRE_E_VALUE);
    assert_int_equal(ike_nonce_decode((Bytes){octets, 16}, &nonce), 0);
    assert_int_equal(nonce.size, 16);
    assert_int_equal(ike_nonce_decode((Bytes){octets, 256}, &nonce), 0);
    assert_int_equal(nonce.size, 256);
    assert_int_equal(ike_nonce_decode((Bytes){octets, 257}, &nonce), IKEWIRE_E_VALUE);
}

static void a_fragment_lies_within_its_total(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"no total", "0001", IKEWIRE_E_TRUNCATED},
        {"number 0", "0000 0001 ff", IKEWIRE_E_FRAGMENT},
        {"total 0", "0001 0000 ff", IKEWIRE_E_FRAGMENT},
        {"number above total", "0003 0002 ff", IKEWIRE_E_FRAGMENT},
    };
    _cleanup_(octets_free) Bytes body = octets_new("0002 0002 010203");

    assert_int_equal(decode_fragment(body), 0);
    assert_int_equal(fragment.number, 2);
    assert_int_equal(fragment.total, 2);
    assert_int_equal(fragment.sealed.size, 3);
    malformed_check(cases, ELEMENTS(cases), decode_fragment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_key_exchange_is_read_and_written, start_writing),
        cmocka_unit_test(malformed_key_exchanges_are_refused),
        cmocka_unit_test_setup(an_identity_is_read_and_written, start_writing),
        cmocka_unit_test(malformed_identities_are_refused),
        cmocka_unit_test_setup(a_certificate_is_read_and_written, start_writing),
        cmocka_unit_test(malformed_certificates_are_refused),
        cmocka_unit_test_setup(an_auth_is_read_and_written, start_writing),
        cmocka_unit_test(malformed_auths_are_refused),
        cmocka_unit_test(a_nonce_has_16_to_256_octets),
        cmocka_unit_test(a_fragment_lies_within_its_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

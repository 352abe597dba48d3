/* Are Notify and Delete read for what they say, and refused where they contradict themselves? */
#include "ikewire/payload.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HASH "000102030405060708090a0b0c0d0e0f10111213"

static IkeNotify notify;
static IkeDelete delete_;

static int decode_notify(Bytes body)
{
    return ike_notify_decode(body, &notify);
}

static int decode_delete(Bytes body)
{
    return ike_delete_decode(body, &delete_);
}

static void assert_notify_stays(const char *hex)
{
    _cleanup_(octets_free) Bytes body = octets_new(hex);
    uint8_t buffer[128];
    Writer writer;

    assert_int_equal(decode_notify(body), 0);
    writer_init(&writer, buffer, sizeof(buffer));
    ike_notify_encode(&writer, &notify);
    written_check(&writer, hex);
}

static void a_notify_about_no_sa_has_no_spi(void **state)
{
    (void)state;
    assert_notify_stays("0000 4004 " HASH);
    assert_int_equal(notify.type, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP);
    assert_int_equal(notify.spi_size, 0);
    assert_int_equal(notify.data.size, 20);
}

static void a_notify_names_its_sa_by_spi(void **state)
{
    (void)state;
    assert_notify_stays("0304 4009 c0000001");
    assert_int_equal(notify.type, IKE_NOTIFY_REKEY_SA);
    assert_int_equal(notify.spi, 0xc0000001);
    assert_int_equal(notify.data.size, 0);
    assert_notify_stays("0108 0004 c000000000000001");
    assert_true(notify.spi == 0xc000000000000001);
}

static void the_protocol_of_a_notify_without_spi_says_nothing(void **state)
{
    (void)state;
    assert_notify_stays("0100 4000");
    assert_notify_stays("ff00 000e");
}

static void malformed_notifies_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half a type", "000040", IKEWIRE_E_TRUNCATED},
        {"SPI size 4 of IKE", "0104 4009 c0000001", IKEWIRE_E_VALUE},
        {"SPI size 8 of ESP", "0308 4009 c000000000000001", IKEWIRE_E_VALUE},
        {"SPI size 4 of no protocol", "0004 4009 c0000001", IKEWIRE_E_VALUE},
        {"SPI size 3", "0303 4009 c00000", IKEWIRE_E_VALUE},
        {"SPI size 255", "03ff 4009 c0000001", IKEWIRE_E_VALUE},
        {"ESP SPI cut off", "0304 4009 c00000", IKEWIRE_E_LENGTH},
        {"IKE SPI cut off", "0108 0004 c0000000000000", IKEWIRE_E_LENGTH},
        {"cookie of 0 octets", "0000 4006", IKEWIRE_E_LENGTH},
        {"group of 1 octet", "0000 0011 13", IKEWIRE_E_LENGTH},
        {"group of 3 octets", "0000 0011 001300", IKEWIRE_E_LENGTH},
        {"NAT detection of 19 octets", "0000 4005 000102030405060708090a0b0c0d0e0f101112",
         IKEWIRE_E_LENGTH},
        {"NAT detection of 21 octets", "0000 4004 " HASH "00", IKEWIRE_E_LENGTH},
        {"no hash algorithm", "0000 402f", IKEWIRE_E_LENGTH},
        {"one and a half hash algorithms", "0000 402f 000200", IKEWIRE_E_LENGTH},
        {"unsupported payload without its type", "0000 0001", IKEWIRE_E_LENGTH},
        {"message ID of 2 octets", "0000 0009 0001", IKEWIRE_E_LENGTH},
        {"window size of 2 octets", "0000 4001 0001", IKEWIRE_E_LENGTH},
    };

    malformed_check(cases, ELEMENTS(cases), decode_notify);
}

static void a_cookie_has_up_to_64_octets(void **state)
{
    (void)state;
    uint8_t body[4 + IKE_COOKIE_MAX + 1] = {0, 0, 0x40, 0x06};

    assert_int_equal(decode_notify((Bytes){body, 5}), 0);
    assert_int_equal(decode_notify((Bytes){body, sizeof(body) - 1}), 0);
    assert_int_equal(decode_notify(BYTES_OF(body)), IKEWIRE_E_LENGTH);
}

static void assert_delete_stays(const char *hex)
{
    _cleanup_(octets_free) Bytes body = octets_new(hex);
    uint8_t buffer[128];
    Writer writer;

    assert_int_equal(decode_delete(body), 0);
    writer_init(&writer, buffer, sizeof(buffer));
    ike_delete_encode(&writer, &delete_);
    written_check(&writer, hex);
}

static void a_delete_of_the_ike_sa_names_no_spi(void **state)
{
    (void)state;
    assert_delete_stays("01000000");
    assert_int_equal(delete_.protocol, IKE_PROTOCOL_IKE);
    assert_int_equal(delete_.n_spis, 0);
}

static void a_delete_of_children_names_each(void **state)
{
    (void)state;
    assert_delete_stays("03040002 c0000001 c0000002");
    assert_int_equal(delete_.n_spis, 2);
    assert_int_equal(delete_.spis[0], 0xc0000001);
    assert_int_equal(delete_.spis[1], 0xc0000002);
}

static void malformed_deletes_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half a count", "030400", IKEWIRE_E_TRUNCATED},
        {"protocol 0", "00000000", IKEWIRE_E_VALUE},
        {"protocol 4", "04040001 c0000001", IKEWIRE_E_VALUE},
        {"IKE with an SPI size", "01080000", IKEWIRE_E_VALUE},
        {"IKE with an SPI", "01080001 c000000000000001", IKEWIRE_E_VALUE},
        {"IKE with a count", "01000001", IKEWIRE_E_VALUE},
        {"ESP with SPI size 8", "03080001 c000000000000001", IKEWIRE_E_VALUE},
        {"ESP with SPI size 0", "03000001", IKEWIRE_E_VALUE},
        {"an SPI that count invents", "03040002 c0000001", IKEWIRE_E_LENGTH},
        {"an SPI that count omits", "03040001 c0000001 c0000002", IKEWIRE_E_TRAILING},
        {"an SPI cut off", "03040001 c00000", IKEWIRE_E_LENGTH},
        {"an octet after Delete of IKE", "01000000 00", IKEWIRE_E_TRAILING},
        {"65535 SPIs that are not there", "0304ffff c0000001", IKEWIRE_E_LENGTH},
    };

    malformed_check(cases, ELEMENTS(cases), decode_delete);
}

static void spis_beyond_those_we_hold_are_counted(void **state)
{
    (void)state;
    uint8_t body[4 + 4 * (IKE_SPIS_MAX + 1)] = {IKE_PROTOCOL_ESP, 4, 0, IKE_SPIS_MAX};

    assert_int_equal(decode_delete((Bytes){body, sizeof(body) - 4}), 0);
    assert_int_equal(delete_.n_spis, IKE_SPIS_MAX);
    assert_int_equal(delete_.n_skipped, 0);
    body[3]++;
    assert_int_equal(decode_delete(BYTES_OF(body)), 0);
    assert_int_equal(delete_.n_spis, IKE_SPIS_MAX);
    assert_int_equal(delete_.n_skipped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notify_about_no_sa_has_no_spi),
        cmocka_unit_test(a_notify_names_its_sa_by_spi),
        cmocka_unit_test(the_protocol_of_a_notify_without_spi_says_nothing),
        cmocka_unit_test(malformed_notifies_are_refused),
        cmocka_unit_test(a_cookie_has_up_to_64_octets),
        cmocka_unit_test(a_delete_of_the_ike_sa_names_no_spi),
        cmocka_unit_test(a_delete_of_children_names_each),
        cmocka_unit_test(malformed_deletes_are_refused),
        cmocka_unit_test(spis_beyond_those_we_hold_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

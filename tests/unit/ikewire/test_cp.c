/* Are configuration attributes read and written, and malformed ones refused? */
#include "ikewire/payload.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static IkeCp cp;

static int decode(Bytes body)
{
    return ike_cp_decode(body, &cp);
}

static void a_request_for_addresses_is_read_and_written(void **state)
{
    (void)state;
    const char *hex = "01000000 00010000 00080000";
    _cleanup_(octets_free) Bytes body = octets_new(hex);

    assert_int_equal(decode(body), 0);
    assert_int_equal(cp.cfg_type, IKE_CFG_REQUEST);
    assert_int_equal(cp.n_attributes, 2);
    assert_int_equal(cp.attributes[0].type, IKE_CFG_INTERNAL_IP4_ADDRESS);
    assert_int_equal(cp.attributes[0].value.size, 0);
    assert_int_equal(cp.attributes[1].type, IKE_CFG_INTERNAL_IP6_ADDRESS);

    uint8_t buffer[64];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    ike_cp_encode(&writer, &cp);
    written_check(&writer, hex);
}

static void a_reply_carries_its_values(void **state)
{
    (void)state;
    const char *hex = "02000000 00010004 0ad20001 00080011 20010db8000000000000000000000001 40"
                      "00140003 010203";
    _cleanup_(octets_free) Bytes body = octets_new(hex);

    assert_int_equal(decode(body), 0);
    assert_int_equal(cp.n_attributes, 3);
    assert_memory_equal(cp.attributes[0].value.data, ((uint8_t[]){10, 210, 0, 1}), 4);
    assert_int_equal(cp.attributes[1].value.size, 17);
    assert_int_equal(cp.attributes[1].value.data[16], 64);
    assert_int_equal(cp.attributes[2].type, 20);
    assert_int_equal(cp.attributes[2].value.size, 3);
}

static void the_reserved_bit_of_an_attribute_is_ignored(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body = octets_new("01ffffff 80010000");

    assert_int_equal(decode(body), 0);
    assert_int_equal(cp.attributes[0].type, IKE_CFG_INTERNAL_IP4_ADDRESS);
}

static void there_are_four_types_of_configuration(void **state)
{
    static const char *const types[] = {"01000000", "02000000", "03000000", "04000000"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(octets_free) Bytes body = octets_new(types[i]);

        assert_int_equal(decode(body), 0);
        assert_int_equal(cp.cfg_type, i + 1);
    }
}

static void malformed_configurations_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half a header", "0100", IKEWIRE_E_TRUNCATED},
        {"CFG type 0", "00000000", IKEWIRE_E_VALUE},
        {"CFG type 5", "05000000", IKEWIRE_E_VALUE},
        {"half an attribute", "01000000 0001", IKEWIRE_E_TRUNCATED},
        {"attribute beyond the payload", "02000000 00010004 0ad200", IKEWIRE_E_LENGTH},
        {"attribute length 65535", "02000000 0001ffff 0ad20001", IKEWIRE_E_LENGTH},
        {"IPv4 address of 5 octets", "02000000 00010005 0ad2000100", IKEWIRE_E_LENGTH},
        {"IPv6 address without prefix length", "02000000 00080010 20010db8000000000000000000000001",
         IKEWIRE_E_LENGTH},
    };

    malformed_check(cases, ELEMENTS(cases), decode);
}

static void an_attribute_that_no_tunnel_depends_on_may_have_any_size(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes body =
        octets_new("02000000 00020003 ffffff 000d0004 0ad20000 00170003 ffffff "
                   "00180001 ff 00030001 00 000a0011 20010db8000000000000000000000001 40 "
                   "00010004 0ad20001");

    assert_int_equal(decode(body), 0);
    assert_int_equal(cp.n_attributes, 7);
}

/* As many of each type, and of all that we don't know, in whatever order they come. */
static void no_crowd_of_attributes_hides_the_one_that_matters(void **state)
{
    (void)state;
    static const uint16_t crowds[] = {
        IKE_CFG_INTERNAL_IP4_ADDRESS,         IKE_CFG_INTERNAL_IP4_DNS,
        IKE_CFG_INTERNAL_IP6_ADDRESS,         IKE_CFG_INTERNAL_IP6_DNS,
        IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO, IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK,
        IKE_CFG_INTERNAL_IP4_NETMASK,         0x7fff};
    enum { CROWD = 1000 };
    static uint8_t octets[4 + 4 * (ELEMENTS(crowds) * CROWD)];
    Writer writer;
    Bytes body;

    writer_init(&writer, octets, sizeof(octets));
    writer_u8(&writer, IKE_CFG_REQUEST);
    writer_zeros(&writer, 3);
    for (size_t i = ELEMENTS(crowds); i-- > 0;) {
        for (size_t j = 0; j < CROWD; j++) {
            writer_u16(&writer, crowds[i]);
            writer_u16(&writer, 0);
        }
    }
    assert_int_equal(writer_finish(&writer, &body), 0);
    assert_int_equal(decode(body), 0);
    assert_int_equal(cp.n_attributes, IKE_ATTRIBUTES_MAX);
    assert_int_equal(cp.n_skipped, ELEMENTS(crowds) * CROWD - IKE_ATTRIBUTES_MAX);
    for (size_t i = 0; i < 6; i++) {
        size_t found = 0;
        for (size_t j = 0; j < cp.n_attributes; j++)
            found += cp.attributes[j].type == crowds[i];
        assert_int_equal(found, IKE_ATTRIBUTES_OF_TYPE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_for_addresses_is_read_and_written),
        cmocka_unit_test(a_reply_carries_its_values),
        cmocka_unit_test(the_reserved_bit_of_an_attribute_is_ignored),
        cmocka_unit_test(there_are_four_types_of_configuration),
        cmocka_unit_test(malformed_configurations_are_refused),
        cmocka_unit_test(an_attribute_that_no_tunnel_depends_on_may_have_any_size),
        cmocka_unit_test(no_crowd_of_attributes_hides_the_one_that_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Do DSCP and ECN cross between inner and outer header as RFC 6040 has it? */
#include "esp/packet.h"

#include "esp/offload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* RFC 6040 4.2, figure 4, as it is printed there: Not-ECT, ECT(0), ECT(1), CE. */
static const uint8_t codepoints[] = {ECN_NOT_ECT, ECN_ECT_0, ECN_ECT_1, ECN_CE};
static const int figure_4[4][4] = {
    {ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP},
    {ECN_ECT_0, ECN_ECT_0, ECN_ECT_1, ECN_CE},
    {ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE},
    {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
};

static void each_of_the_16_combinations_comes_to_what_figure_4_says(void **state)
{
    (void)state;
    for (size_t inner = 0; inner < 4; inner++) {
        for (size_t outer = 0; outer < 4; outer++) {
            assert_int_equal(ecn_combine(codepoints[inner], codepoints[outer]),
                             figure_4[inner][outer]);
            /* A DSCP beside it changes nothing. */
            assert_int_equal(ecn_combine(0xb8 | codepoints[inner], 0x28 | codepoints[outer]),
                             figure_4[inner][outer]);
        }
    }
}

static void the_outer_octet_has_what_is_to_be_copied_and_zeros_else(void **state)
{
    (void)state;
    for (unsigned inner = 0; inner < 256; inner++) {
        assert_int_equal(traffic_class_outer((uint8_t)inner, true, true), inner);
        assert_int_equal(traffic_class_outer((uint8_t)inner, true, false), inner & 0xfc);
        assert_int_equal(traffic_class_outer((uint8_t)inner, false, true), inner & 0x03);
        assert_int_equal(traffic_class_outer((uint8_t)inner, false, false), 0);
    }
}

static void an_ipv4_header_has_a_right_checksum_whatever_is_set(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 256; class ++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            uint8_t header[IPV4_HEADER_SIZE] = {
                0x45, (uint8_t) class, 0, 84, 1, 2, 0x40, 0, 64, 17, 0, 0, 10};
            uint16_t checksum = (uint16_t)~checksum_fold(checksum_add(0, BYTES_OF(header)));
            header[IPV4_CHECKSUM] = (uint8_t)(checksum >> 8);
            header[IPV4_CHECKSUM + 1] = (uint8_t)checksum;
            ecn_write(header, 4, ecn);
            assert_int_equal(traffic_class_read(header, 4), (class & 0xfc) | ecn);
            assert_int_equal(checksum_fold(checksum_add(0, BYTES_OF(header))), UINT16_MAX);
        }
    }
}

static void an_ipv6_header_keeps_all_but_its_ecn(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 256; class ++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            uint8_t header[4] = {(uint8_t)(0x60 | class >> 4), (uint8_t)(class << 4 | 0xf), 0xab,
                                 0xcd};
            ecn_write(header, 6, ecn);
            assert_int_equal(traffic_class_read(header, 6), (class & 0xfc) | ecn);
            assert_int_equal(header[0] >> 4, 6);
            assert_int_equal(header[1] & 0xf, 0xf);
            assert_int_equal(header[2] << 8 | header[3], 0xabcd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_the_16_combinations_comes_to_what_figure_4_says),
        cmocka_unit_test(the_outer_octet_has_what_is_to_be_copied_and_zeros_else),
        cmocka_unit_test(an_ipv4_header_has_a_right_checksum_whatever_is_set),
        cmocka_unit_test(an_ipv6_header_keeps_all_but_its_ecn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

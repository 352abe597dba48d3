/* Is the Internet checksum that of RFC 1071, however the octets are cut? */
#include "esp/offload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 300 };

/* RFC 1071 1, word by word. */
static uint16_t plain_sum(const uint8_t *octets, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i += 2)
        sum += (uint32_t)octets[i] << 8 | (i + 1 < size ? octets[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void the_example_of_rfc_1071_sums_to_ddf2(void **state)
{
    (void)state;
    const uint8_t octets[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(checksum_fold(checksum_add(0, BYTES_OF(octets))), 0xddf2);
}

static void octets_of_every_size_sum_to_what_words_do(void **state)
{
    (void)state;
    uint8_t octets[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        octets[i] = (uint8_t)(i * 151 + 200);
    for (size_t size = 0; size <= SIZE; size++)
        assert_int_equal(checksum_fold(checksum_add(0, (Bytes){octets, size})),
                         plain_sum(octets, size));
}

static void pieces_of_even_size_sum_to_the_whole(void **state)
{
    (void)state;
    uint8_t octets[SIZE];
    memset(octets, 0xff, SIZE);
    octets[3] = 0x12;
    for (size_t cut = 0; cut <= SIZE; cut += 2) {
        uint64_t sum = checksum_add(0, (Bytes){octets, cut});
        sum = checksum_add(sum, (Bytes){octets + cut, SIZE - cut});
        assert_int_equal(checksum_fold(sum), plain_sum(octets, SIZE));
    }
}

static void a_number_counts_as_its_two_octets(void **state)
{
    (void)state;
    const uint8_t octets[] = {0xab, 0xcd};
    assert_int_equal(checksum_fold(checksum_add_u16(0, 0xabcd)), plain_sum(octets, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071_sums_to_ddf2),
        cmocka_unit_test(octets_of_every_size_sum_to_what_words_do),
        cmocka_unit_test(pieces_of_even_size_sum_to_the_whole),
        cmocka_unit_test(a_number_counts_as_its_two_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

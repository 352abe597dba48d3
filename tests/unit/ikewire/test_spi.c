/* Are SPIs of each size read and written as the numbers they are? */
#include "ikewire/payload.h"

#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_stays(const char *hex, uint8_t size, uint64_t expected)
{
    _cleanup_(octets_free) Bytes octets = octets_new(hex);
    uint8_t buffer[8];
    uint64_t spi = 42;
    Reader reader;
    Writer writer;

    reader_init(&reader, octets);
    assert_int_equal(spi_decode(&reader, size, &spi), 0);
    assert_true(spi == expected);
    assert_int_equal(reader_left(&reader), 0);
    writer_init(&writer, buffer, sizeof(buffer));
    spi_encode(&writer, size, spi);
    written_check(&writer, hex);
}

static void spis_of_each_size_are_read_and_written(void **state)
{
    (void)state;
    assert_stays("", 0, 0);
    assert_stays("c0000001", 4, 0xc0000001);
    assert_stays("c000000000000001", 8, 0xc000000000000001);
}

static void an_spi_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes octets = octets_new("c00000");
    uint64_t spi;
    Reader reader;

    reader_init(&reader, octets);
    assert_int_equal(spi_decode(&reader, 4, &spi), IKEWIRE_E_LENGTH);
    assert_int_equal(spi_decode(&reader, 8, &spi), IKEWIRE_E_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spis_of_each_size_are_read_and_written),
        cmocka_unit_test(an_spi_that_is_cut_off_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

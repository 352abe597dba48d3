/* Do octets come back from text as they went in, lines and words as they stand, and is other text
 * refused? */
#include "policy/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void hex_comes_back_as_it_went_in(void **state)
{
    const uint8_t octets[] = {0x00, 0x7f, 0x80, 0xff, 0xa5};
    uint8_t again[sizeof(octets)];
    char text[2 * sizeof(octets) + 1];

    (void)state;
    hex_encode(BYTES_OF(octets), text);
    assert_string_equal(text, "007f80ffa5");
    assert_int_equal(hex_decode(text, again, sizeof(again)), 0);
    assert_memory_equal(again, octets, sizeof(octets));
    assert_int_equal(hex_decode("007F80FFA5", again, sizeof(again)), 0);
    assert_memory_equal(again, octets, sizeof(octets));
}

static void hex_of_another_length_or_with_other_characters_is_refused(void **state)
{
    static const char *const bad[] = {"",       "00",     "0011223", "001122334455",
                                      "00112g", "0x1122", " 01122"};
    uint8_t octets[3];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_not_equal(hex_decode(bad[i], octets, sizeof(octets)), 0);
}

static void hex_of_any_length_is_read_as_far_as_there_is_room(void **state)
{
    static const char *const bad[] = {"0", "0g", "g0", "001", "00112233"};
    uint8_t octets[3];
    size_t size = 9;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(hex_decode_some(bad[i], octets, sizeof(octets), &size), -EINVAL);
        assert_int_equal(size, 9);
    }
    assert_int_equal(hex_decode_some("a1b2c3", octets, sizeof(octets), &size), 0);
    assert_int_equal(size, 3);
    assert_int_equal(octets[2], 0xc3);
    assert_int_equal(hex_decode_some("", octets, sizeof(octets), &size), 0);
    assert_int_equal(size, 0);
}

static Bytes text_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void lines_come_one_by_one(void **state)
{
    Bytes rest = text_of("one\n\ntwo words\n ~\n");
    char line[10];
    (void)state;

    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "one");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "two words");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, " ~"); /* the first and the last that can be printed */
    assert_int_equal(line_next(&rest, line, sizeof(line)), 0);
}

static void a_line_without_an_end_too_long_or_of_other_octets_is_refused(void **state)
{
    static const char *const bad[] = {"one",    "four",  "four4",  "four4\n",
                                      "a\tb\n", "a\r\n", "\x7f\n", "\xc3\xa4\n"};
    char line[5];
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Bytes rest = text_of(bad[i]);

        assert_int_equal(line_next(&rest, line, sizeof(line)), -EBADMSG);
    }
    Bytes with_nul = {(const uint8_t *)"a\0\n", 3};
    assert_int_equal(line_next(&with_nul, line, sizeof(line)), -EBADMSG);
    Bytes end_outside = {(const uint8_t *)"one\n", 3};
    assert_int_equal(line_next(&end_outside, line, sizeof(line)), -EBADMSG);
    assert_int_equal(end_outside.size, 3);
}

static void words_stand_one_space_apart(void **state)
{
    char text[] = "a bc  d";
    char *rest = text;
    (void)state;

    assert_string_equal(word_next(&rest), "a");
    assert_string_equal(word_next(&rest), "bc");
    assert_string_equal(word_next(&rest), "");
    assert_string_equal(word_next(&rest), "d");
    assert_null(word_next(&rest));
    assert_null(word_next(&rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_comes_back_as_it_went_in),
        cmocka_unit_test(hex_of_another_length_or_with_other_characters_is_refused),
        cmocka_unit_test(hex_of_any_length_is_read_as_far_as_there_is_room),
        cmocka_unit_test(lines_come_one_by_one),
        cmocka_unit_test(a_line_without_an_end_too_long_or_of_other_octets_is_refused),
        cmocka_unit_test(words_stand_one_space_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Lines and words are cut where they end, and what is no text is refused. */
#include "base/lines.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Bytes text_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void lines_come_one_by_one(void **state)
{
    Bytes rest = text_of("one\n\ntwo words\n");
    char line[10];
    (void)state;

    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "one");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 1);
    assert_string_equal(line, "two words");
    assert_int_equal(line_next(&rest, line, sizeof(line)), 0);
}

static void a_line_without_an_end_too_long_or_of_other_octets_is_refused(void **state)
{
    static const char *const bad[] = {"one", "four4\n", "a\tb\n", "a\r\n", "\x7f\n", "\xc3\xa4\n"};
    char line[5];
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Bytes rest = text_of(bad[i]);

        assert_int_equal(line_next(&rest, line, sizeof(line)), -EBADMSG);
    }
    Bytes with_nul = {(const uint8_t *)"a\0\n", 3};
    assert_int_equal(line_next(&with_nul, line, sizeof(line)), -EBADMSG);
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
        cmocka_unit_test(lines_come_one_by_one),
        cmocka_unit_test(a_line_without_an_end_too_long_or_of_other_octets_is_refused),
        cmocka_unit_test(words_stand_one_space_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

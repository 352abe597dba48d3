/* Numbers in words. */
#include "trectl/words.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_duration_is_told_in_the_units_that_matter(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *words;
    } cases[] = {{0, "0 s"},          {119, "119 s"},
                 {120, "2 min"},      {3599, "59 min"},
                 {3600, "1 h 0 min"}, {172799, "47 h 59 min"},
                 {172800, "2 days"},  {UINT64_MAX, "213503982334601 days"}};
    char text[WORDS_SIZE];
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++)
        assert_string_equal(words_duration(cases[i].seconds, text), cases[i].words);
}

static void octets_are_told_in_powers_of_a_thousand(void **state)
{
    static const struct {
        uint64_t octets;
        const char *words;
    } cases[] = {
        {0, "0 B"},         {999, "999 B"},      {1000, "1.0 kB"},       {999949, "999.9 kB"},
        {999951, "1.0 MB"}, {1500000, "1.5 MB"}, {2000000000, "2.0 GB"}, {UINT64_MAX, "18.4 EB"}};
    char text[WORDS_SIZE];
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++)
        assert_string_equal(words_octets(cases[i].octets, text), cases[i].words);
}

static void a_time_is_told_in_utc(void **state)
{
    char text[WORDS_SIZE];
    (void)state;

    assert_string_equal(words_time(1795714765, text), "2026-11-26 17:39:25 UTC");
    assert_non_null(words_time((time_t)INT64_MAX, text)); /* no calendar has it */
    assert_string_equal(text, "9223372036854775807 s after 1970");
}

static void a_text_is_broken_at_a_blank_where_there_is_one(void **state)
{
    const char *next;
    (void)state;

    assert_int_equal(words_line_break("one two three", 20, &next), 13);
    assert_string_equal(next, "");
    assert_int_equal(words_line_break("one two three", 8, &next), 7);
    assert_string_equal(next, "three");
    assert_int_equal(words_line_break("one two three", 7, &next), 7);
    assert_string_equal(next, "three");
    assert_int_equal(words_line_break("nothing-to-break", 7, &next), 7);
    assert_string_equal(next, "-to-break");
    assert_int_equal(words_line_break("", 7, &next), 0);
    assert_string_equal(next, "");
}

static char *overwritten(const char *text, unsigned rows, unsigned columns)
{
    char *written = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&written, &size);

    assert_non_null(stream);
    words_overwrite(stream, text, rows, columns);
    assert_int_equal(fclose(stream), 0);
    return written;
}

static void a_screen_is_written_over_as_far_as_there_is_room(void **state)
{
    static const struct {
        const char *text;
        unsigned rows, columns;
        const char *written;
    } cases[] = {
        {"ab\ncd\n", 0, 0, "\033[H\033[Kab\n\033[Kcd\n\033[K\033[J"},
        {"ab\ncd\n", 3, 2, "\033[H\033[Kab\n\033[Kcd\n\033[K\033[J"},
        /* An end of a line in the last row would scroll. */
        {"ab\ncd\n", 2, 2, "\033[H\033[Kab\n\033[Kcd"},
        {"ab\ncd\n", 1, 1, "\033[H\033[Ka"},
        /* What has no width is kept: a colour's end, and the octets of what there is room for. */
        {"\033[32mabc\033[0m\nd\n", 9, 2, "\033[H\033[K\033[32mab\033[0m\n\033[Kd\n\033[K\033[J"},
        {"\u00e9\u00e9\u00e9\n", 9, 2, "\033[H\033[K\u00e9\u00e9\n\033[K\033[J"},
    };
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(free_charp) char *written =
            overwritten(cases[i].text, cases[i].rows, cases[i].columns);

        assert_string_equal(written, cases[i].written);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_told_in_the_units_that_matter),
        cmocka_unit_test(octets_are_told_in_powers_of_a_thousand),
        cmocka_unit_test(a_time_is_told_in_utc),
        cmocka_unit_test(a_text_is_broken_at_a_blank_where_there_is_one),
        cmocka_unit_test(a_screen_is_written_over_as_far_as_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Waits grow with failures, and are spread over all of their length; what is remembered of them
 * survives restarts, and damage does no harm. */
#include "ikeclient/backoff.h"

#include "base/cleanup.h"
#include "ikeclient/backoff_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

enum { MOST = 300000 };

static void the_longest_wait_begins_with_a_second_and_doubles_up_to_the_most(void **state)
{
    (void)state;
    assert_int_equal(backoff_ceiling_ms(0, MOST), 1000);
    assert_int_equal(backoff_ceiling_ms(1, MOST), 2000);
    assert_int_equal(backoff_ceiling_ms(8, MOST), 256000);
    assert_int_equal(backoff_ceiling_ms(9, MOST), MOST);
    assert_int_equal(backoff_ceiling_ms(4000000000U, MOST), MOST);
    assert_int_equal(backoff_ceiling_ms(0, 500), 500);
}

static void all_of_a_wait_is_by_chance(void **state)
{
    (void)state;
    assert_int_equal(backoff_ms(5, MOST, 0), BACKOFF_LEAST_MS);
    assert_int_equal(backoff_ms(5, MOST, UINT32_MAX), 32000);
    assert_in_range(backoff_ms(5, MOST, UINT32_MAX / 4), 8074, 8075);
}

/* ---- the file's text ---- */

static Bytes text_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void what_is_written_is_read(void **state)
{
    const BackoffRecord records[] = {
        {0, 0, 0},
        {7, 1795713513, 1795713600},
        {64, UINT64_C(9999999999999999998), UINT64_C(9999999999999999999)}};
    char text[BACKOFF_TEXT_SIZE];
    BackoffRecord read;
    (void)state;

    for (size_t i = 0; i < ELEMENTS(records); i++) {
        size_t size = backoff_format(&records[i], text);
        assert_int_equal(backoff_parse((Bytes){(uint8_t *)text, size}, &read), 0);
        assert_int_equal(read.failures, records[i].failures);
        assert_int_equal(read.saved, records[i].saved);
        assert_int_equal(read.until, records[i].until);
    }
}

static void damaged_text_says_nothing(void **state)
{
    static const char *const damaged[] = {"",
                                          "\n",
                                          "failures 1\n",
                                          "failures 1\nsaved 1\n",
                                          "failures 65\nsaved 1\nuntil 2\n",
                                          "failures 1\nsaved 3\nuntil 2\n",
                                          "failures 1\nsaved 1\nuntil 2\nmore 3\n",
                                          "failures 1\nsaved 1\nuntil 2",
                                          "failures 1\nsaved 1\nuntil 2\n\n",
                                          "failures -1\nsaved 1\nuntil 2\n",
                                          "failures 1\nsaved 1\nuntil 99999999999999999999\n",
                                          "failures 01\nsaved 1\nuntil 2\n",
                                          "Failures 1\nsaved 1\nuntil 2\n",
                                          "failures  1\nsaved 1\nuntil 2\n",
                                          "failures \nsaved 1\nuntil 2\n"};
    BackoffRecord read = {9, 9, 9};
    (void)state;

    for (size_t i = 0; i < ELEMENTS(damaged); i++) {
        assert_int_equal(backoff_parse(text_of(damaged[i]), &read), -EBADMSG);
        assert_int_equal(read.failures, 0);
    }
}

static void
each_octet_that_flips_or_is_cut_off_is_noticed_or_gives_a_record_within_bounds(void **state)
{
    const BackoffRecord record = {7, 1795713513, 1795713600};
    char text[BACKOFF_TEXT_SIZE];
    BackoffRecord read;
    (void)state;

    size_t size = backoff_format(&record, text);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(backoff_parse((Bytes){(uint8_t *)text, i}, &read), -EBADMSG);
        for (unsigned bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            if (backoff_parse((Bytes){(uint8_t *)text, size}, &read) == 0)
                assert_true(backoff_left_ms(&read, 0, MOST) <= MOST);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
}

/* ---- what is left of a wait ---- */

static void what_is_left_of_a_wait_is_waited(void **state)
{
    const BackoffRecord record = {3, 1000, 1100};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 1000, MOST), 100000);
    assert_int_equal(backoff_left_ms(&record, 1060, MOST), 40000);
    assert_int_equal(backoff_left_ms(&record, 1100, MOST), 0);
    assert_int_equal(backoff_left_ms(&record, 9999, MOST), 0);
}

static void a_clock_that_is_behind_brings_the_whole_wait_and_no_more(void **state)
{
    const BackoffRecord record = {3, 1000, 1100}, far = {3, 1000, 1000000};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 0, MOST), 100000);
    assert_int_equal(backoff_left_ms(&far, 0, MOST), MOST);
    assert_int_equal(backoff_left_ms(&far, 1001, MOST), MOST);
}

static void without_failures_nothing_is_waited_for(void **state)
{
    const BackoffRecord record = {0, 1000, 1100};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 1000, MOST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_wait_begins_with_a_second_and_doubles_up_to_the_most),
        cmocka_unit_test(all_of_a_wait_is_by_chance),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damaged_text_says_nothing),
        cmocka_unit_test(
            each_octet_that_flips_or_is_cut_off_is_noticed_or_gives_a_record_within_bounds),
        cmocka_unit_test(what_is_left_of_a_wait_is_waited),
        cmocka_unit_test(a_clock_that_is_behind_brings_the_whole_wait_and_no_more),
        cmocka_unit_test(without_failures_nothing_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

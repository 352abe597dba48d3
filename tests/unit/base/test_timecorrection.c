/* Is a correction the operator's own words, to the letter? */
#include "base/timecorrection.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FQDN "henb-0001.vendor.example"

static unsigned days_of(const char *text, const char *fqdn)
{
    Reason reason = {0};
    unsigned days = 77;

    if (time_correction_read((Bytes){(const uint8_t *)text, strlen(text)}, fqdn, &days, &reason) <
        0)
        fail_msg("%s", reason.text);
    return days;
}

static void assert_refused(const char *text)
{
    Reason reason = {0};
    unsigned days = 0;

    assert_int_equal(
        time_correction_read((Bytes){(const uint8_t *)text, strlen(text)}, FQDN, &days, &reason),
        -EINVAL);
    assert_non_null(strstr(reason.text, "line "));
}

static void a_device_takes_its_own_line_wherever_it_stands(void **state)
{
    static const char text[] = "Anchors of the operator\n"
                               "last-known-time other.vendor.example minus 1\n"
                               "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\r\n"
                               "last-known-time HENB-0001.vendor.example minus 3650\r\n";

    (void)state;
    assert_int_equal(days_of(text, FQDN), 3650);
    assert_int_equal(days_of(text, "other.vendor.example"), 1);
    assert_int_equal(days_of(text, "third.vendor.example"), 0);
    assert_int_equal(days_of(text, NULL), 2);
    assert_int_equal(days_of("", FQDN), 0);
    assert_int_equal(days_of("last-known-time " FQDN " minus 5", FQDN), 5);
}

/* A line that nobody sees to be missing would leave a HeNB in the future. */
static void what_an_editor_puts_before_a_line_or_after_it_hides_none(void **state)
{
    (void)state;
    assert_int_equal(days_of("\xef\xbb\xbflast-known-time " FQDN " minus 3\n", FQDN), 3);
    assert_int_equal(days_of("one\n \tlast-known-time " FQDN " minus 4\n", FQDN), 4);
    assert_int_equal(days_of("one\rlast-known-time " FQDN " minus 5\rtwo\r", FQDN), 5);
    assert_refused("Last-known-time " FQDN " minus 3\n");
    assert_refused("one\r\ntwo\r\n last-known-time\r\n");
}

static void what_begins_like_one_and_is_none_is_refused(void **state)
{
    static const char *const lines[] = {
        "last-known-time",
        "last-known-time " FQDN,
        "last-known-time " FQDN " minus",
        "last-known-time " FQDN " minus 0",
        "last-known-time " FQDN " minus -1",
        "last-known-time " FQDN " minus 1000001",
        "last-known-time " FQDN " minus 99999999",
        "last-known-time " FQDN " minus 3 days",
        "last-known-time " FQDN " plus 3",
        "last-known-time not_a_name minus 3",
        "last-known-times " FQDN " minus 3",
        "last-known-time " FQDN " minus 3\nlast-known-time " FQDN " minus 3",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_refused(lines[i]);
}

static void the_longest_line_and_the_most_days_are_taken_and_no_more(void **state)
{
    enum { LONGEST = 319 };
    static const char end[] = " minus 1000000";
    char text[LONGEST + 2] = "last-known-time " FQDN;
    const size_t size = strlen(text);

    (void)state;
    memset(text + size, ' ', sizeof(text) - size);
    memcpy(text + LONGEST - strlen(end), end, sizeof(end));
    assert_int_equal(strlen(text), LONGEST);
    assert_int_equal(days_of(text, FQDN), 1000000);
    text[LONGEST - 1] = '1';
    assert_refused(text);
    text[LONGEST - strlen(end)] = ' ';
    memcpy(text + LONGEST + 1 - strlen(end), end, sizeof(end));
    assert_int_equal(strlen(text), LONGEST + 1);
    assert_refused(text);
}

static void what_stands_behind_a_zero_octet_is_not_passed_over(void **state)
{
    static const char text[] = "last-known-time " FQDN " minus 3\0 days";
    Reason reason = {0};
    unsigned days = 0;

    (void)state;
    assert_int_equal(time_correction_read((Bytes){(const uint8_t *)text, sizeof(text) - 1}, FQDN,
                                          &days, &reason),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_takes_its_own_line_wherever_it_stands),
        cmocka_unit_test(what_an_editor_puts_before_a_line_or_after_it_hides_none),
        cmocka_unit_test(what_begins_like_one_and_is_none_is_refused),
        cmocka_unit_test(the_longest_line_and_the_most_days_are_taken_and_no_more),
        cmocka_unit_test(what_stands_behind_a_zero_octet_is_not_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

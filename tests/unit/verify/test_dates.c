/* Is every question about a date that does not parse answered with no? */
#include "verify/certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NOON = 1767268800 }; /* 2026-01-01 12:00:00 UTC */

static void a_date_is_compared_by_the_second_inclusive(void **state)
{
    ASN1_TIME *date = ASN1_TIME_set(NULL, NOON);
    time_t read = 0;

    (void)state;
    assert_non_null(date);
    assert_true(date_read(date, &read));
    assert_int_equal(read, NOON);
    assert_true(date_is_by(date, NOON) && date_is_from(date, NOON));
    assert_true(date_is_by(date, NOON + 1) && !date_is_from(date, NOON + 1));
    assert_true(!date_is_by(date, NOON - 1) && date_is_from(date, NOON - 1));
    ASN1_TIME_free(date);
}

static void a_date_that_does_not_parse_is_neither_before_nor_after_anything(void **state)
{
    static const char *const texts[] = {
        "", "0", "2026", "20260231120000Z", "20261301120000Z", "20260101126000Z", "noon"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ASN1_TIME *date = ASN1_GENERALIZEDTIME_new();
        time_t read;

        assert_non_null(date);
        assert_int_equal(ASN1_STRING_set((ASN1_STRING *)date, texts[i], -1), 1);
        assert_false(date_read(date, &read));
        assert_false(date_is_by(date, INT64_MAX));
        assert_false(date_is_from(date, INT64_MIN));
        ASN1_TIME_free(date);
    }
}

static void no_date_is_neither_before_nor_after_anything(void **state)
{
    time_t read;

    (void)state;
    assert_false(date_read(NULL, &read) || date_is_by(NULL, NOON) || date_is_from(NULL, NOON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_compared_by_the_second_inclusive),
        cmocka_unit_test(a_date_that_does_not_parse_is_neither_before_nor_after_anything),
        cmocka_unit_test(no_date_is_neither_before_nor_after_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Are DSCPs read and written as they are known? */
#include "base/dscp.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t bit(unsigned dscp)
{
    return UINT64_C(1) << dscp;
}

static uint64_t parsed(const char *text)
{
    uint64_t dscps = 0;

    if (dscps_parse(text, &dscps) != 0)
        fail_msg("\"%s\" is refused", text);
    return dscps;
}

/* RFC 2474, 2597, 3246, 5865, 8622. */
static void every_name_is_the_dscp_of_its_rfc(void **state)
{
    static const char *const others[] = {"ef", "voice-admit", "le"};
    static const unsigned numbers[] = {46, 44, 1};
    char text[DSCPS_TEXT_SIZE];

    (void)state;
    for (unsigned class = 0; class < 8; class ++) {
        (void)snprintf(text, sizeof(text), "cs%u", class);
        assert_int_equal(parsed(text), bit(8 * class));
    }
    for (unsigned class = 1; class <= 4; class ++) {
        for (unsigned drop = 1; drop <= 3; drop++) {
            (void)snprintf(text, sizeof(text), "af%u%u", class, drop);
            assert_int_equal(parsed(text), bit(8 * class + 2 * drop));
        }
    }
    for (size_t i = 0; i < ELEMENTS(others); i++)
        assert_int_equal(parsed(others[i]), bit(numbers[i]));
}

static void names_and_numbers_stand_in_one_list_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(parsed("ef, af41, 63"), bit(46) | bit(34) | bit(63));
    assert_int_equal(parsed("EF,Af41 ,\t0"), bit(46) | bit(34) | bit(0));
    assert_int_equal(parsed(" 46 , ef "), bit(46));
    assert_int_equal(parsed("000000000000046"), bit(46)); /* the longest word */
}

static void what_is_no_dscp_is_refused_and_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "",
        " ",
        ",",
        "ef,",
        ",ef",
        "ef,,46",
        "ef af41",
        "64",
        "-1",
        "+1",
        "0x2e",
        "e",
        "efx",
        "46x",
        "af14",
        "af51",
        "cs8",
        "1e",
        "18446744073709551616",
        "0000000000000046",
        "00000000000000046",
        "ef;46",
        "voice-admit-and-more",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        uint64_t dscps = 5;
        if (dscps_parse(wrong[i], &dscps) != -EINVAL)
            fail_msg("\"%s\" is taken", wrong[i]);
        assert_int_equal(dscps, 5);
    }
}

static void what_is_written_is_read_again_and_all_of_them_fit(void **state)
{
    char text[DSCPS_TEXT_SIZE];

    (void)state;
    assert_string_equal(dscps_text(0, text), "");
    assert_string_equal(dscps_text(bit(46) | bit(34) | bit(63), text), "AF41, EF, 63");
    for (unsigned dscp = 0; dscp < DSCP_COUNT; dscp++)
        assert_int_equal(parsed(dscps_text(bit(dscp), text)), bit(dscp));
    assert_int_equal(parsed(dscps_text(UINT64_MAX, text)), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_the_dscp_of_its_rfc),
        cmocka_unit_test(names_and_numbers_stand_in_one_list_in_any_case),
        cmocka_unit_test(what_is_no_dscp_is_refused_and_changes_nothing),
        cmocka_unit_test(what_is_written_is_read_again_and_all_of_them_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

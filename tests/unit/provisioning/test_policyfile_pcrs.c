/* Are PCR values read as tpm2_pcrread prints them, and is a line that is not one named? */
#include "provisioning/policyfile.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES "1111111111111111111111111111111111111111111111111111111111111111"

static int parse(const char *text, PcrState *ret, Reason *reason)
{
    return pcr_text_parse((Bytes){(const uint8_t *)text, strlen(text)}, "values", ret, reason);
}

static void what_tpm2_pcrread_prints_is_read(void **state)
{
    Reason reason = {0};
    PcrState pcrs;

    (void)state;
    if (parse("  sha256:\n    0 : 0x" ZEROS "\n    11: 0x" ONES "\n", &pcrs, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(pcrs.bank, TPM2_ALG_SHA256);
    assert_int_equal(pcrs.mask, 1 | 1 << 11);
    assert_int_equal(pcrs.values[0][0], 0);
    assert_int_equal(pcrs.values[11][31], 0x11);
}

static void comments_blank_lines_and_equals_signs_are_fine(void **state)
{
    Reason reason = {0};
    PcrState pcrs;

    (void)state;
    assert_int_equal(parse("# golden\r\n\r\nsha384:\r\n7 = " ONES
                           "11111111111111111111111111111111",
                           &pcrs, &reason),
                     0);
    assert_int_equal(pcrs.bank, TPM2_ALG_SHA384);
    assert_int_equal(pcrs.mask, 1 << 7);
}

static void what_is_no_value_is_named_by_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *complaint;
    } bad[] = {
        {"", "no value"},
        {"sha256:\n", "no value"},
        {"0 : 0x" ZEROS "\n", "line 1"},
        {"sha1:\n", "line 1"},
        {"sha256:\nsha384:\n", "line 2"},
        {"sha256:\n24 : 0x" ZEROS "\n", "line 2"},
        {"sha256:\n0 : 0x00\n", "line 2"},
        {"sha256:\n0 : 0x" ZEROS "00\n", "line 2"},
        {"sha256:\n0 - 0x" ZEROS "\n", "line 2"},
        {"sha256:\n0 : 0x" ZEROS "\n0 : 0x" ZEROS "\n", "line 3"},
        {"sha256:\nnonsense\n", "line 2"},
        {"sha256:\n0 : 0x" ZEROS " 7 : 0x" ONES "\n", "line 2"}, /* PCR 7 is not passed over */
        {"sha256:\n0 : 0x" ZEROS " # ours\n", "line 2"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        Reason reason = {0};
        PcrState pcrs;

        assert_int_equal(parse(bad[i].text, &pcrs, &reason), -EINVAL);
        if (!strstr(reason.text, bad[i].complaint))
            fail_msg("%s: %s", bad[i].text, reason.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_tpm2_pcrread_prints_is_read),
        cmocka_unit_test(comments_blank_lines_and_equals_signs_are_fine),
        cmocka_unit_test(what_is_no_value_is_named_by_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Lists of PCRs and their values are read as they stand. */
#include "tpm/pcr.h"

#include "tpm_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_list_of_pcrs_comes_back_as_it_went_in(void **state)
{
    static const struct {
        const char *text;
        uint32_t mask;
    } lists[] = {{"0", 0x000001},        {"7", 0x000080},  {"0-7", 0x0000ff}, {"0,2,4", 0x000015},
                 {"0-4,7,11", 0x00089f}, {"23", 0x800000}, {"0-23", 0xffffff}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(lists); i++) {
        char text[PCR_SELECTION_TEXT_SIZE];
        uint32_t mask = 0;

        assert_int_equal(pcr_mask_parse(lists[i].text, &mask), 0);
        assert_int_equal(mask, lists[i].mask);
        pcr_mask_print(mask, text);
        assert_string_equal(text, lists[i].text);
    }
}

static void the_longest_list_fits(void **state)
{
    char text[PCR_SELECTION_TEXT_SIZE];

    (void)state;
    pcr_mask_print(0x555555, text);
    assert_string_equal(text, "0,2,4,6,8,10,12,14,16,18,20,22");
    pcr_mask_print(0xdb6db6, text);
    assert_string_equal(text, "1-2,4-5,7-8,10-11,13-14,16-17,19-20,22-23");
}

static void a_bad_list_of_pcrs_is_refused(void **state)
{
    static const char *const bad[] = {"",  "24",  "-1",  "7-0",  "1,",         ",1",   "1-",
                                      "a", "1 2", "0x1", "1--2", "4294967296", "1-3-5"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        uint32_t mask = 99;

        assert_int_equal(pcr_mask_parse(bad[i], &mask), -EINVAL);
        assert_int_equal(mask, 99);
    }
}

static void extend(TPM2_HANDLE pcr, uint8_t octet)
{
    TPML_DIGEST_VALUES digests = {
        .count = 1,
        .digests[0] = {.hashAlg = TPM2_ALG_SHA256, .digest.sha256 = {octet}},
    };

    assert_int_equal(tpm2_pcr_extend(bench.tpm, pcr, &digests), TSS2_RC_SUCCESS);
}

static void all_pcrs_are_read_each_in_its_place(void **state)
{
    PcrState before = {.bank = TPM2_ALG_SHA256, .mask = 0xffffff}, after = before;
    Reason reason = {0};

    (void)state;
    assert_int_equal(pcr_read(bench.tpm, &before, &reason), 0);
    extend(3, 1);
    extend(14, 2);
    assert_int_equal(pcr_read(bench.tpm, &after, &reason), 0);
    assert_int_equal(pcr_difference(&before, &after), 1 << 3 | 1 << 14);
}

static void sha384_has_values_of_its_own(void **state)
{
    PcrState pcrs = {.bank = TPM2_ALG_SHA384, .mask = 0x000003};
    Reason reason = {0};

    (void)state;
    assert_int_equal(pcr_value_size(TPM2_ALG_SHA384), 48);
    assert_int_equal(pcr_read(bench.tpm, &pcrs, &reason), 0);
}

static void a_bank_that_the_tpm_lacks_is_named(void **state)
{
    PcrState pcrs = {.bank = TPM2_ALG_SHA256, .mask = 0x000003};
    Reason reason = {0};

    (void)state;
    pcrs.bank = TPM2_ALG_SM3_256;
    assert_int_equal(pcr_read(bench.tpm, &pcrs, &reason), -EOPNOTSUPP);
    assert_int_not_equal(reason.text[0], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_pcrs_comes_back_as_it_went_in),
        cmocka_unit_test(the_longest_list_fits),
        cmocka_unit_test(a_bad_list_of_pcrs_is_refused),
        cmocka_unit_test(all_pcrs_are_read_each_in_its_place),
        cmocka_unit_test(sha384_has_values_of_its_own),
        cmocka_unit_test(a_bank_that_the_tpm_lacks_is_named),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

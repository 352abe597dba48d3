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
    } lists[] = {{"0", 0x000001},     {"7", 0x000080},        {"0-7", 0x0000ff},
                 {"0,2,4", 0x000015}, {"0-4,7,11", 0x00089f}, {"23", 0x800000},
                 {"0-23", 0xffffff},  {"9", 0x000200},        {"8-9", 0x000300}};

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

static void a_range_may_be_of_one(void **state)
{
    uint32_t mask = 0;

    (void)state;
    assert_int_equal(pcr_mask_parse("3-3", &mask), 0);
    assert_int_equal(mask, 1U << 3);
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
    static const char *const bad[] = {"",   "24", "0-24", "-1",  "7-0",  "1,",         ",1",
                                      "1-", "a",  "1 2",  "0x1", "1--2", "4294967296", "1-3-5"};

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

/* ---- a TPM that is played (ld --wrap) ---- */

static struct {
    bool is_on;
    TSS2_RC rc;
    uint32_t claims;  /* at most these PCRs in one answer */
    UINT32 n_digests; /* in each answer */
    UINT16 size;      /* of each digest */
    UINT32 n_selections;
    bool by_one;      /* one PCR in each answer, the lowest that was asked for */
    unsigned changes; /* the counter, at so many answers from the second on */
    unsigned answers;
} played;

TSS2_RC __real_tpm2_pcr_read(Tpm *tpm, const TPML_PCR_SELECTION *selection, uint32_t *ret_counter,
                             TPML_PCR_SELECTION *ret_read, TPML_DIGEST *ret_values);
TSS2_RC __wrap_tpm2_pcr_read(Tpm *tpm, const TPML_PCR_SELECTION *selection, uint32_t *ret_counter,
                             TPML_PCR_SELECTION *ret_read, TPML_DIGEST *ret_values);

TSS2_RC __wrap_tpm2_pcr_read(Tpm *tpm, const TPML_PCR_SELECTION *selection, uint32_t *ret_counter,
                             TPML_PCR_SELECTION *ret_read, TPML_DIGEST *ret_values)
{
    if (!played.is_on)
        return __real_tpm2_pcr_read(tpm, selection, ret_counter, ret_read, ret_values);
    assert_true(++played.answers < 100); /* it comes to an end */
    *ret_counter = 5;
    if (played.answers > 1 && played.changes > 0) {
        played.changes--;
        *ret_counter += played.answers;
    }
    *ret_read = *selection;
    ret_read->count = played.n_selections;
    for (unsigned i = 0; i < 3; i++)
        ret_read->pcrSelections[0].pcrSelect[i] &= (BYTE)(played.claims >> (8 * i));
    if (played.by_one) {
        BYTE *octet = &ret_read->pcrSelections[0].pcrSelect[0];
        *octet = (BYTE)(*octet & -*octet);
    }
    ret_values->count = played.n_digests;
    for (UINT32 i = 0; i < played.n_digests; i++) {
        ret_values->digests[i].size = played.size;
        memset(ret_values->digests[i].buffer, (int)(played.answers + i), played.size);
    }
    return played.rc;
}

/* Reads PCRs 0 and 1 of the SHA-256 bank. */
static int read_two(PcrState *ret, Reason *reason)
{
    *reason = (Reason){0};
    *ret = (PcrState){.bank = TPM2_ALG_SHA256, .mask = 0x000003};
    played.answers = 0;
    played.is_on = true;
    int r = pcr_read(bench.tpm, ret, reason);
    played.is_on = false;
    return r;
}

static void play(void)
{
    memset(&played, 0, sizeof(played));
    played.claims = 0xffffff;
    played.n_digests = 2;
    played.size = 32;
    played.n_selections = 1;
}

static void an_answer_that_does_not_hold_what_it_says_is_not_taken(void **state)
{
    PcrState pcrs;
    Reason reason;

    (void)state;
    play();
    assert_int_equal(read_two(&pcrs, &reason), 0);
    assert_int_equal(pcrs.values[0][31], 1);
    assert_int_equal(pcrs.values[1][31], 2);
    for (int fault = 0; fault < 6; fault++) {
        play();
        if (fault == 0)
            played.n_digests = 1;
        if (fault == 1)
            played.n_digests = 0;
        if (fault == 2)
            played.size = 31;
        if (fault == 3)
            played.size = 33;
        if (fault == 4)
            played.claims = 0; /* none of those that were asked for */
        if (fault == 5)
            played.n_selections = 0;
        assert_int_equal(read_two(&pcrs, &reason), -EOPNOTSUPP);
        assert_non_null(strstr(reason.text, "PCR 0-1"));
        assert_int_equal(played.answers, 1);
    }
}

static void pcrs_that_come_in_more_answers_are_read_to_the_end(void **state)
{
    PcrState pcrs;
    Reason reason;

    (void)state;
    play();
    played.by_one = true;
    assert_int_equal(read_two(&pcrs, &reason), 0);
    assert_int_equal(played.answers, 2);
    assert_int_equal(pcrs.values[0][0], 1);
    assert_int_equal(pcrs.values[1][0], 2);
    /* One that changed between two answers: they are of no one moment, and read again. */
    played.changes = 1;
    assert_int_equal(read_two(&pcrs, &reason), 0);
    assert_int_equal(played.answers, 4);
    played.changes = 99;
    assert_int_equal(read_two(&pcrs, &reason), -EIO);
    assert_non_null(strstr(reason.text, "change faster"));
    play();
    played.claims = 0x000001;
    assert_int_equal(read_two(&pcrs, &reason), -EOPNOTSUPP); /* PCR 1 never comes */
    assert_non_null(strstr(reason.text, "PCR 1 "));
    assert_int_equal(played.answers, 2);
    play();
    played.rc = TPM2_RC_FAILURE;
    assert_int_equal(read_two(&pcrs, &reason), -EIO);
    played.rc = TPM2_RC_HASH | TPM2_RC_P | TPM2_RC_1;
    assert_int_equal(read_two(&pcrs, &reason), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_pcrs_comes_back_as_it_went_in),
        cmocka_unit_test(a_range_may_be_of_one),
        cmocka_unit_test(the_longest_list_fits),
        cmocka_unit_test(a_bad_list_of_pcrs_is_refused),
        cmocka_unit_test(all_pcrs_are_read_each_in_its_place),
        cmocka_unit_test(sha384_has_values_of_its_own),
        cmocka_unit_test(a_bank_that_the_tpm_lacks_is_named),
        cmocka_unit_test(an_answer_that_does_not_hold_what_it_says_is_not_taken),
        cmocka_unit_test(pcrs_that_come_in_more_answers_are_read_to_the_end),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

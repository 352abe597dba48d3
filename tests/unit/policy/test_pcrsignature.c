/* Platform states are read from a flat file as they were written, and every other file is refused
 * with the line. */
#include "vendor_fixture.h"

#include "base/reason.h"
#include "policy/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEADING PCR_SIGNATURES_HEADING "\n"

static int decode(const char *text, PcrSignatures **ret, Reason *reason)
{
    return pcr_signatures_decode((Bytes){(const uint8_t *)text, strlen(text)}, "a-file", ret,
                                 reason);
}

static void states_come_back_as_they_went_in(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("RSA");
    PcrState states[2] = {platform_state(0xffffff), platform_state(0x000880)};
    PcrSignatures signatures = {.count = 4}, *again = NULL;
    _cleanup_(free_charp) char *text = NULL, *text_again = NULL;
    Reason reason = {0};

    (void)state;
    states[1].bank = TPM2_ALG_SHA384;
    assert_int_equal(pcr_signature_make(&states[0], &key, &signatures.entries[0]), 0);
    assert_int_equal(pcr_signature_make(&states[0], NULL, &signatures.entries[1]), 0);
    assert_int_equal(pcr_signature_make(&states[1], &key, &signatures.entries[2]), 0);
    signatures.entries[3] = signatures.entries[2];
    signatures.entries[3].has_expected = false;
    assert_int_equal(pcr_signatures_encode(&signatures, &text), 0);
    if (decode(text, &again, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(again->count, 4);
    for (size_t i = 0; i < 4; i++) {
        const PcrSignature *a = &signatures.entries[i], *b = &again->entries[i];

        assert_true(policy_digest_equal(&a->policy, &b->policy));
        assert_int_equal(a->is_signed, b->is_signed);
        assert_int_equal(a->signature_size, b->signature_size);
        assert_memory_equal(a->signature, b->signature, a->signature_size);
        assert_memory_equal(a->fingerprint, b->fingerprint, sizeof(a->fingerprint));
        assert_int_equal(a->has_expected, b->has_expected);
        assert_int_equal(a->expected.bank, b->expected.bank);
        assert_int_equal(a->expected.mask, b->expected.mask);
        if (b->has_expected)
            assert_int_equal(pcr_difference(&a->expected, &b->expected), 0);
    }
    assert_int_equal(pcr_signatures_encode(again, &text_again), 0);
    assert_string_equal(text, text_again);
    free(again);
}

static void what_is_not_such_a_file_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *complaint;
    } bad[] = {
        {"", "does not begin with"},
        {"{\"sha256\":[]}\n", "does not begin with"},
        {"pcr-signatures 2\n", "does not begin with"},
        {HEADING "\n", "line 2: it does not have six words"},
        {HEADING "sha256 7 " HEX32 " - - -", "line 2: it is too long"},
        {HEADING "sha256 7 " HEX32 " - - -\nsha256 7 " HEX32 " - -\n", "line 3: it does not have"},
        {HEADING "sha256 7 " HEX32 " - - - -\n", "does not have six words"},
        {HEADING "sha256  7 " HEX32 " - - -\n", "does not have six words"},
        {HEADING "sha1 7 " HEX32 " - - -\n", "first word"},
        {HEADING "sha256 24 " HEX32 " - - -\n", "second word"},
        {HEADING "sha256 - " HEX32 " - - -\n", "second word"},
        {HEADING "sha256 7 0011 - - -\n", "third word"},
        {HEADING "sha256 7 " HEX32 " " HEX32 " - -\n", "fourth and fifth"},
        {HEADING "sha256 7 " HEX32 " - 00 -\n", "fourth and fifth"},
        {HEADING "sha256 7 " HEX32 " " HEX32 " 0 -\n", "fourth and fifth"},
        {HEADING "sha256 7 " HEX32 " " HEX32 "  -\n", "fourth and fifth"},
        {HEADING "sha256 7 " HEX32 " - - " HEX32 "\n", "sixth"},
        {HEADING "sha256 7 " HEX32 " - - " HEX32 "," HEX32 "\n", "sixth"},
        {HEADING "sha256 7 " HEX32 " - - 0011\n", "sixth"},
        {HEADING "sha256 7 " HEX32 " - - \n", "sixth"},
        {HEADING "sha256 7,8 " HEX32 " - - " HEX32 "\n", "sixth"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        Reason reason = {0};
        PcrSignatures *signatures = NULL;

        assert_int_equal(decode(bad[i].text, &signatures, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, "a-file"));
        assert_non_null(strstr(reason.text, "tre-provision install-policy"));
        if (!strstr(reason.text, bad[i].complaint))
            fail_msg("%s: %s", bad[i].text, reason.text);
    }
}

static void one_state_too_many_is_refused(void **state)
{
    static const char line[] = "sha256 7 " HEX32 " - - -\n";
    char text[sizeof(HEADING) + (PCR_SIGNATURES_MAX + 1) * sizeof(line)] = HEADING;
    Reason reason = {0};
    PcrSignatures *signatures = NULL;

    (void)state;
    for (int i = 0; i < PCR_SIGNATURES_MAX; i++)
        strcat(text, line);
    assert_int_equal(decode(text, &signatures, &reason), 0);
    assert_int_equal(signatures->count, PCR_SIGNATURES_MAX);
    free(signatures);
    strcat(text, line);
    assert_int_equal(decode(text, &signatures, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "too many"));
}

static void a_file_that_is_not_there_is_to_be_installed_and_another_is_not(void **state)
{
    Reason reason = {0};
    PcrSignatures *signatures = NULL;

    (void)state;
    assert_int_equal(pcr_signatures_read("/nonexistent/states", &signatures, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nonexistent/states can't be read"));
    assert_non_null(strstr(reason.text, "tre-provision install-policy"));
    assert_int_equal(pcr_signatures_read("/", &signatures, &reason), -EISDIR);
    assert_non_null(strstr(reason.text, "can't be read"));
    assert_null(strstr(reason.text, "tre-provision install-policy"));
    assert_null(signatures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_come_back_as_they_went_in),
        cmocka_unit_test(what_is_not_such_a_file_is_refused_with_its_line),
        cmocka_unit_test(one_state_too_many_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_to_be_installed_and_another_is_not),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

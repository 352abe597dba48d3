/* Is the file of signed platform states read and written as systemd-measure has it? */
#include "vendor_fixture.h"

#include "base/reason.h"
#include "policy/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static PcrSignatures *decode(const char *json)
{
    Reason reason = {0};
    PcrSignatures *signatures = NULL;

    if (pcr_signatures_json_decode((Bytes){(const uint8_t *)json, strlen(json)}, "test.json",
                                   &signatures, &reason) < 0)
        fail_msg("%s", reason.text);
    return signatures;
}

static void entries_come_back_as_they_went_in(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("RSA");
    PcrState states[2] = {platform_state(0x0000ff), platform_state(0x000880)};
    PcrSignatures signatures = {.count = 3}, *again;
    _cleanup_(free_charp) char *json = NULL;

    (void)state;
    states[1].bank = TPM2_ALG_SHA384;
    assert_int_equal(pcr_signature_make(&states[0], &key, &signatures.entries[0]), 0);
    assert_int_equal(pcr_signature_make(&states[0], NULL, &signatures.entries[1]), 0);
    assert_int_equal(pcr_signature_make(&states[1], &key, &signatures.entries[2]), 0);
    assert_int_equal(pcr_signatures_json_encode(&signatures, &json), 0);
    again = decode(json);
    assert_int_equal(again->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const PcrSignature *a = &signatures.entries[i], *b = &again->entries[i];

        assert_true(policy_digest_equal(&a->policy, &b->policy));
        assert_int_equal(a->is_signed, b->is_signed);
        assert_int_equal(a->signature_size, b->signature_size);
        assert_memory_equal(a->signature, b->signature, a->signature_size);
        assert_memory_equal(a->fingerprint, b->fingerprint, sizeof(a->fingerprint));
        assert_true(b->has_expected);
        assert_int_equal(a->expected.bank, b->expected.bank);
        assert_int_equal(a->expected.mask, b->expected.mask);
        assert_int_equal(pcr_difference(&a->expected, &b->expected), 0);
    }
    free(again);
}

/* As systemd-measure writes it: no "expected", and one line. */
#define PLAIN_ENTRY "{\"pcrs\":[11],\"pkfp\":\"" HEX32 "\",\"pol\":\"" HEX32 "\",\"sig\":\"QUJD\"}"
#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void a_file_without_values_or_with_unknown_members_and_banks_is_read(void **state)
{
    PcrSignatures *signatures = decode("{\"sha1\":[" PLAIN_ENTRY "],\"sha256\":[" PLAIN_ENTRY
                                       ",{\"new\":1,\"pcrs\":[0,23],\"pol\":\"" HEX32 "\"}]}\n");

    (void)state;
    assert_int_equal(signatures->count, 2);
    assert_int_equal(signatures->entries[0].expected.mask, 1 << 11);
    assert_true(signatures->entries[0].is_signed);
    assert_false(signatures->entries[0].has_expected);
    assert_int_equal(signatures->entries[0].signature_size, 3);
    assert_int_equal(signatures->entries[1].expected.mask, 1 | 1 << 23);
    assert_false(signatures->entries[1].is_signed);
    free(signatures);
}

static void what_is_not_such_a_file_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *json;
        const char *complaint;
    } bad[] = {
        {"", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"{} x", "not a JSON object"},
        {"{\"sha256\":{}}", "not a list"},
        {"{\"sha256\":[7]}", "entry 1"},
        {"{\"sha256\":[" PLAIN_ENTRY ",{\"pcrs\":[],\"pol\":\"" HEX32 "\"}]}", "entry 2"},
        {"{\"sha256\":[{\"pcrs\":[24],\"pol\":\"" HEX32 "\"}]}", "pcrs"},
        {"{\"sha256\":[{\"pcrs\":[-1],\"pol\":\"" HEX32 "\"}]}", "pcrs"},
        {"{\"sha256\":[{\"pcrs\":[\"1\"],\"pol\":\"" HEX32 "\"}]}", "pcrs"},
        {"{\"sha256\":[{\"pcrs\":[1]}]}", "pol"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"0011\"}]}", "pol"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"" HEX32 "\",\"sig\":\"QUJD\"}]}", "pkfp"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"" HEX32 "\",\"pkfp\":\"" HEX32 "\"}]}", "pkfp"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"" HEX32 "\",\"pkfp\":\"" HEX32 "\",\"sig\":\"!\"}]}",
         "sig"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"" HEX32 "\",\"expected\":{\"1\":\"" HEX32 "\"}}]}",
         "expected"},
        {"{\"sha256\":[{\"pcrs\":[1],\"pol\":\"" HEX32 "\",\"expected\":{}}]}", "expected"},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", "not a JSON"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        Reason reason = {0};
        PcrSignatures *signatures = NULL;
        const Bytes json = {(const uint8_t *)bad[i].json, strlen(bad[i].json)};

        assert_int_equal(pcr_signatures_json_decode(json, "test.json", &signatures, &reason),
                         -EINVAL);
        assert_non_null(strstr(reason.text, "test.json"));
        if (!strstr(reason.text, bad[i].complaint))
            fail_msg("%s: %s", bad[i].json, reason.text);
    }
}

static void a_state_signed_again_replaces_the_one_before(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("P-256");
    const PcrState now = platform_state(0x000080);
    static PcrSignatures signatures;
    PcrSignature entry;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pcr_signature_make(&now, &key, &entry), 0);
        assert_int_equal(pcr_signatures_add(&signatures, &entry), 0);
        assert_int_equal(signatures.count, 1);
    }
    for (size_t i = 1; i < PCR_SIGNATURES_MAX; i++) {
        entry.policy.octets[0]++;
        assert_int_equal(pcr_signatures_add(&signatures, &entry), 0);
    }
    entry.policy.octets[0]++;
    assert_int_equal(pcr_signatures_add(&signatures, &entry), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back_as_they_went_in),
        cmocka_unit_test(a_file_without_values_or_with_unknown_members_and_banks_is_read),
        cmocka_unit_test(what_is_not_such_a_file_is_refused_with_its_place),
        cmocka_unit_test(a_state_signed_again_replaces_the_one_before),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

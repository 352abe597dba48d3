/* Keys are loaded, checked and used in a TPM whose slots a program that died has left taken. */
#include "base/reason.h"
#include "tpm/commands.h"
#include "tpm/session.h"
#include "vendor_fixture.h"

#include "provisioning/approval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The slots of objects, by a key of the vendor's. */
static TSS2_RC key_slots_take_all(void)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("P-256");

    return slots_take_all(&key.public);
}

static void a_device_key_loads_where_all_transient_slots_were_left_taken(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    Reason reason = {0};
    Tss2Key file;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason), 0);
    assert_int_equal(key_slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    if (device_key_load(bench.tpm, &file, NULL, &key, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
    /* One that is loaded is not taken for a leftover. */
    assert_int_equal(key_slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
    assert_signs(key, "SHA256", 32, false);
}

/* The last slot is the policy key's, and the session for its check needs one more. */
static void a_policy_key_that_is_being_checked_is_no_leftover(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("P-256");
    const PolicyDigest approved = {.octets = {1}};
    uint8_t signature[POLICY_SIGNATURE_MAX];
    Reason reason = {0};
    TPMT_TK_VERIFIED ticket;
    size_t size = 0;
    unsigned slots;

    (void)state;
    assert_int_equal(policy_key_approve(&key, &approved, (Bytes){0}, signature, &size), 0);
    assert_int_equal(key_slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    slots = handle_count(TPM2_TRANSIENT_FIRST);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    for (unsigned i = 0; i + 1 < slots; i++)
        assert_int_equal(slot_take(&key.public), TSS2_RC_SUCCESS);
    if (policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0}, (Bytes){signature, size}, &ticket,
                          &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
}

static void a_device_key_signs_where_all_sessions_were_left_taken(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);

    (void)state;
    device_key_rest(key);
    assert_int_equal(sessions_take_all(), TPM2_RC_SESSION_MEMORY);
    assert_signs(key, "SHA256", 32, false);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1); /* the key's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_key_loads_where_all_transient_slots_were_left_taken),
        cmocka_unit_test(a_policy_key_that_is_being_checked_is_no_leftover),
        cmocka_unit_test(a_device_key_signs_where_all_sessions_were_left_taken),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

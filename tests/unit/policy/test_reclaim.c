/* Is a TPM whose slots were all left taken by a program that died of use again? */
#include "policy/session.h"

#include "vendor_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A public key in a transient slot, which nobody holds. */
static TSS2_RC slot_take(void)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("P-256");
    ESYS_TR object = ESYS_TR_NONE;

    return Esys_LoadExternal(bench.tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
                             &key.public, ESYS_TR_RH_OWNER, &object);
}

static TSS2_RC session_take(ESYS_TR *ret)
{
    static const TPMT_SYM_DEF no_cipher = {.algorithm = TPM2_ALG_NULL};

    return Esys_StartAuthSession(bench.tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &no_cipher,
                                 TPM2_ALG_SHA256, ret);
}

/* Takes until there is no more, and yields the TPM's answer to the last. */
static TSS2_RC slots_take_all(void)
{
    TSS2_RC rc;

    do {
        rc = slot_take();
    } while (rc == TSS2_RC_SUCCESS);
    return rc;
}

static TSS2_RC sessions_take_all(void)
{
    ESYS_TR session;
    TSS2_RC rc;

    do {
        rc = session_take(&session);
    } while (rc == TSS2_RC_SUCCESS);
    return rc;
}

static void a_device_key_loads_where_all_transient_slots_were_left_taken(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    char error[TPM_ERROR_SIZE] = "";
    Tss2Key file;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, error), 0);
    assert_int_equal(slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    if (device_key_load(bench.tpm, &file, NULL, &key, error) < 0)
        fail_msg("%s", error);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
    /* One that is loaded is not taken for a leftover. */
    assert_int_equal(slots_take_all(), TPM2_RC_OBJECT_MEMORY);
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
    char error[TPM_ERROR_SIZE] = "";
    TPMT_TK_VERIFIED ticket;
    size_t size = 0;
    unsigned slots;

    (void)state;
    assert_int_equal(policy_key_approve(&key, &approved, (Bytes){0}, signature, &size), 0);
    assert_int_equal(slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    slots = handle_count(TPM2_TRANSIENT_FIRST);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    for (unsigned i = 0; i + 1 < slots; i++)
        assert_int_equal(slot_take(), TSS2_RC_SUCCESS);
    if (policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0}, (Bytes){signature, size}, &ticket,
                          error) < 0)
        fail_msg("%s", error);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
}

static void a_device_key_signs_where_all_sessions_were_left_taken(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);

    (void)state;
    assert_int_equal(sessions_take_all(), TPM2_RC_SESSION_MEMORY);
    assert_signs(key, "SHA256", 32, false);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

/* Saves a session; ESYS then no longer has it, and its handle stays taken in the TPM. */
static TSS2_RC session_save(ESYS_TR session, TPMS_CONTEXT **ret)
{
    return Esys_ContextSave(bench.tpm->esys, session, ret);
}

static void a_device_key_signs_where_all_session_handles_were_left_taken(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    TSS2_RC rc = TSS2_RC_SUCCESS;

    (void)state;
    for (int i = 0; i < 1000 && rc == TSS2_RC_SUCCESS; i++) {
        ESYS_TR session = ESYS_TR_NONE;
        TPMS_CONTEXT *context = NULL;

        rc = session_take(&session);
        if (rc == TSS2_RC_SUCCESS)
            rc = session_save(session, &context);
        Esys_Free(context);
    }
    assert_int_equal(rc, TPM2_RC_SESSION_HANDLES);
    assert_signs(key, "SHA256", 32, false);
    assert_int_equal(handle_count(TPM2_ACTIVE_SESSION_FIRST), 0);
}

/* Saves and loads a session until the TPM's counter of contexts would reach that of the oldest one
 * saved (TPM 2.0 Part 1, 30.5). */
static TSS2_RC gap_reach(ESYS_TR *young)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;

    for (int i = 0; i < 1 << 17 && rc == TSS2_RC_SUCCESS; i++) {
        TPMS_CONTEXT *context = NULL;

        rc = session_save(*young, &context);
        if (rc == TSS2_RC_SUCCESS)
            rc = Esys_ContextLoad(bench.tpm->esys, context, young);
        Esys_Free(context);
    }
    return rc;
}

static void a_session_left_saved_until_it_is_too_old_is_flushed(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    ESYS_TR old = ESYS_TR_NONE, young = ESYS_TR_NONE;
    TPMS_CONTEXT *context = NULL;

    (void)state;
    assert_int_equal(session_take(&old), TSS2_RC_SUCCESS);
    assert_int_equal(session_save(old, &context), TSS2_RC_SUCCESS);
    Esys_Free(context);
    assert_int_equal(session_take(&young), TSS2_RC_SUCCESS);
    assert_int_equal(gap_reach(&young), TPM2_RC_CONTEXT_GAP);

    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_CONTEXT_GAP));
    assert_int_equal(handle_count(TPM2_ACTIVE_SESSION_FIRST), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    assert_signs(key, "SHA256", 32, false);
    assert_int_equal(session_take(&young), TSS2_RC_SUCCESS);
    assert_int_equal(session_save(young, &context), TSS2_RC_SUCCESS);
    Esys_Free(context);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_SESSION_HANDLES));
}

static void behind_a_resource_manager_nothing_is_flushed(void **state)
{
    (void)state;
    assert_int_equal(slots_take_all(), TPM2_RC_OBJECT_MEMORY);
    bench.tpm->exclusive = false;
    assert_false(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    bench.tpm->exclusive = true;
    assert_false(tpm_reclaim(bench.tpm, TPM2_RC_FAILURE));
    assert_true(handle_count(TPM2_TRANSIENT_FIRST) > 1);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_key_loads_where_all_transient_slots_were_left_taken),
        cmocka_unit_test(a_policy_key_that_is_being_checked_is_no_leftover),
        cmocka_unit_test(a_device_key_signs_where_all_sessions_were_left_taken),
        cmocka_unit_test(a_device_key_signs_where_all_session_handles_were_left_taken),
        cmocka_unit_test(a_session_left_saved_until_it_is_too_old_is_flushed),
        cmocka_unit_test(behind_a_resource_manager_nothing_is_flushed),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

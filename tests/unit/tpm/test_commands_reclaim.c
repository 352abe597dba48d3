/* A TPM whose slots a program that died has left taken is of use again. */
#include "tpm/commands.h"
#include "tpm/session.h"

#include "tpm_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static TpmObject key;
static TPM2B_PUBLIC key_public; /* as of one that is loaded from outside */

static int group_init(void **state)
{
    if (bench_init(state) < 0)
        return -1;
    key = signing_key_new(&key_public);
    /* A key that was loaded from outside is in no TPM. */
    key_public.publicArea.objectAttributes &=
        ~(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN);
    return 0;
}

static int group_deinit(void **state)
{
    tpm_object_release(bench.tpm, &key);
    return bench_deinit(state);
}

static void a_session_starts_where_all_were_left_taken(void **state)
{
    (void)state;
    assert_int_equal(sessions_take_all(), TPM2_RC_SESSION_MEMORY);
    assert_signs_in_a_session(&key);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

/* A saved session's handle stays taken in the TPM. */
static void a_session_starts_where_all_session_handles_were_left_taken(void **state)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;

    (void)state;
    for (int i = 0; i < 1000 && rc == TSS2_RC_SUCCESS; i++) {
        TPM2_HANDLE session = TPM_NO_HANDLE;
        TPMS_CONTEXT context = {0};

        rc = session_take(&session);
        if (rc == TSS2_RC_SUCCESS)
            rc = tpm2_context_save(bench.tpm, session, &context);
    }
    assert_int_equal(rc, TPM2_RC_SESSION_HANDLES);
    assert_signs_in_a_session(&key);
    assert_int_equal(handle_count(TPM2_ACTIVE_SESSION_FIRST), 0);
}

/* Saves and loads a session until the TPM's counter of contexts would reach that of the oldest one
 * saved (TPM 2.0 Part 1, 30.5). */
static TSS2_RC gap_reach(TPM2_HANDLE young)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;

    for (int i = 0; i < 1 << 17 && rc == TSS2_RC_SUCCESS; i++) {
        TPMS_CONTEXT context = {0};

        rc = tpm2_context_save(bench.tpm, young, &context);
        if (rc == TSS2_RC_SUCCESS)
            rc = tpm2_context_load(bench.tpm, &context, &young);
    }
    return rc;
}

static void a_session_left_saved_until_it_is_too_old_is_flushed(void **state)
{
    TPM2_HANDLE old = TPM_NO_HANDLE, young = TPM_NO_HANDLE;
    TPMS_CONTEXT context = {0};

    (void)state;
    assert_int_equal(session_take(&old), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_context_save(bench.tpm, old, &context), TSS2_RC_SUCCESS);
    assert_int_equal(session_take(&young), TSS2_RC_SUCCESS);
    assert_int_equal(gap_reach(young), TPM2_RC_CONTEXT_GAP);

    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_CONTEXT_GAP));
    assert_int_equal(handle_count(TPM2_ACTIVE_SESSION_FIRST), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    assert_signs_in_a_session(&key);
    assert_int_equal(session_take(&young), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_context_save(bench.tpm, young, &context), TSS2_RC_SUCCESS);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_SESSION_HANDLES));
}

static void what_is_in_use_is_no_leftover(void **state)
{
    TpmSession *session = session_new(TPM2_SE_HMAC);
    const TPM2B_DIGEST digest = {.size = TPM_HASH_SIZE};
    TPMT_SIGNATURE signature = {0};

    (void)state;
    assert_int_equal(slots_take_all(&key_public), TPM2_RC_OBJECT_MEMORY);
    assert_int_equal(sessions_take_all(), TPM2_RC_SESSION_MEMORY);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_SESSION_MEMORY));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1);
    assert_int_equal(signing_key_sign(&key, session, &digest, &signature), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
}

static void behind_a_resource_manager_nothing_is_flushed(void **state)
{
    (void)state;
    assert_int_equal(slots_take_all(&key_public), TPM2_RC_OBJECT_MEMORY);
    bench.tpm->exclusive = false;
    assert_false(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    bench.tpm->exclusive = true;
    assert_false(tpm_reclaim(bench.tpm, TPM2_RC_FAILURE));
    assert_true(handle_count(TPM2_TRANSIENT_FIRST) > 1);
    assert_true(tpm_reclaim(bench.tpm, TPM2_RC_OBJECT_MEMORY));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1); /* the key */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_starts_where_all_were_left_taken),
        cmocka_unit_test(a_session_starts_where_all_session_handles_were_left_taken),
        cmocka_unit_test(a_session_left_saved_until_it_is_too_old_is_flushed),
        cmocka_unit_test(what_is_in_use_is_no_leftover),
        cmocka_unit_test(behind_a_resource_manager_nothing_is_flushed),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

/* Does whatever fails about an NV index fail, with its own error, and leave no session behind? The
 * TPM is played: the linker puts these functions in the place of its commands (ld --wrap). */
#include "tpm/nv.h"

#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { INDEX = 0x01800010, SIZE = 40, NAME_SIZE = 34 };

static struct {
    int session_result, name_result;
    TSS2_RC rc;
    unsigned started, flushed, commands;
    uint16_t read_size; /* that is given */
    uint16_t name_alg;
    uint8_t told,
        named; /* octets of the Name that comes with the answer, and of the one computed */
    uint16_t told_size;
    size_t written;
} bench;

static char session; /* known by its place */

int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);
void __wrap_tpm_session_flush(Tpm *tpm, TpmSession *flushed);
int __wrap_tpm_nv_name(const TPMS_NV_PUBLIC *public, TPM2B_NAME *ret);
TSS2_RC __wrap_tpm2_nv_read_public(Tpm *tpm, TPM2_HANDLE index, TPMS_NV_PUBLIC *ret,
                                   TPM2B_NAME *ret_name);
TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *auth, const TpmObject *index,
                            TpmSession *used, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC __wrap_tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *used,
                             const TPM2B_MAX_NV_BUFFER *data);
TSS2_RC __wrap_tpm2_nv_increment(Tpm *tpm, const TpmObject *index, TpmSession *used);
TSS2_RC __wrap_tpm2_nv_write_lock(Tpm *tpm, const TpmObject *index, TpmSession *used);

int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason)
{
    (void)tpm;
    assert_int_equal(type, TPM2_SE_HMAC);
    if (bench.session_result < 0)
        return reason_set(reason, bench.session_result, "of the session");
    bench.started++;
    *ret = (TpmSession *)&session;
    return 0;
}

void __wrap_tpm_session_flush(Tpm *tpm, TpmSession *flushed)
{
    (void)tpm;
    assert_ptr_equal(flushed, &session);
    bench.flushed++;
}

int __wrap_tpm_nv_name(const TPMS_NV_PUBLIC *public, TPM2B_NAME *ret)
{
    (void)public;
    ret->size = NAME_SIZE;
    memset(ret->name, bench.named, NAME_SIZE);
    return bench.name_result;
}

TSS2_RC __wrap_tpm2_nv_read_public(Tpm *tpm, TPM2_HANDLE index, TPMS_NV_PUBLIC *ret,
                                   TPM2B_NAME *ret_name)
{
    (void)tpm;
    *ret = (TPMS_NV_PUBLIC){.nvIndex = index, .nameAlg = bench.name_alg};
    ret_name->size = bench.told_size;
    memset(ret_name->name, bench.told, NAME_SIZE);
    return bench.rc;
}

static TSS2_RC command(const TpmObject *index, const TpmSession *used)
{
    assert_int_equal(index->handle, INDEX);
    assert_ptr_equal(used, &session);
    bench.commands++;
    return bench.rc;
}

TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *auth, const TpmObject *index,
                            TpmSession *used, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret)
{
    (void)tpm, (void)auth;
    assert_int_equal(size, SIZE);
    assert_int_equal(offset, 0);
    ret->size = bench.read_size;
    memset(ret->buffer, 7, SIZE);
    return command(index, used);
}

TSS2_RC __wrap_tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *used,
                             const TPM2B_MAX_NV_BUFFER *data)
{
    (void)tpm;
    bench.written = data->size;
    return command(index, used);
}

TSS2_RC __wrap_tpm2_nv_increment(Tpm *tpm, const TpmObject *index, TpmSession *used)
{
    (void)tpm;
    return command(index, used);
}

TSS2_RC __wrap_tpm2_nv_write_lock(Tpm *tpm, const TpmObject *index, TpmSession *used)
{
    (void)tpm;
    return command(index, used);
}

static NvIndex nv_index;
static uint8_t octets[SIZE];
static Reason reason;

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.read_size = SIZE;
    bench.name_alg = TPM2_ALG_SHA256;
    bench.told = bench.named = 3;
    bench.told_size = NAME_SIZE;
    nv_index = (NvIndex){.object = {.handle = INDEX}, .public = {.nvIndex = INDEX}};
    memset(octets, 0, sizeof(octets));
    reason = (Reason){0};
    return 0;
}

static void an_index_whose_name_is_another_is_refused(void **state)
{
    NvIndex found;

    assert_int_equal(nv_open(NULL, INDEX, &found, &reason), 0);
    assert_int_equal(found.object.handle, INDEX);
    assert_int_equal(found.object.name.size, NAME_SIZE);
    for (int fault = 0; fault < 3; fault++) {
        (void)bench_init(state);
        if (fault == 0)
            bench.told++;
        if (fault == 1)
            bench.told_size--;
        if (fault == 2)
            bench.name_result = -EIO;
        assert_int_equal(nv_open(NULL, INDEX, &found, &reason), -EIO);
        assert_non_null(strstr(reason.text, "0x01800010"));
    }
    /* One by another algorithm has no Name, and can't be used. */
    (void)bench_init(state);
    bench.name_alg = TPM2_ALG_SHA384;
    bench.told++;
    assert_int_equal(nv_open(NULL, INDEX, &found, &reason), 0);
    assert_int_equal(found.object.name.size, 0);
}

static void an_index_that_is_not_there_is_told_from_one_that_can_not_be_read(void **state)
{
    NvIndex found;

    (void)state;
    bench.rc = TPM2_RC_HANDLE | TPM2_RC_1;
    assert_int_equal(nv_open(NULL, INDEX, &found, &reason), -ENOENT);
    bench.rc = TPM2_RC_FAILURE;
    assert_int_equal(nv_open(NULL, INDEX, &found, &reason), -EIO);
}

static int read_it(void)
{
    return nv_read(NULL, &nv_index, octets, SIZE, &reason);
}

static int write_it(void)
{
    return nv_write(NULL, &nv_index, NULL, BYTES_OF(octets), &reason);
}

static int increment_it(void)
{
    return nv_increment(NULL, &nv_index, &reason);
}

static int lock_it(void)
{
    return nv_lock(NULL, &nv_index, &reason);
}

static int (*const calls[])(void) = {read_it, write_it, increment_it, lock_it};

static void without_a_session_no_command_is_given(void **state)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        (void)bench_init(state);
        bench.session_result = -ENOMEM;
        assert_int_equal(calls[i](), -ENOMEM);
        assert_int_equal(bench.commands, 0);
        assert_int_equal(bench.flushed, 0);
        assert_int_equal(nv_index.public.attributes, 0);
    }
}

static void a_command_that_fails_changes_nothing_here_and_leaves_no_session(void **state)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        (void)bench_init(state);
        bench.rc = TPM2_RC_FAILURE;
        assert_int_equal(calls[i](), -EIO);
        assert_int_equal(bench.started, 1);
        assert_int_equal(bench.flushed, 1);
        assert_int_equal(nv_index.public.attributes, 0);
        assert_int_equal(octets[0], 0);
    }
}

static void what_was_done_shows_in_the_index(void **state)
{
    static const TPMA_NV attributes[] = {0, TPMA_NV_WRITTEN, TPMA_NV_WRITTEN, TPMA_NV_WRITELOCKED};

    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        (void)bench_init(state);
        assert_int_equal(calls[i](), 0);
        assert_int_equal(nv_index.public.attributes, attributes[i]);
        assert_int_equal(bench.started, 1);
        assert_int_equal(bench.flushed, 1);
        if (i == 0) {
            assert_int_equal(octets[SIZE - 1], 7);
            continue;
        }
        /* Where the Name can't be computed that it has now, the next command would fail. */
        (void)bench_init(state);
        bench.name_result = -EIO;
        assert_int_equal(calls[i](), -EIO);
    }
}

static void an_answer_that_is_short_or_long_is_not_read(void **state)
{
    static const int sizes[] = {0, SIZE - 1, SIZE + 1};

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        (void)bench_init(state);
        bench.read_size = (uint16_t)sizes[i];
        assert_int_equal(read_it(), -EIO);
        assert_int_equal(octets[0], 0);
    }
}

static void what_is_written_fits(void **state)
{
    static const uint8_t many[TPM2_MAX_NV_BUFFER_SIZE + 1] = {0};

    (void)state;
    assert_int_equal(
        nv_write(NULL, &nv_index, NULL, (Bytes){many, TPM2_MAX_NV_BUFFER_SIZE}, &reason), 0);
    assert_int_equal(bench.written, TPM2_MAX_NV_BUFFER_SIZE);
    assert_int_equal(nv_write(NULL, &nv_index, NULL, BYTES_OF(many), &reason), -EIO);
    assert_int_equal(bench.commands, 1);
}

/* Nobody else's is flushed: it ends with the write. */
static void in_a_session_of_the_callers_it_is_written_in_that(void **state)
{
    TpmSession *given = (TpmSession *)&session;

    (void)state;
    assert_int_equal(nv_write(NULL, &nv_index, given, BYTES_OF(octets), &reason), 0);
    assert_int_equal(bench.started + bench.flushed, 0);
    bench.rc = TPM2_RC_POLICY_FAIL;
    assert_int_equal(nv_write(NULL, &nv_index, given, BYTES_OF(octets), &reason), -EACCES);
    bench.rc = TPM2_RC_BAD_AUTH;
    assert_int_equal(nv_write(NULL, &nv_index, given, BYTES_OF(octets), &reason), -EIO);
    assert_int_equal(write_it(), -EACCES); /* by the empty authValue, which is another now */
}

static void what_failed_is_told_by_what_can_be_done_about_it(void **state)
{
    static const struct {
        TSS2_RC rc;
        int error;
    } cases[] = {
        {TPM2_RC_NV_DEFINED, -EEXIST},       {TPM2_RC_NV_SPACE, -ENOSPC},
        {TPM2_RC_NV_AUTHORIZATION, -EACCES}, {TPM2_RC_AUTH_FAIL | TPM2_RC_S | TPM2_RC_1, -EACCES},
        {TPM2_RC_BAD_AUTH, -EACCES},         {TPM2_RC_AUTH_TYPE, -EACCES},
        {TPM2_RC_AUTH_UNAVAILABLE, -EACCES}, {TPM2_RC_POLICY_FAIL | TPM2_RC_S, -EACCES},
        {TPM2_RC_POLICY, -EACCES},           {TPM2_RC_NV_RANGE, -EIO},
        {TPM2_RC_NV_UNINITIALIZED, -EIO},    {TSS2_TCTI_RC_IO_ERROR, -EIO},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(nv_fail(&reason, "TPM2_NV_Write", INDEX, cases[i].rc), cases[i].error);
        assert_non_null(strstr(reason.text, "TPM2_NV_Write (NV index 0x01800010)"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_index_whose_name_is_another_is_refused, bench_init),
        cmocka_unit_test_setup(an_index_that_is_not_there_is_told_from_one_that_can_not_be_read,
                               bench_init),
        cmocka_unit_test_setup(without_a_session_no_command_is_given, bench_init),
        cmocka_unit_test_setup(a_command_that_fails_changes_nothing_here_and_leaves_no_session,
                               bench_init),
        cmocka_unit_test_setup(what_was_done_shows_in_the_index, bench_init),
        cmocka_unit_test_setup(an_answer_that_is_short_or_long_is_not_read, bench_init),
        cmocka_unit_test_setup(what_is_written_fits, bench_init),
        cmocka_unit_test_setup(in_a_session_of_the_callers_it_is_written_in_that, bench_init),
        cmocka_unit_test(what_failed_is_told_by_what_can_be_done_about_it),
    };

    return cmocka_run_group_tests_name("nv", tests, NULL, NULL);
}

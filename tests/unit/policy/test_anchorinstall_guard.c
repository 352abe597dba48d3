/* What is installed, written and told while the guard or its TPM refuses, fails, or loses its
 * answer? The linker puts these functions in the place of the project's own (ld --wrap). */
#include "guard_bench.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "policy/anchorbundle.h"
#include "policy/anchorinstall.h"
#include "provisioning/devicetpm.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* What each answers in the TPM's place; TSS2_RC_SUCCESS: the TPM does. */
static struct {
    TSS2_RC not_written, cp_hash, authorize, capability, write;
    bool write_is_done; /* and the answer lost */
    bool no_memory;     /* to read a file with */
    unsigned session;   /* the one that can't be had, counted from 1 */
} faults;

static unsigned reads;
static bool audited; /* what capability was asked for last was so in a session with a key */

TSS2_RC __real_tpm2_policy_nv_written(Tpm *tpm, const TpmSession *policy, bool written);
TSS2_RC __wrap_tpm2_policy_nv_written(Tpm *tpm, const TpmSession *policy, bool written);
TSS2_RC __wrap_tpm2_policy_nv_written(Tpm *tpm, const TpmSession *policy, bool written)
{
    return faults.not_written ? faults.not_written
                              : __real_tpm2_policy_nv_written(tpm, policy, written);
}

TSS2_RC __real_tpm2_policy_cp_hash(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *cp_hash);
TSS2_RC __wrap_tpm2_policy_cp_hash(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *cp_hash);
TSS2_RC __wrap_tpm2_policy_cp_hash(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *cp_hash)
{
    return faults.cp_hash ? faults.cp_hash : __real_tpm2_policy_cp_hash(tpm, policy, cp_hash);
}

TSS2_RC __real_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket);
TSS2_RC __wrap_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket);
TSS2_RC __wrap_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket)
{
    return faults.authorize
               ? faults.authorize
               : __real_tpm2_policy_authorize(tpm, policy, approved, policy_ref, key, ticket);
}

TSS2_RC __real_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret);
TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret);
TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret)
{
    audited = session && session->key;
    return faults.capability
               ? faults.capability
               : __real_tpm2_get_capability(tpm, session, capability, property, count, ret);
}

TSS2_RC __real_tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *session,
                             const TPM2B_MAX_NV_BUFFER *data);
TSS2_RC __wrap_tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *session,
                             const TPM2B_MAX_NV_BUFFER *data);
TSS2_RC __wrap_tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *session,
                             const TPM2B_MAX_NV_BUFFER *data)
{
    if (faults.write && !faults.write_is_done)
        return faults.write;
    TSS2_RC rc = __real_tpm2_nv_write(tpm, index, session, data);
    return faults.write ? faults.write : rc;
}

TSS2_RC __real_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret)
{
    reads++;
    return __real_tpm2_nv_read(tpm, authorizes, index, session, size, offset, ret);
}

int __real_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *why);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *why);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *why)
{
    if (faults.session > 0 && --faults.session == 0)
        return reason_set(why, -EIO, "no session is left");
    return __real_tpm_session_start(tpm, type, ret, why);
}

int __real_file_read(const char *path, size_t max, uint8_t **ret, size_t *ret_size);
int __wrap_file_read(const char *path, size_t max, uint8_t **ret, size_t *ret_size);
int __wrap_file_read(const char *path, size_t max, uint8_t **ret, size_t *ret_size)
{
    return faults.no_memory ? -ENOMEM : __real_file_read(path, max, ret, ret_size);
}

/* ---- the guard by itself ---- */

static void assert_unwritten(void)
{
    AnchorGuard guard;

    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), 0);
    assert_false(guard.written);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void what_the_tpm_refuses_is_told_from_what_it_fails_to_do(void **state)
{
    static TSS2_RC *const commands[] = {&faults.not_written, &faults.cp_hash, &faults.authorize};
    static const char *const names[] = {"TPM2_PolicyNvWritten", "TPM2_PolicyCpHash",
                                        "TPM2_PolicyAuthorize"};
    static const struct {
        TSS2_RC rc;
        int r;
    } answers[] = {
        {TPM2_RC_POLICY, -EACCES},
        {TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_1, -EACCES},
        {TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1, -EACCES},
        {TPM2_RC_FAILURE, -EIO},
        {TPM2_RC_SIZE | TPM2_RC_P | TPM2_RC_1, -EIO},
    };
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        for (size_t j = 0; j < ELEMENTS(answers); j++) {
            *commands[i] = answers[j].rc;
            assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_FIRST, "one", 1), answers[j].r);
            assert_non_null(strstr(reason.text, names[i]));
            *commands[i] = TSS2_RC_SUCCESS;
            assert_unwritten();
        }
    }
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
}

/* That which checks the signature, that of the policy, and that in which TPM2_PolicyNV reads. */
static void without_one_of_its_three_sessions_nothing_is_written(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    for (unsigned nth = 1; nth <= 3; nth++) {
        faults.session = nth;
        assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_UPDATE, "two", 2), -EIO);
        assert_string_equal(reason.text, "no session is left");
        assert_int_equal(faults.session, 0);
        assert_holds("one", 1);
        assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    }
    assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "two", 2);
}

static void without_a_session_no_guard_is_made_or_removed(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = operator_new("EC");
    AnchorGuard guard;

    (void)state;
    faults.session = 1;
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), -EIO);
    assert_string_equal(reason.text, "no session is left");
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), -ENOENT);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), 0);
    faults.session = 1;
    assert_int_equal(nv_undefine(bench.tpm, ANCHOR_GUARD_INDEX, &reason), -EIO);
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), 0);
}

static void a_tpm_that_does_not_say_whether_it_is_locked_is_an_error(void **state)
{
    bool locked = true;

    (void)state;
    faults.session = 1;
    assert_int_equal(anchor_guard_is_locked(bench.tpm, &locked, &reason), -EIO);
    assert_string_equal(reason.text, "no session is left");
    faults.capability = TPM2_RC_FAILURE;
    assert_int_equal(anchor_guard_is_locked(bench.tpm, &locked, &reason), -EIO);
    assert_non_null(strstr(reason.text, "TPM2_GetCapability"));
    faults.capability = TSS2_RC_SUCCESS;
    assert_int_equal(anchor_guard_is_locked(bench.tpm, &locked, &reason), 0);
    assert_false(locked);
    assert_true(audited);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

/* ---- an installation ---- */

static const FileOwner keep = {(uid_t)-1, (gid_t)-1};

static char folder[TEMPORARY_PATH_SIZE];
static char path[TEMPORARY_PATH_SIZE + 32];
static PolicyKey key;

static int install_init(void **state)
{
    *state = NULL;
    temporary_path("test-anchorinstall", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/segw-anchors.pem", folder);
    key = defined_for("EC");
    return 0;
}

static int folder_remove(void)
{
    static const char *const suffixes[] = {"", ".sig", ".next", ".next.sig"};

    for (size_t i = 0; i < ELEMENTS(suffixes); i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)remove(name);
    }
    return rmdir(folder); /* fails if anything else is left there */
}

static int install_deinit(void **state)
{
    memset(&faults, 0, sizeof(faults));
    policy_key_deinit(&key);
    (void)guard_remove(state);
    return folder_remove();
}

/* The approval of `approved`, beside the bundle `bundle`. */
static int install_text(const PolicyKey *by, const char *bundle, const char *approved,
                        uint64_t version, bool first)
{
    const Bytes octets = {(const uint8_t *)bundle, strlen(bundle)};
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    _cleanup_(free_charp) char *text = NULL;
    AnchorRecord record = {.version = 77};
    int r;

    assert_int_equal(anchor_approval_make(by, (Bytes){(const uint8_t *)approved, strlen(approved)},
                                          version, first, &approval),
                     0);
    assert_int_equal(anchor_approval_encode(&approval, &text), 0);
    reads = 0;
    r = anchors_install(bench.tpm, path, octets, (Bytes){(const uint8_t *)text, strlen(text)}, keep,
                        &record, &reason);
    assert_int_equal(record.version, r == 0 ? version : 77);
    return r;
}

static int install(const char *bundle, uint64_t version)
{
    return install_text(&key, bundle, bundle, version, true);
}

/* These anchors are in the file, with an approval, and no others beside them; NULL: none are. */
static void assert_installed(const char *bundle)
{
    _cleanup_(free_bytesp) uint8_t *found = NULL, *approval = NULL, *next = NULL;
    char name[160];
    size_t size = 0;

    (void)snprintf(name, sizeof(name), "%s.next", path);
    assert_int_equal(file_read(name, 1024, &next, &size), -ENOENT);
    (void)snprintf(name, sizeof(name), "%s.next.sig", path);
    assert_int_equal(file_read(name, 1024, &next, &size), -ENOENT);
    (void)snprintf(name, sizeof(name), "%s.sig", path);
    assert_int_equal(file_read(name, ANCHOR_APPROVAL_SIZE_MAX, &approval, &size),
                     bundle ? 0 : -ENOENT);
    assert_int_equal(file_read(path, 1024, &found, &size), bundle ? 0 : -ENOENT);
    if (bundle)
        assert_string_equal((const char *)found, bundle);
}

static void assert_told(const char *words)
{
    if (!strstr(reason.text, words))
        fail_msg("\"%s\" is not in: %s", words, reason.text);
}

static void what_was_written_is_not_asked_for_again(void **state)
{
    (void)state;
    assert_int_equal(install("one", 1), 0);
    assert_int_equal(reads, 0); /* there was nothing to read before */
    assert_installed("one");
    assert_int_equal(install("two", 2), 0);
    assert_int_equal(reads, 1);
    assert_installed("two");
    assert_holds("two", 2);
}

static void each_refusal_before_the_tpm_is_asked_says_what_it_is_for(void **state)
{
    (void)state;
    assert_int_equal(install_text(&key, "one", "one", 1, false), ANCHOR_E_REFUSED);
    assert_told("not for a first bundle");
    assert_int_equal(install_text(&key, "changed", "one", 1, true), ANCHOR_E_REFUSED);
    assert_told("the approval beside it is for");
    assert_installed(NULL);
    assert_unwritten();
    assert_int_equal(install("three", 3), 0);
    assert_int_equal(install("two", 2), ANCHOR_E_OUTDATED);
    assert_told("has version 2, but the TPM holds version 3");
    assert_int_equal(install("other", 3), ANCHOR_E_OUTDATED);
    assert_told("has version 3, but the TPM holds version 3");
    assert_int_equal(install_text(&key, "changed", "four", 4, false), ANCHOR_E_REFUSED);
    assert_installed("three");
    assert_holds("three", 3);
    (void)guard_remove(state);
    assert_int_equal(install("four", 4), ANCHOR_E_UNGUARDED);
    assert_told("has no guard");
    assert_installed("three");
}

static void what_is_in_force_gets_no_approval_of_another_operator(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey other = operator_new("EC");

    (void)state;
    assert_int_equal(install("one", 1), 0);
    assert_int_equal(install_text(&other, "one", "one", 1, true), ANCHOR_E_REFUSED);
    assert_told("by a key that this device does not obey");
    assert_int_equal(install("one", 1), 0);
    assert_installed("one");
}

static void a_policy_that_the_tpm_refuses_is_a_refusal_and_leaves_no_file(void **state)
{
    (void)state;
    assert_int_equal(install("one", 1), 0);
    faults.authorize = TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_4;
    assert_int_equal(install("two", 2), ANCHOR_E_REFUSED);
    assert_installed("one");
    assert_holds("one", 1);
}

static void a_write_that_failed_leaves_the_old_pair(void **state)
{
    (void)state;
    faults.write = TPM2_RC_FAILURE;
    assert_int_equal(install("one", 1), -EIO);
    assert_installed(NULL);
    assert_unwritten();
    faults.write = TSS2_RC_SUCCESS;
    assert_int_equal(install("one", 1), 0);
    faults.write = TPM2_RC_FAILURE;
    assert_int_equal(install("two", 2), -EIO);
    assert_installed("one");
    assert_holds("one", 1);
}

static void a_write_whose_answer_was_lost_puts_the_new_pair_in_force(void **state)
{
    (void)state;
    faults.write = TSS2_TCTI_RC_IO_ERROR;
    faults.write_is_done = true;
    assert_int_equal(install("one", 1), 0);
    assert_installed("one");
    assert_holds("one", 1);
    assert_string_equal(reason.text, "");
    /* Whoever sits on the bus can say no in the TPM's place. */
    faults.write = TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1;
    assert_int_equal(install("two", 2), 0);
    assert_installed("two");
    assert_holds("two", 2);
}

static void files_that_cannot_be_laid_down_keep_the_tpm_from_being_written(void **state)
{
    (void)state;
    assert_int_equal(folder_remove(), 0);
    assert_int_equal(install("one", 1), -ENOENT);
    assert_told("can't be written to");
    assert_unwritten();
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void files_that_cannot_be_renamed_are_told_after_the_tpm_was_written(void **state)
{
    char name[160];

    (void)state;
    (void)snprintf(name, sizeof(name), "%s.sig", path);
    assert_int_equal(mkdir(name, 0700), 0); /* no file takes a folder's place */
    assert_int_equal(install("one", 1), -EISDIR);
    assert_told("can't be written to");
    assert_holds("one", 1);
    assert_int_equal(rmdir(name), 0);
    assert_int_equal(install("one", 1), 0);
    assert_installed("one");
}

/* What is in force is not thrown away for want of memory to look at it. */
static void without_memory_a_new_pair_stays_where_it_is(void **state)
{
    static const Bytes one = {(const uint8_t *)"one", 3};
    AnchorRecord record;

    (void)state;
    assert_int_equal(anchor_record_make(one, 1, &record), 0);
    assert_int_equal(anchor_files_stage(path, one, one, keep), 0);
    faults.no_memory = true;
    assert_int_equal(anchor_files_recover(path, &record), -ENOMEM);
    faults.no_memory = false;
    assert_int_equal(anchor_files_recover(path, &record), 1);
    assert_installed("one");
}

static int faults_and_guard_remove(void **state)
{
    memset(&faults, 0, sizeof(faults));
    return guard_remove(state);
}

#define GUARD_TEST(name) cmocka_unit_test_teardown(name, faults_and_guard_remove)
#define INSTALL_TEST(name) cmocka_unit_test_setup_teardown(name, install_init, install_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(what_the_tpm_refuses_is_told_from_what_it_fails_to_do),
        GUARD_TEST(without_one_of_its_three_sessions_nothing_is_written),
        GUARD_TEST(without_a_session_no_guard_is_made_or_removed),
        GUARD_TEST(a_tpm_that_does_not_say_whether_it_is_locked_is_an_error),
        INSTALL_TEST(what_was_written_is_not_asked_for_again),
        INSTALL_TEST(each_refusal_before_the_tpm_is_asked_says_what_it_is_for),
        INSTALL_TEST(what_is_in_force_gets_no_approval_of_another_operator),
        INSTALL_TEST(a_policy_that_the_tpm_refuses_is_a_refusal_and_leaves_no_file),
        INSTALL_TEST(a_write_that_failed_leaves_the_old_pair),
        INSTALL_TEST(a_write_whose_answer_was_lost_puts_the_new_pair_in_force),
        INSTALL_TEST(files_that_cannot_be_laid_down_keep_the_tpm_from_being_written),
        INSTALL_TEST(files_that_cannot_be_renamed_are_told_after_the_tpm_was_written),
        INSTALL_TEST(without_memory_a_new_pair_stays_where_it_is),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

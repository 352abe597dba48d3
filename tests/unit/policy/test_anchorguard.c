/* Does the guard take what the operator approves of, and nothing else? */
#include "guard_bench.h"
#include "probe.h"

#include "tpm/publickey.h"
#include "tpm/session.h"

#include "provisioning/devicetpm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void an_index_is_made_once_and_says_whether_it_was_written(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = operator_new("EC");
    AnchorGuard guard;

    (void)state;
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), -ENOENT);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), 0);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), 0);
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), 0);
    assert_false(guard.written);
    assert_true(anchor_guard_obeys(&guard, &operator_key));

    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "anchors", 1);
    assert_holds("anchors", 1);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), 0);
    assert_holds("anchors", 1);
}

static void each_kind_of_operator_key_writes_and_updates(void **state)
{
    static const char *const types[] = {"EC", "RSA"};

    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for(types[i]);

        assert_written(&operator_key, ANCHOR_WRITE_FIRST, "first", 1);
        assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "second", 2);
        assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "last", ANCHOR_VERSION_MAX);
        assert_holds("last", ANCHOR_VERSION_MAX);
        (void)guard_remove(state);
    }
}

/* The digests as a TPM computes them in a trial session, beside those computed without one. */
static void trial_digest(AnchorWrite write, const NvIndex *index, const uint8_t *cp_hash,
                         uint64_t version, TPM2B_DIGEST *ret)
{
    TPM2B_DIGEST hash = {.size = POLICY_DIGEST_SIZE};
    TPM2B_OPERAND operand = {.size = NV_NUMBER_SIZE};
    TpmSession *session = session_new(TPM2_SE_TRIAL);
    Writer writer;

    if (write == ANCHOR_WRITE_FIRST) {
        assert_int_equal(tpm2_policy_nv_written(bench.tpm, session, false), TSS2_RC_SUCCESS);
    } else {
        writer_init(&writer, operand.buffer, sizeof(operand.buffer));
        writer_u64(&writer, version);
        assert_int_equal(tpm2_policy_nv(bench.tpm, &index->object, NULL, session, &operand, 0,
                                        TPM2_EO_UNSIGNED_LT),
                         TSS2_RC_SUCCESS);
    }
    memcpy(hash.buffer, cp_hash, POLICY_DIGEST_SIZE);
    assert_int_equal(tpm2_policy_cp_hash(bench.tpm, session, &hash), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_policy_get_digest(bench.tpm, session, ret), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
}

static void the_digests_made_without_a_tpm_are_those_that_the_tpm_makes(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    for (int write = 0; write < ANCHOR_WRITES; write++) {
        uint8_t cp_hash[POLICY_DIGEST_SIZE];
        TPM2B_DIGEST trial = {0};
        TPM2B_NAME told = {0};
        TPMS_NV_PUBLIC public;
        PolicyDigest policy;
        TPM2B_NAME computed;
        AnchorRecord record;
        NvIndex index;

        assert_int_equal(
            anchor_record_make(BYTES_OF(((const uint8_t[]){1, 2, 3})), 0x0102030405060708, &record),
            0);
        assert_int_equal(nv_open(bench.tpm, ANCHOR_GUARD_INDEX, &index, &reason), 0);
        assert_int_equal(tpm2_nv_read_public(bench.tpm, ANCHOR_GUARD_INDEX, &index.public, &told),
                         TSS2_RC_SUCCESS);
        assert_int_equal(anchor_guard_public(&operator_key, write == ANCHOR_WRITE_UPDATE, &public),
                         0);
        assert_int_equal(tpm_nv_name(&public, &computed), 0);
        assert_int_equal(computed.size, told.size);
        assert_memory_equal(computed.name, told.name, told.size);

        assert_int_equal(anchor_guard_cp_hash(&operator_key, (AnchorWrite)write, &record, cp_hash),
                         0);
        assert_int_equal(anchor_guard_policy(&operator_key, (AnchorWrite)write, &record, &policy),
                         0);
        trial_digest((AnchorWrite)write, &index, cp_hash, record.version, &trial);
        assert_int_equal(trial.size, POLICY_DIGEST_SIZE);
        assert_memory_equal(trial.buffer, policy.octets, POLICY_DIGEST_SIZE);
        /* What the TPM holds now has another Name, and the second round goes on from there. */
        if (write == ANCHOR_WRITE_FIRST)
            assert_written(&operator_key, ANCHOR_WRITE_FIRST, "anchors", 1);
    }
}

static void an_older_bundle_that_was_in_force_once_is_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "three", 3);
    assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_UPDATE, "two", 2), -EACCES);
    assert_non_null(strstr(reason.text, "version 2"));
    assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_UPDATE, "three", 3), -EACCES);
    assert_holds("three", 3);
}

static void a_second_first_write_is_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_FIRST, "one", 1), -EACCES);
    assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_FIRST, "two", 2), -EACCES);
    assert_holds("one", 1);
}

static void an_update_does_not_write_what_was_never_written(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    AnchorGuard guard;

    (void)state;
    assert_true(write_as(&operator_key, ANCHOR_WRITE_UPDATE, "one", 1) < 0);
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), 0);
    assert_false(guard.written);
}

static void another_operator_is_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    _cleanup_(policy_key_deinit) PolicyKey other = operator_new("EC");

    (void)state;
    assert_int_equal(write_as(&other, ANCHOR_WRITE_FIRST, "other's", 1), -EACCES);
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    assert_int_equal(write_as(&other, ANCHOR_WRITE_UPDATE, "other's", 2), -EACCES);
    assert_int_equal(anchor_guard_define(bench.tpm, &other, &reason), -EEXIST);
    assert_holds("one", 1);
}

static void nothing_is_written_where_there_is_no_guard(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = operator_new("EC");

    (void)state;
    assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_FIRST, "one", 1), -ENOENT);
}

static void an_approval_is_good_for_its_own_payload_only(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    _cleanup_(anchor_approval_deinit) AnchorApproval approval =
        approval_new(&operator_key, "two", 2);
    const AnchorSignature *signature = &approval.signatures[ANCHOR_WRITE_UPDATE];
    AnchorRecord record = approval.record;

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    record.version = 3;
    assert_int_equal(anchor_guard_write(bench.tpm, &operator_key, ANCHOR_WRITE_UPDATE, &record,
                                        signature, &reason),
                     -EKEYREJECTED);
    record = approval.record;
    record.digest[0] ^= 1;
    assert_int_equal(anchor_guard_write(bench.tpm, &operator_key, ANCHOR_WRITE_UPDATE, &record,
                                        signature, &reason),
                     -EKEYREJECTED);
    assert_holds("one", 1);
    assert_int_equal(anchor_guard_write(bench.tpm, &operator_key, ANCHOR_WRITE_UPDATE,
                                        &approval.record, signature, &reason),
                     0);
    assert_holds("two", 2);
}

static void an_index_of_another_kind_is_no_guard_and_is_left_alone(void **state)
{
    static const TPMS_NV_PUBLIC impostor = {
        .nvIndex = ANCHOR_GUARD_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = ANCHOR_GUARD_SIZE,
    };
    _cleanup_(policy_key_deinit) PolicyKey operator_key = operator_new("EC");
    AnchorGuard guard;

    (void)state;
    assert_int_equal(nv_define(bench.tpm, &impostor, &reason), 0);
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), -EBADMSG);
    assert_non_null(strstr(reason.text, "tpm2_nvreadpublic"));
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), -EEXIST);
}

/* All that a guard of the right operator can be wrong in, one thing at a time. */
static const struct {
    const char *what;
    TPMA_NV added, missing;
    int size; /* more octets, or fewer */
    TPMI_ALG_HASH name_alg;
    bool no_policy;
} impostors[] = {
    {"anybody writes it", .added = TPMA_NV_AUTHWRITE},
    {"the owner writes it", .added = TPMA_NV_OWNERWRITE},
    {"the platform writes it", .added = TPMA_NV_PPWRITE},
    {"it can be locked", .added = TPMA_NV_WRITEDEFINE},
    {"it can be locked until a restart", .added = TPMA_NV_WRITE_STCLEAR},
    {"its reading can be locked", .added = TPMA_NV_READ_STCLEAR},
    {"it is gone after a restart", .added = TPMA_NV_CLEAR_STCLEAR},
    {"it is kept in RAM", .added = TPMA_NV_ORDERLY},
    {"a policy reads it", .added = TPMA_NV_POLICYREAD},
    {"the platform reads it", .added = TPMA_NV_PPREAD},
    {"it is written as a whole alone", .added = TPMA_NV_WRITEALL},
    {"it can be locked with all others", .added = TPMA_NV_GLOBALLOCK},
    {"it counts in the dictionary-attack protection", .missing = TPMA_NV_NO_DA},
    {"the owner does not read it", .missing = TPMA_NV_OWNERREAD},
    {"its authValue does not read it", .missing = TPMA_NV_AUTHREAD},
    {"it has no policy", .no_policy = true},
    {"it is smaller", .size = -1},
    {"it is larger", .size = 1},
    {"its Name is another hash", .name_alg = TPM2_ALG_SHA384},
};

static void a_guard_that_is_wrong_in_one_thing_is_no_guard(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = operator_new("EC");
    TPMS_NV_PUBLIC right;

    (void)state;
    assert_int_equal(anchor_guard_public(&operator_key, false, &right), 0);
    for (size_t i = 0; i < ELEMENTS(impostors); i++) {
        TPMS_NV_PUBLIC public = right;
        AnchorGuard guard;

        public.attributes |= impostors[i].added;
        public.attributes &= ~impostors[i].missing;
        public.dataSize = (UINT16)(public.dataSize + impostors[i].size);
        if (impostors[i].name_alg != 0) {
            public.nameAlg = impostors[i].name_alg;
            public.authPolicy.size = 48; /* a policy is as long as that hash */
        }
        if (impostors[i].no_policy) {
            public.authPolicy.size = 0;
        }
        if (nv_define(bench.tpm, &public, &reason) < 0)
            fail_msg("%s: %s", impostors[i].what, reason.text);
        if (anchor_guard_read(bench.tpm, &guard, &reason) != -EBADMSG)
            fail_msg("%s: it was taken", impostors[i].what);
        assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), -EEXIST);
        /* Without a session, as one would need its Name. */
        assert_int_equal(
            tpm2_nv_undefine_space(bench.tpm, &(TpmObject){.handle = ANCHOR_GUARD_INDEX}, NULL),
            TSS2_RC_SUCCESS);
    }
    /* And with nothing wrong it is one. */
    assert_int_equal(nv_define(bench.tpm, &right, &reason), 0);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), 0);
}

/* SHA3-256, whose policies are as long as those of SHA-256; the TPM here has none. In the answer of
 * TPM2_NV_ReadPublic nameAlg stands behind the header (10), the size (2) and the index (4). */
static void a_guard_whose_name_is_by_another_hash_is_no_guard(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    Probe probe = {.command = TPM2_CC_NV_ReadPublic,
                   .answer = {.at = 10 + 2 + 4 + 1, .mask = TPM2_ALG_SHA256 ^ TPM2_ALG_SHA3_256}};
    AnchorGuard guard;

    (void)state;
    probe_attach(&probe);
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), -EBADMSG);
    assert_int_equal(anchor_guard_define(bench.tpm, &operator_key, &reason), -EEXIST);
    probe_detach();
    assert_int_equal(anchor_guard_read(bench.tpm, &guard, &reason), 0);
}

static int probe_and_guard_remove(void **state)
{
    (void)probe_remove(state);
    return guard_remove(state);
}

static void nothing_is_left_in_the_tpm(void **state)
{
    const unsigned transient = handle_count(TPM2_TRANSIENT_FIRST);
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    for (uint64_t version = 2; version < 12; version++) {
        assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "next", version);
        assert_int_equal(write_as(&operator_key, ANCHOR_WRITE_UPDATE, "again", version), -EACCES);
        assert_holds("next", version);
    }
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), transient);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_index_is_made_once_and_says_whether_it_was_written,
                                  guard_remove),
        cmocka_unit_test_teardown(each_kind_of_operator_key_writes_and_updates, guard_remove),
        cmocka_unit_test_teardown(the_digests_made_without_a_tpm_are_those_that_the_tpm_makes,
                                  guard_remove),
        cmocka_unit_test_teardown(an_older_bundle_that_was_in_force_once_is_refused, guard_remove),
        cmocka_unit_test_teardown(a_second_first_write_is_refused, guard_remove),
        cmocka_unit_test_teardown(an_update_does_not_write_what_was_never_written, guard_remove),
        cmocka_unit_test_teardown(another_operator_is_refused, guard_remove),
        cmocka_unit_test_teardown(nothing_is_written_where_there_is_no_guard, guard_remove),
        cmocka_unit_test_teardown(an_approval_is_good_for_its_own_payload_only, guard_remove),
        cmocka_unit_test_teardown(an_index_of_another_kind_is_no_guard_and_is_left_alone,
                                  guard_remove),
        cmocka_unit_test_teardown(a_guard_that_is_wrong_in_one_thing_is_no_guard, guard_remove),
        cmocka_unit_test_teardown(a_guard_whose_name_is_by_another_hash_is_no_guard,
                                  probe_and_guard_remove),
        cmocka_unit_test_teardown(nothing_is_left_in_the_tpm, guard_remove),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

/* Does the TPM alone keep the anchors from being set back, whatever the software says? */
#include "guard_bench.h"

#include "tpm/session.h"

#include <errno.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A program that checks nothing and says to the TPM what it likes: it satisfies the policy that was
 * approved of, in a session of its own, and then writes `octets`. */
static TSS2_RC write_without_scruple(const PolicyKey *operator_key, const AnchorApproval *approval,
                                     AnchorWrite approved, const uint8_t *octets)
{
    const Bytes reference = {(const uint8_t *)ANCHOR_POLICY_REF, strlen(ANCHOR_POLICY_REF)};
    const AnchorSignature *signature = &approval->signatures[approved];
    TPM2B_MAX_NV_BUFFER data = {.size = ANCHOR_GUARD_SIZE};
    TPM2B_DIGEST hash = {.size = POLICY_DIGEST_SIZE};
    TPM2B_DIGEST digest = {.size = POLICY_DIGEST_SIZE};
    TPM2B_NONCE nonce = {.size = (UINT16)reference.size};
    TPM2B_OPERAND operand = {.size = NV_NUMBER_SIZE};
    TpmSession *session = NULL;
    TPMT_TK_VERIFIED ticket;
    PolicyDigest policy;
    Writer writer;
    NvIndex index;
    TSS2_RC rc;

    assert_int_equal(anchor_guard_policy(operator_key, approved, &approval->record, &policy), 0);
    assert_int_equal(anchor_guard_cp_hash(operator_key, approved, &approval->record, hash.buffer),
                     0);
    if (policy_key_ticket(bench.tpm, operator_key, &policy, reference,
                          (Bytes){signature->octets, signature->size}, &ticket, &reason) < 0)
        fail_msg("%s", reason.text);
    memcpy(digest.buffer, policy.octets, POLICY_DIGEST_SIZE);
    memcpy(nonce.buffer, reference.data, reference.size);
    memcpy(data.buffer, octets, ANCHOR_GUARD_SIZE);
    writer_init(&writer, operand.buffer, sizeof(operand.buffer));
    writer_u64(&writer, approval->record.version);

    assert_int_equal(nv_open(bench.tpm, ANCHOR_GUARD_INDEX, &index, &reason), 0);
    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_POLICY, &session, &reason), 0);
    rc = approved == ANCHOR_WRITE_FIRST ? tpm2_policy_nv_written(bench.tpm, session, false)
                                        : tpm2_policy_nv(bench.tpm, &index.object, NULL, session,
                                                         &operand, 0, TPM2_EO_UNSIGNED_LT);
    if (rc == TSS2_RC_SUCCESS)
        rc = tpm2_policy_cp_hash(bench.tpm, session, &hash);
    if (rc == TSS2_RC_SUCCESS) {
        rc = tpm2_policy_authorize(bench.tpm, session, &digest, &nonce, &operator_key->name,
                                   &ticket);
    }
    if (rc == TSS2_RC_SUCCESS)
        rc = tpm2_nv_write(bench.tpm, &index.object, session, &data);
    tpm_session_flush(bench.tpm, session);
    return rc;
}

static void octets_of(const AnchorRecord *record, uint8_t *ret)
{
    Writer writer;

    writer_init(&writer, ret, ANCHOR_GUARD_SIZE);
    writer_u64(&writer, record->version);
    writer_bytes(&writer, BYTES_OF(record->digest));
}

static void the_tpm_itself_refuses_a_program_that_checks_nothing(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    _cleanup_(anchor_approval_deinit) AnchorApproval one = approval_new(&operator_key, "one", 1);
    _cleanup_(anchor_approval_deinit) AnchorApproval two = approval_new(&operator_key, "two", 2);
    _cleanup_(anchor_approval_deinit) AnchorApproval three =
        approval_new(&operator_key, "three", 3);
    uint8_t octets[ANCHOR_GUARD_SIZE];

    (void)state;
    octets_of(&one.record, octets);
    assert_int_equal(write_without_scruple(&operator_key, &one, ANCHOR_WRITE_FIRST, octets),
                     TSS2_RC_SUCCESS);
    octets_of(&three.record, octets);
    assert_int_equal(write_without_scruple(&operator_key, &three, ANCHOR_WRITE_UPDATE, octets),
                     TSS2_RC_SUCCESS);
    assert_holds("three", 3);

    /* An approval that was good once, replayed; and the factory's. */
    octets_of(&two.record, octets);
    assert_int_equal(
        tpm_rc_base(write_without_scruple(&operator_key, &two, ANCHOR_WRITE_UPDATE, octets)),
        TPM2_RC_POLICY);
    octets_of(&one.record, octets);
    assert_int_not_equal(write_without_scruple(&operator_key, &one, ANCHOR_WRITE_FIRST, octets),
                         TSS2_RC_SUCCESS);
    assert_holds("three", 3);
}

static void the_tpm_itself_refuses_another_payload_than_the_one_approved_of(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    _cleanup_(anchor_approval_deinit) AnchorApproval two = approval_new(&operator_key, "two", 2);
    uint8_t octets[ANCHOR_GUARD_SIZE];

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    octets_of(&two.record, octets);
    octets[ANCHOR_GUARD_SIZE - 1] ^= 1;
    assert_int_equal(
        tpm_rc_base(write_without_scruple(&operator_key, &two, ANCHOR_WRITE_UPDATE, octets)),
        TPM2_RC_POLICY_FAIL);
    assert_holds("one", 1);
}

static void neither_the_owner_nor_an_empty_password_writes(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    const TPM2B_MAX_NV_BUFFER data = {.size = ANCHOR_GUARD_SIZE};
    NvIndex index;

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    assert_int_equal(nv_open(bench.tpm, ANCHOR_GUARD_INDEX, &index, &reason), 0);
    assert_int_equal(
        tpm_rc_base(tpm2_nv_write_as(bench.tpm, TPM2_RH_OWNER, ANCHOR_GUARD_INDEX, &data, 0)),
        TPM2_RC_NV_AUTHORIZATION);
    assert_int_equal(
        nv_write(bench.tpm, &index, NULL, (Bytes){data.buffer, ANCHOR_GUARD_SIZE}, &reason),
        -EACCES);
    assert_holds("one", 1);
}

static void owner_auth_set(const TPM2B_AUTH *old, const TPM2B_AUTH *new)
{
    assert_int_equal(tpm2_owner_change_auth(bench.tpm, old, new), TSS2_RC_SUCCESS);
}

static void root_cannot_undefine_once_the_owner_auth_is_thrown_away(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = defined_for("EC");
    TPM2B_AUTH empty = {0}, random = {.size = 32};

    (void)state;
    assert_written(&operator_key, ANCHOR_WRITE_FIRST, "one", 1);
    assert_int_equal(RAND_bytes(random.buffer, random.size), 1);
    owner_auth_set(&empty, &random);
    assert_int_equal(nv_undefine(bench.tpm, ANCHOR_GUARD_INDEX, &reason), -EACCES);
    assert_holds("one", 1);
    /* Nothing that goes on in the field needs the owner. */
    assert_written(&operator_key, ANCHOR_WRITE_UPDATE, "two", 2);
    owner_auth_set(&random, &empty);
    assert_int_equal(nv_undefine(bench.tpm, ANCHOR_GUARD_INDEX, &reason), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_tpm_itself_refuses_a_program_that_checks_nothing,
                                  guard_remove),
        cmocka_unit_test_teardown(the_tpm_itself_refuses_another_payload_than_the_one_approved_of,
                                  guard_remove),
        cmocka_unit_test_teardown(neither_the_owner_nor_an_empty_password_writes, guard_remove),
        cmocka_unit_test_teardown(root_cannot_undefine_once_the_owner_auth_is_thrown_away,
                                  guard_remove),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

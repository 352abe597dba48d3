/* Do digests computed here equal those that a TPM computes? */
#include "policy/policykey.h"

#include "base/reason.h"
#include "tpm/publickey.h"
#include "tpm/session.h"
#include "tpm_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A trial session's digest, and its end. */
static void assert_trial_digest(TpmSession *session, const PolicyDigest *expected)
{
    TPM2B_DIGEST digest = {0};

    assert_int_equal(tpm2_policy_get_digest(bench.tpm, session, &digest), TSS2_RC_SUCCESS);
    assert_int_equal(digest.size, POLICY_DIGEST_SIZE);
    assert_memory_equal(digest.buffer, expected->octets, POLICY_DIGEST_SIZE);
    tpm_session_flush(bench.tpm, session);
}

static void policy_pcr_is_what_the_tpm_computes(void **state)
{
    static const uint32_t masks[] = {0x000001, 0x000080, 0x0000ff, 0x00089f, 0xffffff};
    static const TPM2B_DIGEST of_the_tpm = {0}; /* none given: the PCRs as they are */
    static const TPM2_ALG_ID pcr_banks[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(masks) * ELEMENTS(pcr_banks); i++) {
        PcrState pcrs = {.bank = pcr_banks[i % 2], .mask = masks[i / 2]};
        const TPML_PCR_SELECTION selection = pcr_selection(pcrs.bank, pcrs.mask);
        TpmSession *session = session_new(TPM2_SE_TRIAL);
        PolicyDigest digest = {0};

        assert_int_equal(pcr_read(bench.tpm, &pcrs, &reason), 0);
        assert_int_equal(policy_digest_pcr(&digest, &pcrs), 0);
        assert_int_equal(tpm2_policy_pcr(bench.tpm, session, &of_the_tpm, &selection),
                         TSS2_RC_SUCCESS);
        assert_trial_digest(session, &digest);
    }
}

static void policy_authorize_is_what_the_tpm_computes(void **state)
{
    static const TPM2B_NONCE references[] = {{.size = 0}, {.size = 3, .buffer = "ref"}};
    /* In a trial session the TPM believes any ticket. */
    static const TPMT_TK_VERIFIED ticket = {.tag = TPM2_ST_VERIFIED, .hierarchy = TPM2_RH_OWNER};
    const TPM2B_NAME name = {.size = 34, .name = {0x00, 0x0b, 1, 2, 3}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(references); i++) {
        const TPM2B_DIGEST approved = {.size = POLICY_DIGEST_SIZE};
        TpmSession *session = session_new(TPM2_SE_TRIAL);
        PolicyDigest digest = {.octets = {0xff}}; /* what was there before does not matter */

        assert_int_equal(policy_digest_authorize(&digest, &name,
                                                 (Bytes){references[i].buffer, references[i].size}),
                         0);
        assert_int_equal(
            tpm2_policy_authorize(bench.tpm, session, &approved, &references[i], &name, &ticket),
            TSS2_RC_SUCCESS);
        assert_trial_digest(session, &digest);
    }
}

static void policy_cp_hash_is_what_the_tpm_computes(void **state)
{
    const TPM2B_DIGEST cp_hash = {.size = POLICY_DIGEST_SIZE, .buffer = {1, 2, 3}};
    TpmSession *session = session_new(TPM2_SE_TRIAL);
    PolicyDigest digest = {0};

    (void)state;
    assert_int_equal(policy_digest_cp_hash(&digest, cp_hash.buffer), 0);
    assert_int_equal(tpm2_policy_cp_hash(bench.tpm, session, &cp_hash), TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
}

static void policy_nv_written_is_what_the_tpm_computes(void **state)
{
    (void)state;
    for (int written = 0; written < 2; written++) {
        TpmSession *session = session_new(TPM2_SE_TRIAL);
        PolicyDigest digest = {0};

        assert_int_equal(policy_digest_nv_written(&digest, written != 0), 0);
        assert_int_equal(tpm2_policy_nv_written(bench.tpm, session, written != 0), TSS2_RC_SUCCESS);
        assert_trial_digest(session, &digest);
    }
}

static void policies_add_up_in_their_order(void **state)
{
    const TPM2B_DIGEST cp_hash = {.size = POLICY_DIGEST_SIZE, .buffer = {9}};
    TpmSession *session = session_new(TPM2_SE_TRIAL);
    PolicyDigest digest = {0}, other = {0};

    (void)state;
    assert_int_equal(policy_digest_nv_written(&digest, false), 0);
    assert_int_equal(policy_digest_cp_hash(&digest, cp_hash.buffer), 0);
    assert_int_equal(policy_digest_cp_hash(&other, cp_hash.buffer), 0);
    assert_int_equal(policy_digest_nv_written(&other, false), 0);
    assert_false(policy_digest_equal(&digest, &other));
    assert_int_equal(tpm2_policy_nv_written(bench.tpm, session, false), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_policy_cp_hash(bench.tpm, session, &cp_hash), TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
}

/* An ordinary index of eight octets, owner-written, and its Name as the TPM gives it. */
static TpmObject index_define(TPMS_NV_PUBLIC *public)
{
    static const TPM2B_MAX_NV_BUFFER five = {.size = 8, .buffer = {0, 0, 0, 0, 0, 0, 0, 5}};
    TpmObject index = {.handle = public->nvIndex};

    assert_int_equal(tpm2_nv_define_space(bench.tpm, NULL, public), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_nv_write_as(bench.tpm, TPM2_RH_OWNER, index.handle, &five, 0),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_nv_read_public(bench.tpm, index.handle, public, &index.name),
                     TSS2_RC_SUCCESS);
    return index;
}

static void policy_nv_and_the_name_of_an_index_are_what_the_tpm_computes(void **state)
{
    TPMS_NV_PUBLIC public = {
        .nvIndex = 0x01801234,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD,
        .dataSize = 8,
    };
    const TPM2B_OPERAND operand = {.size = 8, .buffer = {0, 0, 0, 0, 0, 0, 0, 6}};
    TpmSession *session = session_new(TPM2_SE_TRIAL);
    TpmObject index = index_define(&public);
    PolicyDigest digest = {0};
    TPM2B_NAME computed;

    (void)state;
    assert_int_equal(tpm_nv_name(&public, &computed), 0);
    assert_int_equal(computed.size, index.name.size);
    assert_memory_equal(computed.name, index.name.name, index.name.size);

    assert_int_equal(policy_digest_nv(&digest, &index.name, (Bytes){operand.buffer, operand.size},
                                      0, TPM2_EO_UNSIGNED_LT),
                     0);
    assert_int_equal(
        tpm2_policy_nv(bench.tpm, &index, NULL, session, &operand, 0, TPM2_EO_UNSIGNED_LT),
        TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
    assert_int_equal(tpm2_nv_undefine_space(bench.tpm, &index, NULL), TSS2_RC_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_pcr_is_what_the_tpm_computes),
        cmocka_unit_test(policy_authorize_is_what_the_tpm_computes),
        cmocka_unit_test(policy_cp_hash_is_what_the_tpm_computes),
        cmocka_unit_test(policy_nv_written_is_what_the_tpm_computes),
        cmocka_unit_test(policies_add_up_in_their_order),
        cmocka_unit_test(policy_nv_and_the_name_of_an_index_are_what_the_tpm_computes),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

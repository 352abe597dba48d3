/* Do digests computed here equal those that a TPM computes? */
#include "policy/policydigest.h"

#include "policy/session.h"
#include "tpm_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A trial session's digest, and its end. */
static void assert_trial_digest(ESYS_TR session, const PolicyDigest *expected)
{
    TPM2B_DIGEST *digest = NULL;

    assert_int_equal(Esys_PolicyGetDigest(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                          ESYS_TR_NONE, &digest),
                     TSS2_RC_SUCCESS);
    assert_int_equal(digest->size, POLICY_DIGEST_SIZE);
    assert_memory_equal(digest->buffer, expected->octets, POLICY_DIGEST_SIZE);
    Esys_Free(digest);
    tpm_session_flush(bench.tpm, session);
}

static ESYS_TR trial_start(void)
{
    ESYS_TR session = ESYS_TR_NONE;
    char error[TPM_ERROR_SIZE] = "";

    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_TRIAL, &session, error), 0);
    return session;
}

static void policy_pcr_is_what_the_tpm_computes(void **state)
{
    static const uint32_t masks[] = {0x000001, 0x000080, 0x0000ff, 0x00089f, 0xffffff};
    static const TPM2_ALG_ID pcr_banks[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384};
    char error[TPM_ERROR_SIZE] = "";

    (void)state;
    for (size_t i = 0; i < ELEMENTS(masks) * ELEMENTS(pcr_banks); i++) {
        PcrState pcrs = {.bank = pcr_banks[i % 2], .mask = masks[i / 2]};
        const TPML_PCR_SELECTION selection = pcr_selection(pcrs.bank, pcrs.mask);
        ESYS_TR session = trial_start();
        PolicyDigest digest = {0};

        assert_int_equal(pcr_read(bench.tpm, &pcrs, error), 0);
        assert_int_equal(policy_digest_pcr(&digest, &pcrs), 0);
        assert_int_equal(Esys_PolicyPCR(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, NULL, &selection),
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
        ESYS_TR session = trial_start();
        PolicyDigest digest = {.octets = {0xff}}; /* what was there before does not matter */

        assert_int_equal(policy_digest_authorize(&digest, &name,
                                                 (Bytes){references[i].buffer, references[i].size}),
                         0);
        assert_int_equal(Esys_PolicyAuthorize(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                              ESYS_TR_NONE, &approved, &references[i], &name,
                                              &ticket),
                         TSS2_RC_SUCCESS);
        assert_trial_digest(session, &digest);
    }
}

static void policy_cp_hash_is_what_the_tpm_computes(void **state)
{
    const TPM2B_DIGEST cp_hash = {.size = POLICY_DIGEST_SIZE, .buffer = {1, 2, 3}};
    ESYS_TR session = trial_start();
    PolicyDigest digest = {0};

    (void)state;
    assert_int_equal(policy_digest_cp_hash(&digest, cp_hash.buffer), 0);
    assert_int_equal(Esys_PolicyCpHash(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &cp_hash),
                     TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
}

static void policy_nv_written_is_what_the_tpm_computes(void **state)
{
    (void)state;
    for (int written = 0; written < 2; written++) {
        ESYS_TR session = trial_start();
        PolicyDigest digest = {0};

        assert_int_equal(policy_digest_nv_written(&digest, written != 0), 0);
        assert_int_equal(Esys_PolicyNvWritten(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                              ESYS_TR_NONE, (TPMI_YES_NO)written),
                         TSS2_RC_SUCCESS);
        assert_trial_digest(session, &digest);
    }
}

static void policies_add_up_in_their_order(void **state)
{
    const TPM2B_DIGEST cp_hash = {.size = POLICY_DIGEST_SIZE, .buffer = {9}};
    ESYS_TR session = trial_start();
    PolicyDigest digest = {0}, other = {0};

    (void)state;
    assert_int_equal(policy_digest_nv_written(&digest, false), 0);
    assert_int_equal(policy_digest_cp_hash(&digest, cp_hash.buffer), 0);
    assert_int_equal(policy_digest_cp_hash(&other, cp_hash.buffer), 0);
    assert_int_equal(policy_digest_nv_written(&other, false), 0);
    assert_false(policy_digest_equal(&digest, &other));
    assert_int_equal(Esys_PolicyNvWritten(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                          ESYS_TR_NONE, TPM2_NO),
                     TSS2_RC_SUCCESS);
    assert_int_equal(Esys_PolicyCpHash(bench.tpm->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &cp_hash),
                     TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
}

/* An ordinary index of eight octets, owner-written, and its Name as the TPM gives it. */
static ESYS_TR index_define(TPM2B_NV_PUBLIC *public, TPM2B_NAME *ret_name)
{
    static const TPM2B_AUTH no_auth = {0};
    TPM2B_NV_PUBLIC *got = NULL;
    TPM2B_NAME *name = NULL;
    ESYS_TR index = ESYS_TR_NONE;

    assert_int_equal(Esys_NV_DefineSpace(bench.tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, public, &index),
                     TSS2_RC_SUCCESS);
    assert_int_equal(
        Esys_NV_Write(bench.tpm->esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                      ESYS_TR_NONE,
                      &(TPM2B_MAX_NV_BUFFER){.size = 8, .buffer = {0, 0, 0, 0, 0, 0, 0, 5}}, 0),
        TSS2_RC_SUCCESS);
    assert_int_equal(Esys_NV_ReadPublic(bench.tpm->esys, index, ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &got, &name),
                     TSS2_RC_SUCCESS);
    *public = *got;
    *ret_name = *name;
    Esys_Free(got);
    Esys_Free(name);
    return index;
}

static void policy_nv_and_the_name_of_an_index_are_what_the_tpm_computes(void **state)
{
    TPM2B_NV_PUBLIC public = {
        .nvPublic = {.nvIndex = 0x01801234,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD,
                     .dataSize = 8},
    };
    const TPM2B_OPERAND operand = {.size = 8, .buffer = {0, 0, 0, 0, 0, 0, 0, 6}};
    ESYS_TR session = trial_start();
    TPM2B_NAME name, computed;
    PolicyDigest digest = {0};
    ESYS_TR index = index_define(&public, &name);

    (void)state;
    assert_int_equal(tpm_nv_name(&public.nvPublic, &computed), 0);
    assert_int_equal(computed.size, name.size);
    assert_memory_equal(computed.name, name.name, name.size);

    assert_int_equal(policy_digest_nv(&digest, &name, (Bytes){operand.buffer, operand.size}, 0,
                                      TPM2_EO_UNSIGNED_LT),
                     0);
    assert_int_equal(Esys_PolicyNV(bench.tpm->esys, ESYS_TR_RH_OWNER, index, session,
                                   ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0,
                                   TPM2_EO_UNSIGNED_LT),
                     TSS2_RC_SUCCESS);
    assert_trial_digest(session, &digest);
    assert_int_equal(Esys_NV_UndefineSpace(bench.tpm->esys, ESYS_TR_RH_OWNER, index,
                                           ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
                     TSS2_RC_SUCCESS);
}

static void the_name_of_an_object_is_what_the_tpm_computes(void **state)
{
    char error[TPM_ERROR_SIZE] = "";
    TPM2B_PUBLIC *public = NULL;
    TPM2B_NAME name, computed;
    ESYS_TR srk = ESYS_TR_NONE;

    (void)state;
    assert_int_equal(tpm_srk_name(bench.tpm, &name, error), 0);
    assert_int_equal(tpm_srk_open(bench.tpm, false, &srk, error), 0);
    assert_int_equal(Esys_ReadPublic(bench.tpm->esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                     &public, NULL, NULL),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm_object_name(public, &computed), 0);
    assert_int_equal(computed.size, name.size);
    assert_memory_equal(computed.name, name.name, name.size);
    Esys_Free(public);
    tpm_object_release(bench.tpm, srk);
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
        cmocka_unit_test(the_name_of_an_object_is_what_the_tpm_computes),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

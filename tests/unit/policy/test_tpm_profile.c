/* Is a TPM that can't hold the device key found out, and what it lacks named? */
#include "policy/tpm_profile.h"

#include "tpm_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What the TPM behind `lesser` is made to lack. */
typedef struct Lack {
    TPM2_CAP capability;
    uint32_t id;
} Lack;

/* A TCTI around the bench's: it passes everything on, but alters one answer. */
typedef struct LesserTcti {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* first */
    TSS2_TCTI_CONTEXT *real;
    Lack lack;
    bool asked; /* the command under way asks for what is lacking */
} LesserTcti;

static TSS2_RC lesser_transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
    LesserTcti *lesser = (LesserTcti *)context;
    uint32_t words[4] = {0}; /* size, command code, capability, property */

    if (size >= 2 + sizeof(words))
        memcpy(words, command + 2, sizeof(words));
    lesser->asked = ntohl(words[1]) == TPM2_CC_GetCapability &&
                    ntohl(words[2]) == lesser->lack.capability &&
                    ntohl(words[3]) == lesser->lack.id;
    return Tss2_Tcti_Transmit(lesser->real, size, command);
}

/* In the answer the first of the list becomes the next number, as where it is not there. */
static TSS2_RC lesser_receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response,
                              int32_t timeout)
{
    enum { FIRST_ITEM = 10 + 1 + 4 + 4 }; /* after header, moreData, capability and count */
    LesserTcti *lesser = (LesserTcti *)context;
    TSS2_RC rc = Tss2_Tcti_Receive(lesser->real, size, response, timeout);

    if (rc == TSS2_RC_SUCCESS && lesser->asked && response && *size >= FIRST_ITEM + 2)
        response[FIRST_ITEM + 1]++;
    return rc;
}

static void assert_lacking(Lack lack, TpmKeyAlgorithm algorithm, int expected, const char *words)
{
    LesserTcti lesser = {
        .common.v1 = {.magic = 0x7465737400000000,
                      .version = 2,
                      .transmit = lesser_transmit,
                      .receive = lesser_receive},
        .real = bench.tpm->tcti,
        .lack = lack,
    };
    char error[TPM_ERROR_SIZE] = "";
    Tpm tpm = {.tcti = (TSS2_TCTI_CONTEXT *)&lesser};

    assert_int_equal(Esys_Initialize(&tpm.esys, tpm.tcti, NULL), TSS2_RC_SUCCESS);
    assert_int_equal(tpm_profile_check(&tpm, algorithm, error), expected);
    Esys_Finalize(&tpm.esys);
    if (!strstr(error, words))
        fail_msg("'%s' does not say '%s'", error, words);
}

static void a_whole_tpm_can_hold_every_key(void **state)
{
    char error[TPM_ERROR_SIZE] = "";

    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++)
        assert_int_equal(tpm_profile_check(bench.tpm, (TpmKeyAlgorithm)i, error), 0);
}

static void what_is_lacking_is_named_with_the_key_that_needs_it(void **state)
{
    (void)state;
    assert_lacking((Lack){TPM2_CAP_ALGS, TPM2_ALG_ECDSA}, TPM_KEY_ECDSA_P256, -EOPNOTSUPP,
                   "this TPM lacks ECDSA, which a device key ecdsa-p256 needs; ");
    assert_lacking((Lack){TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P256}, TPM_KEY_ECDSA_P256, -EOPNOTSUPP,
                   "lacks the curve NIST P-256,");
    assert_lacking((Lack){TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P384}, TPM_KEY_ECDSA_P384, -EOPNOTSUPP,
                   "lacks the curve NIST P-384, which a device key ecdsa-p384 needs");
    assert_lacking((Lack){TPM2_CAP_ALGS, TPM2_ALG_SHA256}, TPM_KEY_RSA_2048, -EOPNOTSUPP,
                   "lacks SHA-256,");
    assert_lacking((Lack){TPM2_CAP_ALGS, TPM2_ALG_RSAPSS}, TPM_KEY_RSA_2048, -EOPNOTSUPP,
                   "lacks RSASSA-PSS, which a device key rsa-2048 needs");
}

static void what_another_key_would_need_may_be_lacking(void **state)
{
    (void)state;
    assert_lacking((Lack){TPM2_CAP_ALGS, TPM2_ALG_RSA}, TPM_KEY_ECDSA_P256, 0, "");
    assert_lacking((Lack){TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P384}, TPM_KEY_ECDSA_P256, 0, "");
    assert_lacking((Lack){TPM2_CAP_ALGS, TPM2_ALG_ECDSA}, TPM_KEY_RSA_2048, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_tpm_can_hold_every_key),
        cmocka_unit_test(what_is_lacking_is_named_with_the_key_that_needs_it),
        cmocka_unit_test(what_another_key_would_need_may_be_lacking),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

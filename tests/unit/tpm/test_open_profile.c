/* A TPM that can't hold the device key is found out, and what it lacks is named. */
#include "tpm/open.h"

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

/* A TCTI around the bench's: it passes everything on, but alters what the TPM says it has. */
typedef struct LesserTcti {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* first */
    TSS2_TCTI_CONTEXT *real;
    Lack lack;
    uint32_t at_once; /* the TPM lists no more in one answer; 0: as many as it likes */
    bool endless;     /* each answer has one more */
    bool fails;       /* it answers with TPM_RC_FAILURE */
    bool asked;       /* the command under way asks for what is lacking */
    unsigned answers; /* to questions for that capability */
} LesserTcti;

static TSS2_RC lesser_transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
    enum { COMMAND_SIZE = 10 + 4 + 4 + 4 }; /* the header, capability, property, and how many */
    LesserTcti *lesser = (LesserTcti *)context;
    uint32_t words[3] = {0}; /* size, command code, capability */
    uint8_t copy[COMMAND_SIZE];

    if (size != COMMAND_SIZE)
        return Tss2_Tcti_Transmit(lesser->real, size, command);
    memcpy(words, command + 2, sizeof(words));
    lesser->asked =
        ntohl(words[1]) == TPM2_CC_GetCapability && ntohl(words[2]) == lesser->lack.capability;
    memcpy(copy, command, size);
    if (lesser->asked && lesser->at_once > 0) {
        const uint32_t count = htonl(lesser->at_once);

        memcpy(copy + COMMAND_SIZE - sizeof(count), &count, sizeof(count));
    }
    return Tss2_Tcti_Transmit(lesser->real, size, copy);
}

/* One entry more, whatever was asked for; returns the answer's size. */
static size_t endless_answer(const LesserTcti *lesser, uint8_t *response)
{
    const size_t item = lesser->lack.capability == TPM2_CAP_ALGS ? 2 + 4 : 2;
    Writer writer;

    writer_init(&writer, response, 10 + 1 + 4 + 4 + item);
    writer_u16(&writer, TPM2_ST_NO_SESSIONS);
    writer_u32(&writer, (uint32_t)(10 + 1 + 4 + 4 + item));
    writer_u32(&writer, TSS2_RC_SUCCESS);
    writer_u8(&writer, TPM2_YES); /* there is more */
    writer_u32(&writer, lesser->lack.capability);
    writer_u32(&writer, 1);
    writer_u16(&writer, (uint16_t)(0x4000 + lesser->answers));
    writer_zeros(&writer, item - 2);
    return writer.size;
}

/* In the answer what is lacking has a number that stands for nothing. */
static TSS2_RC lesser_receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response,
                              int32_t timeout)
{
    enum { FIRST_ITEM = 10 + 1 + 4 + 4 }; /* after header, moreData, capability and count */
    LesserTcti *lesser = (LesserTcti *)context;
    const size_t item = lesser->lack.capability == TPM2_CAP_ALGS ? 2 + 4 : 2;
    TSS2_RC rc = Tss2_Tcti_Receive(lesser->real, size, response, timeout);

    if (rc != TSS2_RC_SUCCESS || !lesser->asked || !response)
        return rc;
    lesser->answers++;
    if (lesser->fails) {
        Writer writer;

        writer_init(&writer, response, *size);
        writer_u16(&writer, TPM2_ST_NO_SESSIONS);
        writer_u32(&writer, 10);
        writer_u32(&writer, TPM2_RC_FAILURE);
        *size = writer.size;
        return rc;
    }
    if (lesser->endless) {
        *size = endless_answer(lesser, response);
        return rc;
    }
    for (size_t at = FIRST_ITEM; at + 2 <= *size; at += item) {
        if ((response[at] << 8 | response[at + 1]) == (int)lesser->lack.id)
            response[at] |= 0x40;
    }
    return rc;
}

static LesserTcti lesser_of(Lack lack)
{
    return (LesserTcti){
        .common.v1 = {.magic = 0x7465737400000000,
                      .version = 2,
                      .transmit = lesser_transmit,
                      .receive = lesser_receive},
        .real = bench.tpm->tcti,
        .lack = lack,
    };
}

static void assert_lacking(Lack lack, TpmKeyAlgorithm algorithm, int expected, const char *words)
{
    LesserTcti lesser = lesser_of(lack);
    Reason reason = {0};
    Tpm tpm = {.tcti = (TSS2_TCTI_CONTEXT *)&lesser};

    assert_int_equal(tpm_profile_check(&tpm, algorithm, &reason), expected);
    if (!strstr(reason.text, words))
        fail_msg("'%s' does not say '%s'", reason.text, words);
}

/* How many it lists is the TPM's to say (TPM 2.0 Part 3, 30.2). */
static void a_tpm_that_lists_few_at_once_is_asked_again(void **state)
{
    static const TPM2_CAP capabilities[] = {TPM2_CAP_ALGS, TPM2_CAP_ECC_CURVES};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(capabilities); i++) {
        LesserTcti lesser = lesser_of((Lack){capabilities[i], UINT16_MAX});
        Tpm tpm = {.tcti = (TSS2_TCTI_CONTEXT *)&lesser};
        Reason reason = {0};

        lesser.at_once = 1;
        for (unsigned j = 0; j < TPM_KEY_ALGORITHMS; j++)
            assert_int_equal(tpm_profile_check(&tpm, (TpmKeyAlgorithm)j, &reason), 0);
        assert_true(lesser.answers > 2 * TPM_KEY_ALGORITHMS);
    }
}

/* Of a TPM that lists so, or fails to, nothing is known, and it is asked so often and no more. */
static void assert_unknown(bool endless, int expected, const char *words, unsigned answers)
{
    static const TPM2_CAP capabilities[] = {TPM2_CAP_ALGS, TPM2_CAP_ECC_CURVES};

    for (size_t i = 0; i < ELEMENTS(capabilities); i++) {
        LesserTcti lesser = lesser_of((Lack){capabilities[i], UINT16_MAX});
        Tpm tpm = {.tcti = (TSS2_TCTI_CONTEXT *)&lesser};
        Reason reason = {0};

        lesser.endless = endless;
        lesser.fails = !endless;
        assert_int_equal(tpm_profile_check(&tpm, TPM_KEY_ECDSA_P256, &reason), expected);
        assert_non_null(strstr(reason.text, words));
        assert_int_equal(lesser.answers, answers);
    }
}

static void a_tpm_that_never_comes_to_an_end_is_asked_for_so_much_and_no_more(void **state)
{
    enum { LISTED_MAX = 256 };

    (void)state;
    assert_unknown(true, -EOPNOTSUPP, "", LISTED_MAX);
}

static void a_tpm_that_does_not_say_what_it_has_lacks_nothing_that_is_named(void **state)
{
    (void)state;
    assert_unknown(false, -EIO, "TPM2_GetCapability", 1);
}

static void a_whole_tpm_can_hold_every_key(void **state)
{
    Reason reason = {0};

    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++)
        assert_int_equal(tpm_profile_check(bench.tpm, (TpmKeyAlgorithm)i, &reason), 0);
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
        cmocka_unit_test(a_tpm_that_does_not_say_what_it_has_lacks_nothing_that_is_named),
        cmocka_unit_test(a_whole_tpm_can_hold_every_key),
        cmocka_unit_test(a_tpm_that_lists_few_at_once_is_asked_again),
        cmocka_unit_test(a_tpm_that_never_comes_to_an_end_is_asked_for_so_much_and_no_more),
        cmocka_unit_test(what_is_lacking_is_named_with_the_key_that_needs_it),
        cmocka_unit_test(what_another_key_would_need_may_be_lacking),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

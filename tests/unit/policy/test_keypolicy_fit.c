/* In which of the states that were approved of is the platform, where the TPM has the PCRs of some,
 * or fails? The TPM is played: the linker puts this function in the place of tpm/pcr.c's (ld
 * --wrap). */
#include "base/reason.h"
#include "policy/keypolicy.h"
#include "tpm/pcr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { STATES = 3 };

/* What comes of reading the PCRs of each state; in which of them, if in any, the platform is. */
static int results[STATES];
static size_t fitting;
static unsigned n_read;
static Reason said;

int __wrap_pcr_read(Tpm *tpm, PcrState *ret, Reason *reason);

/* Each state is over a PCR of its own, and perhaps further ones, whose value is its number or,
 * where it does not fit, 99. */
static void values_fill(PcrState *state, size_t nth, bool fits)
{
    for (size_t i = 0; i < PCR_COUNT; i++) {
        if (state->mask >> i & 1)
            memset(state->values[i], fits ? (int)nth + 1 : 99, PCR_VALUE_MAX);
    }
}

int __wrap_pcr_read(Tpm *tpm, PcrState *ret, Reason *reason)
{
    size_t nth = 0;

    assert_null(tpm);
    while (!(ret->mask >> nth & 1))
        nth++;
    assert_in_range(nth, 0, STATES - 1);
    n_read++;
    if (results[nth] < 0)
        return reason_set(reason, results[nth], "PCR %zu", nth);
    values_fill(ret, nth, nth == fitting);
    return 0;
}

static const uint32_t *further; /* PCRs of each state */
static bool mute[STATES];       /* it does not say what it expects */

/* Of a key under TPM2_PolicyPCR: no ticket is needed. */
static int fit(size_t fits, const int found[STATES], KeyPolicy *policy)
{
    static PcrSignatures states;

    memset(&states, 0, sizeof(states));
    states.count = STATES;
    for (size_t i = 0; i < STATES; i++) {
        PcrState *expected = &states.entries[i].expected;

        *expected = (PcrState){.bank = TPM2_ALG_SHA256,
                               .mask = UINT32_C(1) << i | (further ? further[i] : 0)};
        values_fill(expected, i, true);
        states.entries[i].has_expected = !mute[i];
        assert_int_equal(policy_digest_pcr(&states.entries[i].policy, expected), 0);
    }
    *policy = (KeyPolicy){.kind = KEY_POLICY_PCR, .states = &states};
    memcpy(results, found, sizeof(results));
    fitting = fits;
    n_read = 0;
    said = (Reason){0};
    const int r = key_policy_fit(NULL, policy, &said);
    assert_true(r == 0 || said.text[0] != '\0');
    return r;
}

static void the_first_state_that_fits_is_taken(void **state)
{
    static const int found[STATES] = {0};
    KeyPolicy policy;

    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        assert_int_equal(fit(i, found, &policy), 0);
        assert_ptr_equal(policy.fit, &policy.states->entries[i]);
        assert_int_equal(n_read, i + 1);
        assert_int_equal(policy.mismatch.mask, 0);
    }
}

static void a_state_over_pcrs_that_the_tpm_lacks_is_passed_over(void **state)
{
    static const int found[STATES] = {-EOPNOTSUPP, 0, 0};
    KeyPolicy policy;

    (void)state;
    assert_int_equal(fit(1, found, &policy), 0);
    assert_ptr_equal(policy.fit, &policy.states->entries[1]);
}

static void a_state_that_nobody_approved_of_is_refused_with_what_differs(void **state)
{
    static const int found[STATES] = {-EOPNOTSUPP, 0, -EOPNOTSUPP},
                     none[STATES] = {-EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP};
    KeyPolicy policy;

    (void)state;
    assert_int_equal(fit(STATES, found, &policy), -EKEYREJECTED);
    assert_null(policy.fit);
    assert_int_equal(policy.mismatch.mask, 2);
    assert_null(strstr(said.text, "was switched off"));
    assert_int_equal(fit(0, none, &policy), -EKEYREJECTED);
    assert_non_null(strstr(said.text, "was switched off"));
    assert_int_equal(policy.mismatch.mask, 0);
}

static void of_the_states_that_say_what_they_expect_the_nearest_is_told(void **state)
{
    static const uint32_t more[STATES] = {3U << 10, 1U << 20, 1U << 21};
    static const int found[STATES] = {0};
    KeyPolicy policy;

    (void)state;
    further = more;
    assert_int_equal(fit(STATES, found, &policy), -EKEYREJECTED);
    assert_int_equal(policy.mismatch.mask, 1U << 1 | 1U << 20); /* the first of two as near */
    mute[1] = true;
    assert_int_equal(fit(STATES, found, &policy), -EKEYREJECTED);
    assert_int_equal(policy.mismatch.mask, 1U << 2 | 1U << 21);
    mute[2] = true;
    assert_int_equal(fit(STATES, found, &policy), -EKEYREJECTED);
    assert_int_equal(policy.mismatch.mask, 1U << 0 | 3U << 10);
    mute[0] = true;
    assert_int_equal(fit(STATES, found, &policy), -EKEYREJECTED);
    assert_int_equal(policy.mismatch.mask, 0);
    assert_non_null(strstr(said.text, "its policy looks at PCR 0"));
    memset(mute, 0, sizeof(mute));
    further = NULL;
}

static void a_key_without_policy_has_the_tpm_asked_for_nothing(void **state)
{
    KeyPolicy policy = {.kind = KEY_POLICY_NONE};
    Reason reason = {0};

    (void)state;
    n_read = 0;
    assert_int_equal(key_policy_fit(NULL, &policy, &reason), 0);
    assert_int_equal(n_read, 0);
    assert_null(policy.fit);
}

static void a_policy_digest_of_another_size_or_a_key_that_cannot_be_read_is_named(void **state)
{
    static const struct {
        UINT16 size;
        TPMA_OBJECT attributes;
        const char *key, *words;
    } cases[] = {
        {0, 0, "/nonexistent", "has 0 octets, not the 32"},
        {20, 0, "/nonexistent", "has 20 octets"},
        {20, TPMA_OBJECT_USERWITHAUTH, "/nonexistent", "has 20 octets"},
        {48, 0, "/nonexistent", "has 48 octets"},
        {32, 0, "/dev/null", "/dev/null can't be read"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const TPMT_PUBLIC public = {.objectAttributes = cases[i].attributes,
                                    .authPolicy.size = cases[i].size};
        KeyPolicy *policy = NULL;
        Reason reason = {0};
        int r = key_policy_read(&public, cases[i].key, "/nonexistent/states", &policy, &reason);

        if (r >= 0 || policy || !strstr(reason.text, cases[i].words))
            fail_msg("\"%s\" is not in (%d): %s", cases[i].words, r, reason.text);
    }
}

/* It says nothing of the platform: neither that it is in no state, nor that a later one fits. */
static void a_tpm_that_fails_is_no_state_of_the_platforms(void **state)
{
    KeyPolicy policy;

    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        int found[STATES] = {0};

        found[i] = -EIO;
        assert_int_equal(fit(STATES, found, &policy), -EIO);
        assert_int_equal(n_read, i + 1);
        assert_int_equal(fit(STATES - 1, found, &policy), -EIO);
        assert_null(policy.fit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_state_that_fits_is_taken),
        cmocka_unit_test(a_state_over_pcrs_that_the_tpm_lacks_is_passed_over),
        cmocka_unit_test(a_state_that_nobody_approved_of_is_refused_with_what_differs),
        cmocka_unit_test(of_the_states_that_say_what_they_expect_the_nearest_is_told),
        cmocka_unit_test(a_key_without_policy_has_the_tpm_asked_for_nothing),
        cmocka_unit_test(a_policy_digest_of_another_size_or_a_key_that_cannot_be_read_is_named),
        cmocka_unit_test(a_tpm_that_fails_is_no_state_of_the_platforms),
    };

    return cmocka_run_group_tests_name("key policy fit", tests, NULL, NULL);
}

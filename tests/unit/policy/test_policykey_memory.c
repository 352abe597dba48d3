/* Is there either the right digest of a policy or none, wherever OpenSSL runs out of memory on the
 * way? */
#include "openssl_memory.h"

#include "base/cleanup.h"
#include "policy/policykey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ALLOCATIONS_MAX = 256 };

static const TPM2B_NAME name = {.size = 34, .name = {0x00, 0x0b, 1, 2, 3}};
static const Bytes reference = {(const uint8_t *)"reference", 9};

static int make_pcr(PolicyDigest *ret)
{
    static const PcrState state = {.bank = TPM2_ALG_SHA256, .mask = 0x81};

    return policy_digest_pcr(ret, &state);
}

static int make_cp_hash(PolicyDigest *ret)
{
    static const uint8_t cp_hash[POLICY_DIGEST_SIZE] = {1};

    return policy_digest_cp_hash(ret, cp_hash);
}

static int make_nv_written(PolicyDigest *ret)
{
    return policy_digest_nv_written(ret, true);
}

static int make_nv(PolicyDigest *ret)
{
    return policy_digest_nv(ret, &name, reference, 0, TPM2_EO_EQ);
}

/* Has no right value of before lie on the stack, where make_nv() puts its own. */
static int make_other(PolicyDigest *ret)
{
    return policy_digest_nv(ret, &name, (Bytes){0}, 1, TPM2_EO_NEQ);
}

static int make_authorize(PolicyDigest *ret)
{
    return policy_digest_authorize(ret, &name, reference);
}

static int (*const digests[])(PolicyDigest *ret) = {
    make_pcr, make_cp_hash, make_nv_written, make_nv, make_authorize,
};

static void without_memory_there_is_the_right_digest_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(digests); i++) {
        PolicyDigest right = {0};
        size_t nth = 0, refused = 0;
        bool failed;

        assert_int_equal(digests[i](&right), 0);
        do {
            PolicyDigest made = {0}, other = {0};
            int (*const volatile first)(PolicyDigest *) = make_other;

            assert_int_equal(first(&other), 0);
            openssl_memory_fail_once(++nth);
            const int r = digests[i](&made);
            failed = openssl_memory_end();
            if (r == 0) {
                assert_true(policy_digest_equal(&made, &right));
            } else {
                assert_true(r < 0 && failed);
                refused++;
            }
        } while (failed && nth < ALLOCATIONS_MAX);
        assert_false(failed);
        assert_true(refused > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_the_right_digest_or_none),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

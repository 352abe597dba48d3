/* Is there either the right digest of a policy or none, wherever OpenSSL runs out of memory on the
 * way? */
#include "anchor_fixture.h"
#include "openssl_memory.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/anchorguard.h"
#include "policy/policykey.h"
#include "vendor_fixture.h"

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

/* The operator whose guard is meant, and another one, whose values lie on the stack before. */
static PolicyKey operator_key, other_key;
static const PolicyKey *of = &operator_key;

static const AnchorRecord record = {.version = 7, .digest = {1, 2}};

static int make_guard_cp_hash(PolicyDigest *ret)
{
    return anchor_guard_cp_hash(of, ANCHOR_WRITE_UPDATE, &record, ret->octets);
}

static int make_guard_public(PolicyDigest *ret)
{
    TPMS_NV_PUBLIC public;
    int r = anchor_guard_public(of, true, &public);

    if (r == 0)
        memcpy(ret->octets, public.authPolicy.buffer, sizeof(ret->octets));
    return r;
}

static int make_guard_first(PolicyDigest *ret)
{
    return anchor_guard_policy(of, ANCHOR_WRITE_FIRST, &record, ret);
}

static int make_guard_update(PolicyDigest *ret)
{
    return anchor_guard_policy(of, ANCHOR_WRITE_UPDATE, &record, ret);
}

static int (*const digests[])(PolicyDigest *ret) = {
    make_pcr,           make_cp_hash,      make_nv_written,  make_nv,           make_authorize,
    make_guard_cp_hash, make_guard_public, make_guard_first, make_guard_update,
};

static int make_other_of(int (*make)(PolicyDigest *ret), PolicyDigest *ret)
{
    int r;

    of = &other_key;
    r = make(ret);
    of = &operator_key;
    return r == 0 ? make_other(ret) : r;
}

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
            int (*const volatile first)(int (*)(PolicyDigest *), PolicyDigest *) = make_other_of;

            assert_int_equal(first(digests[i], &other), 0);
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

/* A key without its Name or its fingerprint would approve of nothing, or be taken for another. */
static void without_memory_there_is_the_whole_policy_key_or_none(void **state)
{
    static const char *const types[] = {"RSA", "P-256"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey right = vendor_key_new(types[i]);
        _cleanup_(free_charp) char *pem = vendor_key_pem(&right, false);
        _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
        const int size = i2d_PublicKey(right.pkey, &der);
        uint8_t fingerprint[sizeof(right.fingerprint)];
        size_t nth = 0, refused = 0;
        bool failed;

        assert_int_equal(EVP_Digest(der, (size_t)size, fingerprint, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(right.fingerprint, fingerprint, sizeof(fingerprint));
        do {
            _cleanup_(policy_key_deinit) PolicyKey made = {0};
            Reason reason = {0};

            openssl_memory_fail_once(++nth);
            const int r = policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "key",
                                            false, &made, &reason);
            failed = openssl_memory_end();
            if (r == 0) {
                assert_non_null(made.pkey);
                assert_memory_equal(&made.public, &right.public, sizeof(made.public));
                assert_memory_equal(&made.name, &right.name, sizeof(made.name));
                assert_memory_equal(made.fingerprint, right.fingerprint, sizeof(made.fingerprint));
            } else {
                assert_true(r < 0 && failed);
                refused++;
            }
        } while (failed && nth < 16 * ALLOCATIONS_MAX);
        assert_false(failed);
        assert_true(refused > 0);
    }
}

static int operators_init(void **state)
{
    (void)state;
    operator_key = operator_new("EC");
    other_key = operator_new("EC");
    return 0;
}

static int operators_deinit(void **state)
{
    (void)state;
    policy_key_deinit(&operator_key);
    policy_key_deinit(&other_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_the_right_digest_or_none),
        cmocka_unit_test(without_memory_there_is_the_whole_policy_key_or_none),
    };

    if (!openssl_memory_begin())
        return 1;
    return cmocka_run_group_tests(tests, operators_init, operators_deinit);
}

/* Is an approval what the key's holder signed, to us and to the TPM? */
#include "free_watch.h"
#include "vendor_fixture.h"

#include "base/reason.h"
#include "provisioning/approval.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const types[] = {"RSA", "P-256"};
static const Bytes reference = {(const uint8_t *)"anchors", 7};

static void an_approval_counts_here_and_in_the_tpm(void **state)
{
    const PolicyDigest approved = {.octets = {1, 2, 3}};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        uint8_t signature[POLICY_SIGNATURE_MAX];
        TPMT_TK_VERIFIED ticket = {0};
        size_t size = 0;

        assert_int_equal(policy_key_approve(&key, &approved, reference, signature, &size), 0);
        assert_true(policy_key_approved(&key, &approved, reference, (Bytes){signature, size}));
        if (policy_key_ticket(bench.tpm, &key, &approved, reference, (Bytes){signature, size},
                              &ticket, &reason) < 0)
            fail_msg("%s", reason.text);
        assert_int_equal(ticket.tag, TPM2_ST_VERIFIED);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
        assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    }
}

static void an_approval_of_another_policy_or_reference_does_not_count(void **state)
{
    const PolicyDigest approved = {.octets = {1}}, other = {.octets = {2}};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        uint8_t signature[POLICY_SIGNATURE_MAX];
        TPMT_TK_VERIFIED ticket;
        size_t size = 0;

        assert_int_equal(policy_key_approve(&key, &approved, reference, signature, &size), 0);
        assert_false(policy_key_approved(&key, &other, reference, (Bytes){signature, size}));
        assert_false(policy_key_approved(&key, &approved, (Bytes){0}, (Bytes){signature, size}));
        assert_int_equal(policy_key_ticket(bench.tpm, &key, &other, reference,
                                           (Bytes){signature, size}, &ticket, &reason),
                         -EKEYREJECTED);
        assert_int_equal(policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0},
                                           (Bytes){signature, size}, &ticket, &reason),
                         -EKEYREJECTED);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    }
}

static void the_octets_of_a_private_key_do_not_outlive_its_reading(void **state)
{
    char path[] = "/tmp/test-policykey.XXXXXX";
    const int fd = mkstemp(path);
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    static const char marker[] = "PRIVATE KEY";
    Reason reason = {0};
    PolicyKey key = {0};
    FILE *file;

    (void)state;
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_int_equal(PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    EVP_PKEY_free(pkey);
    free_watch_begin((Bytes){(const uint8_t *)marker, strlen(marker)});
    assert_int_equal(policy_key_read(path, true, &key, &reason), 0);
    policy_key_deinit(&key);
    assert_false(free_watch_end());
    /* The watch sees what is not wiped. */
    free_watch_begin((Bytes){(const uint8_t *)marker, strlen(marker)});
    char *copy = strdup(marker);
    assert_non_null(copy); /* which keeps a compiler from leaving both calls out */
    free(copy);
    assert_true(free_watch_end());
    (void)unlink(path);
}

static void an_approval_by_another_key_does_not_count(void **state)
{
    const PolicyDigest approved = {.octets = {1}};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        _cleanup_(policy_key_deinit) PolicyKey other = vendor_key_new(types[i]);
        uint8_t signature[POLICY_SIGNATURE_MAX];
        TPMT_TK_VERIFIED ticket;
        size_t size = 0;

        assert_int_equal(policy_key_approve(&key, &approved, reference, signature, &size), 0);
        assert_false(policy_key_approved(&other, &approved, reference, (Bytes){signature, size}));
        assert_int_equal(policy_key_ticket(bench.tpm, &other, &approved, reference,
                                           (Bytes){signature, size}, &ticket, &reason),
                         -EKEYREJECTED);
    }
}

static void a_signature_that_is_cut_or_empty_does_not_count(void **state)
{
    const PolicyDigest approved = {.octets = {1}};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        uint8_t signature[POLICY_SIGNATURE_MAX];
        TPMT_TK_VERIFIED ticket;
        size_t size = 0;

        assert_int_equal(policy_key_approve(&key, &approved, reference, signature, &size), 0);
        for (size_t cut = 0; cut < size; cut += 17) {
            const Bytes part = {signature, cut};

            assert_false(policy_key_approved(&key, &approved, reference, part));
            assert_int_equal(
                policy_key_ticket(bench.tpm, &key, &approved, reference, part, &ticket, &reason),
                -EKEYREJECTED);
        }
    }
}

/* Nor does what nobody can have signed, as it has no message, count for us or in the TPM. */
static void a_reference_that_is_too_long_is_approved_with_nothing(void **state)
{
    static const uint8_t octets[POLICY_APPROVAL_MESSAGE_MAX - POLICY_DIGEST_SIZE + 1];
    const PolicyDigest approved = {.octets = {1}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        const Bytes longest = {octets, sizeof(octets) - 1};
        uint8_t signature[POLICY_SIGNATURE_MAX];
        size_t size = 0;

        assert_true(policy_key_approve(&key, &approved, BYTES_OF(octets), signature, &size) < 0);
        assert_int_equal(policy_key_approve(&key, &approved, longest, signature, &size), 0);
        assert_true(policy_key_approved(&key, &approved, longest, (Bytes){signature, size}));
        assert_false(
            policy_key_approved(&key, &approved, BYTES_OF(octets), (Bytes){signature, size}));
    }
}

static void the_public_half_names_the_same_key(void **state)
{
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        _cleanup_(policy_key_deinit) PolicyKey public = {0};
        _cleanup_(free_charp) char *pem = vendor_key_pem(&key, false);
        uint8_t signature[POLICY_SIGNATURE_MAX];
        size_t size = 0;

        assert_int_equal(policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "public",
                                           false, &public, &reason),
                         0);
        assert_int_equal(public.name.size, key.name.size);
        assert_memory_equal(public.name.name, key.name.name, key.name.size);
        assert_memory_equal(public.fingerprint, key.fingerprint, sizeof(key.fingerprint));
        /* and can't approve of anything */
        assert_int_not_equal(
            policy_key_approve(&public, &(PolicyDigest){0}, (Bytes){0}, signature, &size), 0);
    }
}

static EVP_PKEY *rsa_with_exponent(unsigned exponent)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    size_t bits = 2048;
    OSSL_PARAM params[] = {
        OSSL_PARAM_size_t(OSSL_PKEY_PARAM_RSA_BITS, &bits),
        OSSL_PARAM_uint(OSSL_PKEY_PARAM_RSA_E, &exponent),
        OSSL_PARAM_END,
    };
    EVP_PKEY *ret = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &ret), 1);
    EVP_PKEY_CTX_free(ctx);
    return ret;
}

static void a_file_that_holds_no_fit_key_is_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey rsa = vendor_key_new("RSA");
    _cleanup_(free_charp) char *private = vendor_key_pem(&rsa, true);
    _cleanup_(free_charp) char *public = vendor_key_pem(&rsa, false);
    EVP_PKEY *unfit[] = {
        EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
        rsa_with_exponent(3),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"),
        /* Curves whose coordinates have the same room. */
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "brainpoolP256r1"),
        EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-224"),
        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
    };
    Reason reason = {0};
    PolicyKey key;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(unfit); i++) {
        const PolicyKey made = {.pkey = unfit[i]};
        _cleanup_(free_charp) char *pem = vendor_key_pem(&made, false);

        assert_int_equal(policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "unfit.pem",
                                           false, &key, &reason),
                         -EINVAL);
        assert_non_null(strstr(reason.text, "unfit.pem holds a key that is not"));
        EVP_PKEY_free(unfit[i]);
    }
    assert_int_equal(policy_key_decode((Bytes){(const uint8_t *)public, strlen(public)}, "k", true,
                                       &key, &reason),
                     -EINVAL);
    assert_int_equal(policy_key_decode((Bytes){(const uint8_t *)private, strlen(private)}, "k",
                                       false, &key, &reason),
                     -EINVAL);
    assert_non_null(strstr(reason.text, "k holds no public key in PEM"));
    assert_int_equal(policy_key_decode((Bytes){0}, "empty", false, &key, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "empty holds no public key in PEM"));
    assert_int_equal(policy_key_read("/nonexistent", false, &key, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nonexistent can't be read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_approval_counts_here_and_in_the_tpm),
        cmocka_unit_test(an_approval_of_another_policy_or_reference_does_not_count),
        cmocka_unit_test(the_octets_of_a_private_key_do_not_outlive_its_reading),
        cmocka_unit_test(an_approval_by_another_key_does_not_count),
        cmocka_unit_test(a_signature_that_is_cut_or_empty_does_not_count),
        cmocka_unit_test(a_reference_that_is_too_long_is_approved_with_nothing),
        cmocka_unit_test(the_public_half_names_the_same_key),
        cmocka_unit_test(a_file_that_holds_no_fit_key_is_refused),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

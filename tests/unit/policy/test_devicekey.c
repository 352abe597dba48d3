/* Does the device key sign, and nothing but sign, and does the TPM stay as clean as it was? */
#include "base/reason.h"
#include "key_bench.h"
#include "no_random.h"
#include "probe.h"

#include "tpm/open.h"
#include "tpm/publickey.h"

#include <errno.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void each_algorithm_signs_what_openssl_verifies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        _cleanup_(device_key_freep) DeviceKey *key = key_new((TpmKeyAlgorithm)i);

        assert_signs(key, "SHA256", 32, false);
        assert_signs(key, "SHA384", 48, false);
        if (i != TPM_KEY_RSA_2048) {
            assert_int_equal(device_key_pss_salt(key), 0);
            continue;
        }
        assert_true(device_key_pss_salt(key) >= 32);
        assert_signs(key, "SHA256", 32, true);
    }
}

static void two_thousand_signatures_take_one_session_and_all_have_the_full_width(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    const unsigned transient = handle_count(TPM2_TRANSIENT_FIRST);
    const unsigned sessions = handle_count(TPM2_LOADED_SESSION_FIRST);
    Reason reason = {0};
    unsigned zeros = 0;

    (void)state;
    assert_int_equal(transient, 1); /* the key itself */
    assert_int_equal(sessions, 1);  /* for all its signatures */
    for (int i = 0; i < 2000; i++) {
        uint8_t digest_data[32];
        const Bytes digest = BYTES_OF(digest_data);
        uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
        size_t size = 0;

        assert_int_equal(RAND_bytes(digest_data, sizeof(digest_data)), 1);
        if (device_key_sign(key, "SHA256", false, digest, signature, &size, &reason) < 0)
            fail_msg("%s", reason.text);
        assert_int_equal(size, 64);
        assert_true(signature_is_good(device_key_public(key), "SHA256", digest,
                                      (Bytes){signature, size}, -1));
        if (signature[0] == 0 || signature[32] == 0)
            zeros++;
    }
    /* One in 128 has r or s with a leading zero; none of 2,000 is a chance of 1 in 6 million. */
    assert_true(zeros > 0);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), transient);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), sessions);
}

static void a_key_takes_one_slot_while_loaded_and_none_after(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);

        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
        device_key_free(key);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    }
}

/* A test signature over what is known beforehand could be an old one. */
static void without_random_numbers_a_key_is_not_tested_and_so_not_taken(void **state)
{
    Tss2Key file;
    Reason reason = {0};

    (void)state;
    if (device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason) < 0)
        fail_msg("%s", reason.text);
    for (int says = 0; says >= -1; says--) {
        bool failed = false, untested = false;

        for (unsigned nth = 1; nth == 1 || failed; nth++) {
            DeviceKey *key = NULL;

            reason.text[0] = '\0';
            no_random_begin(nth, says);
            const int r = device_key_load(bench.tpm, &file, NULL, &key, &reason);
            failed = no_random_end();
            assert_int_equal(r == 0, !failed);
            assert_int_equal(key != NULL, !failed);
            untested |= strstr(reason.text, "no random numbers") != NULL;
            device_key_free(key);
            assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
        }
        assert_true(untested); /* the digest is drawn, beside the sessions' nonces */
    }
}

static void a_digest_that_does_not_fit_is_refused(void **state)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    static const uint8_t digest[64] = {1};
    static const struct {
        const char *name;
        size_t size;
        bool pss;
    } misfits[] = {
        {"SHA256", 31, false}, {"SHA256", 48, false}, {"SHA384", 32, false},
        {"SHA1", 20, false},   {"SHA512", 64, false}, {"SHA256", 32, true},
    };
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size = 0;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(misfits); i++) {
        Reason reason = {0};

        assert_int_equal(device_key_sign(key, misfits[i].name, misfits[i].pss,
                                         (Bytes){digest, misfits[i].size}, signature, &size,
                                         &reason),
                         -EINVAL);
        assert_non_null(strstr(reason.text, misfits[i].name));
    }
}

/* A P-256 key with ECDSA and `hash` written into it, as other tools make them. */
static Tss2Key key_with_scheme(TPM2_ALG_ID hash)
{
    const TPM2B_SENSITIVE_CREATE sensitive = {0};
    const TPM2B_PUBLIC template = {
        .publicArea =
            {
                .type = TPM2_ALG_ECC,
                .nameAlg = TPM2_ALG_SHA256,
                .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_FIXEDTPM |
                                    TPMA_OBJECT_FIXEDPARENT,
                .parameters.eccDetail =
                    {
                        .symmetric.algorithm = TPM2_ALG_NULL,
                        .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = hash},
                        .curveID = TPM2_ECC_NIST_P256,
                        .kdf.scheme = TPM2_ALG_NULL,
                    },
            },
    };
    Tss2Key key = {.empty_auth = true, .parent = TPM_SRK_HANDLE};
    Reason reason = {0};
    TpmObject srk = {0};

    assert_int_equal(tpm_srk_open(bench.tpm, false, &srk, &reason), 0);
    assert_int_equal(
        tpm2_create(bench.tpm, &srk, NULL, &sensitive, &template, &key.private, &key.public),
        TSS2_RC_SUCCESS);
    tpm_object_release(bench.tpm, &srk);
    return key;
}

static void a_key_tied_to_its_natural_scheme_signs_with_that_alone(void **state)
{
    const Tss2Key file = key_with_scheme(TPM2_ALG_SHA256);
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    static const uint8_t digest[48] = {1};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    Reason reason = {0};
    size_t size = 0;

    (void)state;
    if (device_key_load(bench.tpm, &file, NULL, &key, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_signs(key, "SHA256", 32, false);
    assert_int_equal(
        device_key_sign(key, "SHA384", false, BYTES_OF(digest), signature, &size, &reason),
        -EINVAL);
}

static void assert_not_loaded(const Tss2Key *file, int expected, const char *why)
{
    Reason reason = {0};
    DeviceKey *key = NULL;

    assert_int_equal(device_key_load(bench.tpm, file, NULL, &key, &reason), expected);
    assert_null(key);
    if (!strstr(reason.text, why))
        fail_msg("'%s' does not say '%s'", reason.text, why);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
}

static void a_key_outside_the_profile_is_refused_with_its_flaw(void **state)
{
    static const TPMA_OBJECT binding[] = {TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT,
                                          TPMA_OBJECT_SENSITIVEDATAORIGIN};
    Reason reason = {0};
    Tss2Key good;
    Tss2Key bad;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &good, &reason), 0);
    /* Out of the reach of others' failed tries. */
    assert_true(good.public.publicArea.objectAttributes & TPMA_OBJECT_NODA);
    bad = good;
    bad.empty_auth = false;
    assert_not_loaded(&bad, -EINVAL, "password");
    bad = good;
    bad.public.publicArea.objectAttributes &= ~TPMA_OBJECT_SIGN_ENCRYPT;
    assert_not_loaded(&bad, -EINVAL, "signing key");
    bad = good;
    bad.public.publicArea.objectAttributes |= TPMA_OBJECT_RESTRICTED;
    assert_not_loaded(&bad, -EINVAL, "restricted");
    bad = good;
    bad.public.publicArea.objectAttributes &= ~TPMA_OBJECT_USERWITHAUTH;
    assert_not_loaded(&bad, -EINVAL, "TPM policy");
    bad = good;
    bad.public.publicArea.authPolicy.size = 32;
    assert_not_loaded(&bad, -EINVAL, "has a TPM policy and can be used without it");
    for (size_t i = 0; i < ELEMENTS(binding); i++) {
        bad = good;
        bad.public.publicArea.objectAttributes &= ~binding[i];
        assert_not_loaded(&bad, -EINVAL, "copied out");
    }
    bad = good;
    bad.public.publicArea.parameters.eccDetail.curveID = TPM2_ECC_NIST_P521;
    assert_not_loaded(&bad, -EINVAL, "P-256");
    bad = good;
    bad.public.publicArea.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECSCHNORR;
    assert_not_loaded(&bad, -EINVAL, "scheme");
    bad = key_with_scheme(TPM2_ALG_SHA384);
    assert_not_loaded(&bad, -EINVAL, "scheme");
    bad = good;
    bad.public.publicArea.unique.ecc.x.buffer[0] ^= 1; /* off the curve */
    assert_not_loaded(&bad, -EINVAL, "damaged");
}

/* An RSA key signs with either padding, so it is tied to none; least of all to ECDSA, which tss2-mu
 * reads and writes for every type of key. */
static void an_rsa_key_tied_to_a_scheme_is_refused(void **state)
{
    static const TPM2_ALG_ID schemes[] = {TPM2_ALG_ECDSA, TPM2_ALG_RSASSA, TPM2_ALG_RSAPSS};
    Reason reason = {0};
    Tss2Key key;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_RSA_2048, NULL, &key, &reason), 0);
    for (size_t i = 0; i < ELEMENTS(schemes); i++) {
        TPMT_RSA_SCHEME *scheme = &key.public.publicArea.parameters.rsaDetail.scheme;

        scheme->scheme = schemes[i];
        scheme->details.anySig.hashAlg = TPM2_ALG_SHA256;
        assert_not_loaded(&key, -EINVAL, "tied to a signature scheme");
    }
}

static void a_damaged_or_foreign_key_is_refused_by_the_tpm(void **state)
{
    Reason reason = {0};
    Swtpm other_swtpm;
    Tpm *other = NULL;
    TpmObject srk = {0};
    Tss2Key key;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &key, &reason), 0);
    key.private.buffer[key.private.size - 1] ^= 1;
    assert_not_loaded(&key, -ESTALE, "TPM2_Load");

    assert_int_equal(swtpm_start(&other_swtpm), 0);
    assert_int_equal(tpm_open(other_swtpm.tcti, &other, &reason), 0);
    assert_int_equal(tpm_srk_open(other, true, &srk, &reason), 0);
    tpm_object_release(other, &srk);
    assert_int_equal(device_key_create(other, TPM_KEY_ECDSA_P256, NULL, &key, &reason), 0);
    tpm_close(other);
    swtpm_stop(&other_swtpm);
    assert_not_loaded(&key, -ESTALE, "another TPM");

    key.parent = 0x81000077;
    assert_not_loaded(&key, -ESTALE, "0x81000077");
}

static void without_a_storage_root_key_no_key_is_made(void **state)
{
    Reason reason = {0};
    Swtpm swtpm;
    Tpm *tpm = NULL;
    Tss2Key key;

    (void)state;
    assert_int_equal(swtpm_start(&swtpm), 0);
    assert_int_equal(tpm_open(swtpm.tcti, &tpm, &reason), 0);
    assert_int_equal(device_key_create(tpm, TPM_KEY_ECDSA_P256, NULL, &key, &reason), -EIO);
    assert_non_null(strstr(reason.text, "tre-provision init"));
    tpm_close(tpm);
    swtpm_stop(&swtpm);
}

static int sign(DeviceKey *key, Reason *reason)
{
    const uint8_t digest[32] = {1};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size;

    return device_key_sign(key, "SHA256", false, BYTES_OF(digest), signature, &size, reason);
}

/* Once is enough for somebody between us and the TPM to make a signature fail, and no more. */
static void assert_fails_while_changed(Probe *probe)
{
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    Reason reason = {0};

    probe_attach(probe);
    assert_int_equal(sign(key, &reason), -EIO);
    probe_detach();
    if (sign(key, &reason) < 0)
        fail_msg("%s", reason.text);
}

/* The last octet of the answer is of nonceTPM, which the session's key is derived from. */
static void a_session_made_ready_wrong_is_made_anew_when_it_is_needed(void **state)
{
    Probe probe = {.command = TPM2_CC_StartAuthSession, .answer = {-1, 1}};
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    Reason reason = {0};

    (void)state;
    probe_attach(&probe);
    assert_int_equal(device_key_prepare(key, &reason), 0);
    probe_detach();
    assert_signs(key, "SHA256", 32, false);
}

static void a_digest_changed_on_the_way_is_not_signed(void **state)
{
    /* The command ends in digest (2 + 32), scheme (2 + 2) and ticket (2 + 4 + 2). */
    Probe probe = {.command = TPM2_CC_Sign, .sent = {-(8 + 4 + 32), 1}};

    (void)state;
    assert_fails_while_changed(&probe);
}

static void an_answer_changed_on_the_way_is_not_believed(void **state)
{
    /* Before the authorization (2 + 32 nonce, 1, 2 + 32 HMAC) stands the end of s. */
    Probe probe = {.command = TPM2_CC_Sign, .answer = {-(69 + 1), 1}};

    (void)state;
    assert_fails_while_changed(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_signs_what_openssl_verifies),
        cmocka_unit_test(two_thousand_signatures_take_one_session_and_all_have_the_full_width),
        cmocka_unit_test(a_key_takes_one_slot_while_loaded_and_none_after),
        cmocka_unit_test(without_random_numbers_a_key_is_not_tested_and_so_not_taken),
        cmocka_unit_test(a_digest_that_does_not_fit_is_refused),
        cmocka_unit_test(a_key_tied_to_its_natural_scheme_signs_with_that_alone),
        cmocka_unit_test(a_key_outside_the_profile_is_refused_with_its_flaw),
        cmocka_unit_test(an_rsa_key_tied_to_a_scheme_is_refused),
        cmocka_unit_test(a_damaged_or_foreign_key_is_refused_by_the_tpm),
        cmocka_unit_test(without_a_storage_root_key_no_key_is_made),
        cmocka_unit_test_teardown(a_session_made_ready_wrong_is_made_anew_when_it_is_needed,
                                  probe_remove),
        cmocka_unit_test_teardown(a_digest_changed_on_the_way_is_not_signed, probe_remove),
        cmocka_unit_test_teardown(an_answer_changed_on_the_way_is_not_believed, probe_remove),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

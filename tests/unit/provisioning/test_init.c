/* Does init make what a device needs, keep what is good, and touch nothing else? */
#include "provision_fixture.h"

#include "base/cleanup.h"
#include "policy/tss2key.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static X509_REQ *csr_read(const ProvisionBench *bench)
{
    _cleanup_(free_charp) char *text = state_text(bench, STATE_CSR);
    X509_REQ *csr;
    BIO *bio;

    assert_non_null(text);
    bio = BIO_new_mem_buf(text, -1);
    csr = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(csr);
    return csr;
}

/* The one dNSName that the CSR asks for. */
static void assert_csr_asks_for(X509_REQ *csr, const char *fqdn)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
    GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    ASN1_BIT_STRING *usage = X509V3_get_d2i(extensions, NID_key_usage, NULL, NULL);
    const GENERAL_NAME *name;

    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    name = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(name->type, GEN_DNS);
    assert_int_equal(ASN1_STRING_length(name->d.dNSName), strlen(fqdn));
    assert_memory_equal(ASN1_STRING_get0_data(name->d.dNSName), fqdn, strlen(fqdn));
    assert_int_equal(ASN1_BIT_STRING_get_bit(usage, 0), 1); /* digitalSignature */
    ASN1_BIT_STRING_free(usage);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static void each_algorithm_yields_a_key_and_a_csr_that_verifies(void **state)
{
    static const int signatures[TPM_KEY_ALGORITHMS] = {
        [TPM_KEY_ECDSA_P256] = NID_ecdsa_with_SHA256,
        [TPM_KEY_ECDSA_P384] = NID_ecdsa_with_SHA384,
        [TPM_KEY_RSA_2048] = NID_sha256WithRSAEncryption,
    };
    ProvisionBench *bench = *state;

    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        X509_REQ *csr;

        bench->options.algorithm = (TpmKeyAlgorithm)i;
        bench->options.algorithm_given = true;
        bench->options.force = i > 0;
        assert_int_equal(provision_init(&bench->options), 0);
        csr = csr_read(bench);
        assert_int_equal(X509_REQ_verify(csr, X509_REQ_get0_pubkey(csr)), 1);
        assert_int_equal(X509_REQ_get_signature_nid(csr), signatures[i]);
        assert_csr_asks_for(csr, "henb-1.example");
        X509_REQ_free(csr);
    }
    assert_int_equal(state_mode(bench, STATE_KEY), 0640);
    assert_int_equal(state_mode(bench, "."), 0770);
    assert_int_equal(state_count(bench), 3);
}

static void a_second_run_keeps_the_key_and_renews_the_csr(void **state)
{
    ProvisionBench *bench = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;
    X509_REQ *csr;

    assert_int_equal(provision_init(&bench->options), 0);
    before = state_text(bench, STATE_KEY);
    bench->options.fqdn = "henb-2.example";
    assert_int_equal(provision_init(&bench->options), 0);
    after = state_text(bench, STATE_KEY);
    assert_string_equal(before, after);
    csr = csr_read(bench);
    assert_csr_asks_for(csr, "henb-2.example");
    X509_REQ_free(csr);
}

static void a_key_of_any_algorithm_is_kept_when_none_is_asked_for(void **state)
{
    ProvisionBench *bench = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;

    bench->options.algorithm = TPM_KEY_ECDSA_P384;
    bench->options.algorithm_given = true;
    assert_int_equal(provision_init(&bench->options), 0);
    before = state_text(bench, STATE_KEY);
    bench->options.algorithm = TPM_KEY_ECDSA_P256; /* the default */
    bench->options.algorithm_given = false;
    assert_int_equal(provision_init(&bench->options), 0);
    after = state_text(bench, STATE_KEY);
    assert_string_equal(before, after);
}

static void force_makes_a_new_key(void **state)
{
    ProvisionBench *bench = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;

    assert_int_equal(provision_init(&bench->options), 0);
    before = state_text(bench, STATE_KEY);
    bench->options.force = true;
    assert_int_equal(provision_init(&bench->options), 0);
    after = state_text(bench, STATE_KEY);
    assert_string_not_equal(before, after);
}

static void a_key_of_another_algorithm_or_a_damaged_one_stays_without_force(void **state)
{
    ProvisionBench *bench = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;
    static const uint8_t junk[] = {'j', 'u', 'n', 'k'};

    assert_int_equal(provision_init(&bench->options), 0);
    before = state_text(bench, STATE_KEY);
    bench->options.algorithm = TPM_KEY_RSA_2048;
    bench->options.algorithm_given = true;
    assert_int_equal(provision_init(&bench->options), -EEXIST);
    after = state_text(bench, STATE_KEY);
    assert_string_equal(before, after);

    assert_int_equal(state_write(&bench->options, STATE_KEY, BYTES_OF(junk), 0640), 0);
    assert_int_equal(provision_init(&bench->options), -EINVAL);
    free(after);
    after = state_text(bench, STATE_KEY);
    assert_string_equal(after, "junk");
}

static void a_key_from_another_tpm_stays_and_is_refused(void **state)
{
    ProvisionBench *bench = *state;
    _cleanup_(free_charp) char *key = NULL;
    Swtpm other;

    assert_int_equal(provision_init(&bench->options), 0);
    key = state_text(bench, STATE_KEY);
    assert_int_equal(swtpm_start(&other), 0);
    bench->options.tcti = other.tcti;
    assert_int_equal(provision_init(&bench->options), -ESTALE);
    swtpm_stop(&other);
    free(key);
    key = state_text(bench, STATE_KEY);
    assert_non_null(key);
}

static void without_a_tpm_nothing_is_written(void **state)
{
    ProvisionBench *bench = *state;

    bench->options.tcti = "swtpm:path=/nowhere/tpm";
    assert_int_equal(provision_init(&bench->options), -ENODEV);
    assert_int_equal(state_count(bench), 0);
}

static void a_name_that_is_no_fqdn_is_refused_before_anything_is_made(void **state)
{
    static const char *const names[] = {"", "a b", "*.example", "henb_1.example", "DNS:x,DNS:y"};
    ProvisionBench *bench = *state;

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        bench->options.fqdn = names[i];
        assert_int_equal(provision_init(&bench->options), -EINVAL);
    }
    assert_int_equal(state_mode(bench, "."), 0);
}

static void a_name_too_long_for_a_common_name_is_in_the_alt_name_all_the_same(void **state)
{
    static const char name[] = "a-label-that-is-quite-long.another-label-that-is-quite-long."
                               "and-a-third-one.example";
    ProvisionBench *bench = *state;
    X509_REQ *csr;

    bench->options.fqdn = name;
    assert_int_equal(provision_init(&bench->options), 0);
    csr = csr_read(bench);
    assert_csr_asks_for(csr, name);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(csr)), 0);
    X509_REQ_free(csr);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_init, bench_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(each_algorithm_yields_a_key_and_a_csr_that_verifies),
        BENCH_TEST(a_second_run_keeps_the_key_and_renews_the_csr),
        BENCH_TEST(a_key_of_any_algorithm_is_kept_when_none_is_asked_for),
        BENCH_TEST(force_makes_a_new_key),
        BENCH_TEST(a_key_of_another_algorithm_or_a_damaged_one_stays_without_force),
        BENCH_TEST(a_key_from_another_tpm_stays_and_is_refused),
        BENCH_TEST(without_a_tpm_nothing_is_written),
        BENCH_TEST(a_name_that_is_no_fqdn_is_refused_before_anything_is_made),
        BENCH_TEST(a_name_too_long_for_a_common_name_is_in_the_alt_name_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Is the EK the one that the vendor certified, and is a TPM without that told so? */
#include "base/reason.h"
#include "endorsement_fixture.h"
#include "provisioning/endorsement.h"
#include "tpm/open.h"
#include "tpm_bench.h"
#include "verify/certificates.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { EK_CERTIFICATE_RSA = 0x01c00002, EK_CERTIFICATE_ECC = 0x01c0000a };

static TpmVendor vendor;

static int group_init(void **state)
{
    vendor = vendor_new("Vendor");
    return bench_init(state);
}

static int group_deinit(void **state)
{
    vendor_deinit(&vendor);
    return bench_deinit(state);
}

static int indices_remove(void **state)
{
    (void)state;
    vendor_nv_remove(bench.tpm, EK_CERTIFICATE_RSA);
    vendor_nv_remove(bench.tpm, EK_CERTIFICATE_ECC);
    return 0;
}

static void a_tpm_without_ek_certificate_is_told_so(void **state)
{
    Reason reason = {0};
    Endorsement *ek = NULL;

    (void)state;
    assert_int_equal(endorsement_open(bench.tpm, &ek, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "holds no EK certificate"));
    assert_null(ek);
}

static void the_ek_of_each_template_is_found_with_its_certificate(void **state)
{
    (void)state;
    /* RSA first: the ECC one is taken where both are there. */
    for (int i = ENDORSEMENT_TEMPLATES - 1; i >= 0; i--) {
        Reason reason = {0};
        Endorsement *ek = NULL;
        EndorsementTemplate template;

        vendor_certify(&vendor, bench.tpm, (EndorsementTemplate)i);
        if (endorsement_open(bench.tpm, &ek, &reason) < 0)
            fail_msg("%s", reason.text);
        assert_int_equal(ek->template, i);
        assert_int_equal(endorsement_template_of(&ek->public, &template), 0);
        assert_int_equal(template, i);
        assert_true(endorsement_certificate_fits(ek->certificate, &ek->public));
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
        endorsement_free(ek);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    }
}

static void what_a_vendor_fills_the_index_up_with_does_no_harm(void **state)
{
    unsigned char padded[1600];
    Reason reason = {0};
    Endorsement *ek = NULL;
    unsigned char *end = padded;
    X509 *certificate;
    TPM2B_PUBLIC public;
    TpmObject object = {0};
    PkiSpec spec;

    (void)state;
    memset(padded, 0xff, sizeof(padded));
    assert_int_equal(
        endorsement_key_make(bench.tpm, ENDORSEMENT_ECC_P256, &object, &public, &reason), 0);
    tpm_object_release(bench.tpm, &object);
    spec = vendor_ek_spec(&public);
    certificate = vendor_issue(&vendor, &spec);
    assert_true(i2d_X509(certificate, NULL) < (int)sizeof(padded));
    (void)i2d_X509(certificate, &end);
    vendor_nv_write(bench.tpm, ENDORSEMENT_ECC_P256, padded, sizeof(padded));
    if (endorsement_open(bench.tpm, &ek, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(X509_cmp(ek->certificate, certificate), 0);
    endorsement_free(ek);
    X509_free(certificate);
}

static void a_certificate_for_another_ek_is_refused_and_frees_the_slot(void **state)
{
    const PkiSpec spec = {.common_name = "Other TPM", .key_usage = "critical,keyAgreement"};
    Reason reason = {0};
    Endorsement *ek = NULL;
    unsigned char *der = NULL;
    X509 *certificate = vendor_issue(&vendor, &spec);
    int size = i2d_X509(certificate, &der);

    (void)state;
    vendor_nv_write(bench.tpm, ENDORSEMENT_ECC_P256, der, (size_t)size);
    assert_int_equal(endorsement_open(bench.tpm, &ek, &reason), -EKEYREJECTED);
    assert_non_null(strstr(reason.text, "is not for the EK that this TPM makes"));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    OPENSSL_free(der);
    X509_free(certificate);
}

static void an_index_with_no_certificate_or_too_much_is_refused(void **state)
{
    static const unsigned char junk[] = {0x30, 0x82, 1, 2, 3};
    static const unsigned char large[ENDORSEMENT_CERTIFICATE_MAX] = {0x30};
    Reason reason = {0};
    Endorsement *ek = NULL;

    (void)state;
    vendor_nv_write(bench.tpm, ENDORSEMENT_ECC_P256, junk, sizeof(junk));
    assert_int_equal(endorsement_open(bench.tpm, &ek, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "0x01c0000a holds is not an X.509 certificate"));
    vendor_nv_write(bench.tpm, ENDORSEMENT_RSA_2048, large, 2048);
    vendor_nv_remove(bench.tpm, EK_CERTIFICATE_ECC);
    assert_int_equal(endorsement_open(bench.tpm, &ek, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "0x01c00002 holds is not an X.509 certificate"));
}

/* What is not the template to the letter, a vendor does not make. */
static void an_area_that_differs_from_the_template_is_no_ek(void **state)
{
    Reason reason = {0};
    EndorsementTemplate template;
    TPM2B_PUBLIC public;
    TPM2B_PUBLIC other;
    TpmObject object = {0};

    (void)state;
    assert_int_equal(
        endorsement_key_make(bench.tpm, ENDORSEMENT_ECC_P256, &object, &public, &reason), 0);
    tpm_object_release(bench.tpm, &object);
    other = public;
    other.publicArea.objectAttributes ^= TPMA_OBJECT_RESTRICTED;
    assert_int_equal(endorsement_template_of(&other, &template), -EINVAL);
    other = public;
    other.publicArea.authPolicy.buffer[0] ^= 1;
    assert_int_equal(endorsement_template_of(&other, &template), -EINVAL);
    other = public;
    other.publicArea.parameters.eccDetail.symmetric.keyBits.aes = 256;
    assert_int_equal(endorsement_template_of(&other, &template), -EINVAL);
    other = public;
    other.publicArea.type = TPM2_ALG_KEYEDHASH;
    assert_int_equal(endorsement_template_of(&other, &template), -EINVAL);
    assert_int_equal(endorsement_template_of(&public, &template), 0);
}

/* swtpm_setup stands for the vendor's line: it knows nothing of our template. */
static void the_certificate_that_swtpm_setup_wrote_is_for_our_ek_and_has_its_chain(void **state)
{
    Reason reason = {0};
    char path[128];
    _cleanup_(certificates_freep) STACK_OF(X509) *anchors = NULL;
    _cleanup_(certificates_freep) STACK_OF(X509) *root = NULL;
    Endorsement *ek = NULL;
    Swtpm swtpm;
    Tpm *tpm = NULL;

    (void)state;
    assert_int_equal(swtpm_start_certified(&swtpm), 0);
    (void)snprintf(path, sizeof(path), "%s/" SWTPM_CA ".pem", swtpm.folder);
    assert_int_equal(certificates_read(path, &anchors, &reason), 0);
    (void)snprintf(path, sizeof(path), "%s/" SWTPM_CA_ROOT, swtpm.folder);
    assert_int_equal(certificates_read(path, &root, &reason), 0);
    assert_true(sk_X509_push(anchors, sk_X509_shift(root)) > 0);
    assert_int_equal(tpm_open(swtpm.tcti, &tpm, &reason), 0);
    if (endorsement_open(tpm, &ek, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(ek->template, ENDORSEMENT_RSA_2048);
    if (endorsement_certificate_check(ek->certificate, &ek->public, anchors, &reason) < 0)
        fail_msg("%s", reason.text);
    endorsement_free(ek);
    tpm_close(tpm);
    swtpm_stop(&swtpm);
}

#define EK_TEST(name) cmocka_unit_test_teardown(name, indices_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EK_TEST(a_tpm_without_ek_certificate_is_told_so),
        EK_TEST(the_ek_of_each_template_is_found_with_its_certificate),
        EK_TEST(what_a_vendor_fills_the_index_up_with_does_no_harm),
        EK_TEST(a_certificate_for_another_ek_is_refused_and_frees_the_slot),
        EK_TEST(an_index_with_no_certificate_or_too_much_is_refused),
        EK_TEST(an_area_that_differs_from_the_template_is_no_ek),
        EK_TEST(the_certificate_that_swtpm_setup_wrote_is_for_our_ek_and_has_its_chain),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

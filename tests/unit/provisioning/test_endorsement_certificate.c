/* Is an EK certificate taken from a vendor alone, and for an EK alone? No TPM is needed. */
#include "base/reason.h"
#include "endorsement_fixture.h"
#include "provisioning/endorsement.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static TpmVendor vendor;
static TPM2B_PUBLIC ecc;
static TPM2B_PUBLIC rsa;

static void ecc_fill(TPM2B_PUBLIC *ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    TPMS_ECC_POINT *q = &ret->publicArea.unique.ecc;
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;

    *ret = (TPM2B_PUBLIC){
        .publicArea = {.type = TPM2_ALG_ECC, .parameters.eccDetail.curveID = TPM2_ECC_NIST_P256},
    };
    assert_int_equal(EVP_PKEY_get_bn_param(key, "qx", &x), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(key, "qy", &y), 1);
    q->x.size = (UINT16)BN_bn2bin(x, q->x.buffer);
    q->y.size = (UINT16)BN_bn2bin(y, q->y.buffer);
    BN_free(x);
    BN_free(y);
    EVP_PKEY_free(key);
}

static void rsa_fill(TPM2B_PUBLIC *ret)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    TPM2B_PUBLIC_KEY_RSA *modulus = &ret->publicArea.unique.rsa;
    BIGNUM *n = NULL;

    *ret = (TPM2B_PUBLIC){
        .publicArea = {.type = TPM2_ALG_RSA, .parameters.rsaDetail.keyBits = 2048},
    };
    assert_int_equal(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    modulus->size = (UINT16)BN_bn2bin(n, modulus->buffer);
    BN_free(n);
    EVP_PKEY_free(key);
}

static int group_init(void **state)
{
    (void)state;
    vendor = vendor_new("Vendor");
    ecc_fill(&ecc);
    rsa_fill(&rsa);
    return 0;
}

static int group_deinit(void **state)
{
    (void)state;
    vendor_deinit(&vendor);
    return 0;
}

/* Issues what `spec` says, and wants it refused with a sentence that has `words`; NULL: taken. */
static void assert_judged(const TpmVendor *issuer, PkiSpec spec, const TPM2B_PUBLIC *public,
                          const char *words)
{
    Reason reason = {0};
    X509 *certificate = vendor_issue(issuer, &spec);
    int r = endorsement_certificate_check(certificate, public, vendor.anchors, &reason);

    X509_free(certificate);
    if (words) {
        assert_int_equal(r, -EKEYREJECTED);
        if (!strstr(reason.text, words))
            fail_msg("'%s' is not in '%s'", words, reason.text);
    } else if (r < 0) {
        fail_msg("%s", reason.text);
    }
}

static void a_vendors_certificate_is_taken_for_either_kind_of_key(void **state)
{
    (void)state;
    assert_judged(&vendor, vendor_ek_spec(&ecc), &ecc, NULL);
    assert_judged(&vendor, vendor_ek_spec(&rsa), &rsa, NULL);
}

static void a_root_that_is_not_trusted_is_refused_by_name(void **state)
{
    TpmVendor unknown = vendor_new("Vendor"); /* of the same name */

    (void)state;
    assert_judged(&unknown, vendor_ek_spec(&ecc), &ecc, "is missing");
    pki_deinit(&unknown.issuer);
    unknown.issuer = pki_intermediate("Unknown issuer", &unknown.root);
    assert_judged(&unknown, vendor_ek_spec(&ecc), &ecc, "its issuer 'O=Test, CN=Unknown issuer'");
    (void)sk_X509_pop(unknown.anchors);
    (void)sk_X509_push(unknown.anchors, unknown.issuer.certificate);
    vendor_deinit(&unknown);
}

/* An issuer that is in the file without its root vouches for nothing. */
static void an_issuer_without_its_root_is_no_anchor(void **state)
{
    STACK_OF(X509) *issuer_alone = sk_X509_new_null();
    PkiSpec spec = vendor_ek_spec(&ecc);
    X509 *certificate = vendor_issue(&vendor, &spec);
    Reason reason = {0};

    (void)state;
    assert_true(sk_X509_push(issuer_alone, vendor.issuer.certificate) > 0);
    assert_int_equal(endorsement_certificate_check(certificate, &ecc, issuer_alone, &reason),
                     -EKEYREJECTED);
    assert_non_null(strstr(reason.text, "its issuer 'O=Test, CN=Vendor' is missing"));
    sk_X509_free(issuer_alone);
    X509_free(certificate);
}

static void a_certificate_for_another_ek_is_refused(void **state)
{
    TPM2B_PUBLIC other;

    (void)state;
    ecc_fill(&other);
    assert_judged(&vendor, vendor_ek_spec(&other), &ecc, "for another EK than the request's");
    assert_judged(&vendor, vendor_ek_spec(&rsa), &ecc, "for another EK than the request's");
}

/* Vendors' authorities certify other keys too, which may be in software. */
static void what_a_vendor_certified_for_another_purpose_is_refused(void **state)
{
    PkiSpec spec = vendor_ek_spec(&ecc);

    (void)state;
    spec.extended_usage = "serverAuth";
    assert_judged(&vendor, spec, &ecc, "extendedKeyUsage lacks 2.23.133.8.1");
    spec = vendor_ek_spec(&ecc);
    spec.extended_usage = "2.23.133.8.10";
    assert_judged(&vendor, spec, &ecc, "extendedKeyUsage lacks 2.23.133.8.1");
    spec = vendor_ek_spec(&ecc);
    spec.extended_usage = NULL;
    assert_judged(&vendor, spec, &ecc, "extendedKeyUsage lacks 2.23.133.8.1");
    spec = vendor_ek_spec(&ecc);
    spec.key_usage = "critical,digitalSignature";
    assert_judged(&vendor, spec, &ecc, "keyUsage lacks keyAgreement");
    spec = vendor_ek_spec(&rsa);
    spec.key_usage = NULL;
    assert_judged(&vendor, spec, &rsa, "keyUsage lacks keyEncipherment");
    spec = vendor_ek_spec(&ecc);
    spec.basic_constraints = "critical,CA:TRUE";
    assert_judged(&vendor, spec, &ecc, "is a CA's, not an EK's");
}

static void a_certificate_out_of_its_time_or_weakly_signed_is_refused(void **state)
{
    PkiSpec spec = vendor_ek_spec(&ecc);

    (void)state;
    spec.valid_from = -2L * PKI_DAY;
    spec.valid_until = -PKI_HOUR;
    assert_judged(&vendor, spec, &ecc, "certificate has expired, at 'O=Test, CN=TPM'");
    spec = vendor_ek_spec(&ecc);
    spec.valid_from = PKI_HOUR;
    assert_judged(&vendor, spec, &ecc, "certificate is not yet valid");
    spec = vendor_ek_spec(&ecc);
    spec.digest = "SHA1";
    assert_judged(&vendor, spec, &ecc, "CA signature digest algorithm too weak");
}

static void one_changed_octet_breaks_the_chain(void **state)
{
    PkiSpec spec = vendor_ek_spec(&ecc);
    X509 *certificate = vendor_issue(&vendor, &spec);
    Reason reason = {0};
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    X509 *changed = NULL;

    (void)state;
    der[size - 1] ^= 1; /* the signature's end */
    assert_int_equal(endorsement_certificate_decode((Bytes){der, (size_t)size}, &changed), 0);
    assert_int_equal(endorsement_certificate_check(changed, &ecc, vendor.anchors, &reason),
                     -EKEYREJECTED);
    assert_non_null(strstr(reason.text, "certificate signature failure"));
    X509_free(changed);
    X509_free(certificate);
    OPENSSL_free(der);
}

static void only_one_whole_certificate_is_read(void **state)
{
    static const uint8_t large[ENDORSEMENT_CERTIFICATE_MAX + 1] = {0x30};
    PkiSpec spec = vendor_ek_spec(&ecc);
    X509 *certificate = vendor_issue(&vendor, &spec);
    uint8_t octets[2048];
    unsigned char *end = octets;
    X509 *read = NULL;
    size_t size;

    (void)state;
    (void)i2d_X509(certificate, &end);
    size = (size_t)(end - octets);
    assert_int_equal(endorsement_certificate_decode((Bytes){octets, size}, &read), 0);
    assert_int_equal(X509_cmp(read, certificate), 0);
    X509_free(read);
    assert_int_equal(endorsement_certificate_decode((Bytes){octets, size + 1}, &read), -EINVAL);
    assert_int_equal(endorsement_certificate_decode((Bytes){octets, size - 1}, &read), -EINVAL);
    assert_int_equal(endorsement_certificate_decode((Bytes){octets, 0}, &read), -EINVAL);
    assert_int_equal(endorsement_certificate_decode(BYTES_OF(large), &read), -EINVAL);
    X509_free(certificate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vendors_certificate_is_taken_for_either_kind_of_key),
        cmocka_unit_test(a_root_that_is_not_trusted_is_refused_by_name),
        cmocka_unit_test(an_issuer_without_its_root_is_no_anchor),
        cmocka_unit_test(a_certificate_for_another_ek_is_refused),
        cmocka_unit_test(what_a_vendor_certified_for_another_purpose_is_refused),
        cmocka_unit_test(a_certificate_out_of_its_time_or_weakly_signed_is_refused),
        cmocka_unit_test(one_changed_octet_breaks_the_chain),
        cmocka_unit_test(only_one_whole_certificate_is_read),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}

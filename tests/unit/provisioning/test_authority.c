/* Is a device's certificate what 3GPP's profile asks for, and is an authority that can't make one
 * refused? */
#include "base/reason.h"
#include "pki_fixture.h"
#include "provisioning/authority.h"
#include "temporary.h"
#include "verify/profile.h"

#include "base/file_write.h"
#include "no_random.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

#define FQDN "henb-1.example"

static PkiSpec authority_spec(const char *key)
{
    return (PkiSpec){
        .common_name = "Devices",
        .key = key,
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign,cRLSign",
        .valid_until = 400L * PKI_DAY,
    };
}

static int authority_of(const Pki *pki, Authority **ret, Reason *reason)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    int r;

    (void)sk_X509_push(certificates, pki->certificate);
    r = authority_new(certificates, pki->key, ret, reason);
    sk_X509_free(certificates);
    return r;
}

/* A certificate of an authority with a key of this type; the rest is sound. */
static X509 *issue(const char *key, const char *fqdn, const char *serial, unsigned days, Pki *ret)
{
    const PkiSpec spec = authority_spec(key);
    Reason reason = {0};
    EVP_PKEY *device = EVP_EC_gen("P-256");
    STACK_OF(X509) *chain = NULL;
    Authority *authority = NULL;
    X509 *certificate;

    *ret = pki_issue(&spec, NULL);
    if (authority_of(ret, &authority, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(authority_issue(authority, device, fqdn, serial, days, &chain), 0);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(chain, 0)), device), 1);
    assert_int_equal(sk_X509_num(chain), 1); /* a self-signed issuer is not sent along */
    certificate = sk_X509_shift(chain);
    sk_X509_free(chain);
    authority_free(authority);
    EVP_PKEY_free(device);
    return certificate;
}

static void a_certificate_has_all_that_the_profile_asks_for(void **state)
{
    Pki pki;
    X509 *certificate = issue("P-256", FQDN, "SN-1", 90, &pki);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    const X509_EXTENSION *usage;
    int days = 0;
    int seconds = 0;
    char subject[100];

    (void)state;
    assert_int_equal(X509_verify(certificate, pki.key), 1);
    assert_null(profile_end_entity_flaw(certificate));
    assert_null(profile_signature_flaw(certificate));
    assert_true(certificate_has_fqdn(certificate, FQDN));
    assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
    usage = X509_get_ext(certificate, X509_get_ext_by_NID(certificate, NID_key_usage, -1));
    assert_int_equal(X509_EXTENSION_get_critical(usage), 1);
    assert_true(X509_get_extension_flags(certificate) & EXFLAG_BCONS);
    assert_int_equal(X509_check_ca(certificate), 0);
    assert_non_null(X509_get0_subject_key_id(certificate));
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(certificate),
                                           X509_get0_subject_key_id(pki.certificate)),
                     0);
    assert_int_equal(X509_check_issued(pki.certificate, certificate), X509_V_OK);
    assert_int_equal(ASN1_STRING_length(serial), 16);
    assert_int_equal(ASN1_STRING_type(serial), V_ASN1_INTEGER); /* not negative */
    assert_int_equal(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(certificate),
                                    X509_get0_notAfter(certificate)),
                     1);
    assert_int_equal(days, 90);
    assert_true(X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0);
    certificate_subject(certificate, subject, sizeof(subject));
    assert_string_equal(subject, "CN=" FQDN ", serialNumber=SN-1");
    X509_free(certificate);
    pki_deinit(&pki);
}

static void the_hash_goes_with_the_authoritys_key(void **state)
{
    static const struct {
        const char *key;
        int signature;
    } keys[] = {
        {"P-256", NID_ecdsa_with_SHA256},
        {"P-384", NID_ecdsa_with_SHA384},
        {"RSA-2048", NID_sha256WithRSAEncryption},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        Pki pki;
        X509 *certificate = issue(keys[i].key, FQDN, "", 1, &pki);

        assert_int_equal(X509_verify(certificate, pki.key), 1);
        assert_int_equal(X509_get_signature_nid(certificate), keys[i].signature);
        X509_free(certificate);
        pki_deinit(&pki);
    }
}

static void without_random_numbers_there_is_no_certificate(void **state)
{
    const PkiSpec spec = authority_spec("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    Pki pki = pki_issue(&spec, NULL);
    Authority *authority = NULL;
    Reason reason = {0};

    (void)state;
    assert_int_equal(authority_of(&pki, &authority, &reason), 0);
    for (int says = 0; says >= -1; says--) {
        STACK_OF(X509) *chain = NULL;

        no_random_begin(1, says);
        const int r = authority_issue(authority, key, FQDN, "", 1, &chain);
        assert_true(no_random_end());
        assert_int_equal(r, -EIO);
        assert_null(chain);
    }
    authority_free(authority);
    EVP_PKEY_free(key);
    pki_deinit(&pki);
}

static void serial_numbers_do_not_repeat(void **state)
{
    enum { SERIAL_SIZE = 16 };
    ASN1_INTEGER *seen[VARYING_DRAWS];
    uint8_t octets[VARYING_DRAWS][SERIAL_SIZE];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(seen); i++) {
        Pki pki;
        X509 *certificate = issue("P-256", FQDN, "", 1, &pki);

        seen[i] = ASN1_INTEGER_dup(X509_get0_serialNumber(certificate));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ASN1_INTEGER_cmp(seen[i], seen[j]), 0);
        assert_int_equal(ASN1_STRING_length(seen[i]), SERIAL_SIZE);
        memcpy(octets[i], ASN1_STRING_get0_data(seen[i]), SERIAL_SIZE);
        X509_free(certificate);
        pki_deinit(&pki);
    }
    assert_each_octet_varies(octets, SERIAL_SIZE);
    for (size_t i = 0; i < ELEMENTS(seen); i++)
        ASN1_INTEGER_free(seen[i]);
}

static void a_certificate_does_not_outlive_its_issuers(void **state)
{
    Pki pki;
    X509 *certificate = issue("P-256", FQDN, "", AUTHORITY_DAYS_DEFAULT, &pki);

    (void)state;
    assert_int_equal(
        ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(pki.certificate)), 0);
    X509_free(certificate);
    pki_deinit(&pki);
}

/* RFC 5280 4.2.1.6. */
static void a_name_too_long_for_a_subject_makes_the_alt_name_critical(void **state)
{
    static const char name[] = "a-label-that-is-quite-long.another-label-that-is-quite-long."
                               "and-a-third-one.example";
    Pki pki;
    X509 *certificate = issue("P-256", name, "", 1, &pki);
    const X509_EXTENSION *names =
        X509_get_ext(certificate, X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1));

    (void)state;
    assert_true(certificate_has_fqdn(certificate, name));
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(certificate)), 0);
    assert_int_equal(X509_EXTENSION_get_critical(names), 1);
    X509_free(certificate);
    pki_deinit(&pki);
}

static void assert_refused(const Pki *pki, const char *words)
{
    Reason reason = {0};
    Authority *authority = NULL;

    assert_true(authority_of(pki, &authority, &reason) < 0);
    if (!strstr(reason.text, words))
        fail_msg("'%s' is not in '%s'", words, reason.text);
    assert_null(authority);
}

static void an_authority_that_may_not_issue_is_refused(void **state)
{
    PkiSpec spec = authority_spec("P-256");
    Pki pki;
    Pki other;

    (void)state;
    spec.basic_constraints = NULL;
    pki = pki_issue(&spec, NULL);
    assert_refused(&pki, "(O=Test, CN=Devices) is not a CA's");
    pki_deinit(&pki);

    spec = authority_spec("P-256");
    spec.valid_from = -2L * PKI_DAY;
    spec.valid_until = -PKI_HOUR;
    pki = pki_issue(&spec, NULL);
    assert_refused(&pki, "has expired");
    pki_deinit(&pki);

    spec = authority_spec("ED25519");
    pki = pki_issue(&spec, NULL);
    assert_refused(&pki, "neither RSA nor ECDSA");
    pki_deinit(&pki);

    spec = authority_spec("P-256");
    pki = pki_issue(&spec, NULL);
    other = pki_issue(&spec, NULL);
    X509_free(pki.certificate);
    pki.certificate = X509_dup(other.certificate);
    assert_refused(&pki, "none of the authority's certificates is for its key");
    pki_deinit(&other);
    pki_deinit(&pki);
}

static void a_term_out_of_bounds_is_refused(void **state)
{
    const PkiSpec spec = authority_spec("P-256");
    Reason reason = {0};
    Pki pki = pki_issue(&spec, NULL);
    STACK_OF(X509) *chain = NULL;
    Authority *authority = NULL;

    (void)state;
    assert_int_equal(authority_of(&pki, &authority, &reason), 0);
    assert_int_equal(authority_issue(authority, pki.key, FQDN, "", 0, &chain), -EINVAL);
    assert_int_equal(authority_issue(authority, pki.key, FQDN, "", AUTHORITY_DAYS_MAX + 1, &chain),
                     -EINVAL);
    assert_null(chain);
    authority_free(authority);
    pki_deinit(&pki);
}

static char *pem_of(const Pki *pki, bool certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    char *copy;
    long size;

    if (certificate) {
        assert_int_equal(PEM_write_bio_X509(bio, pki->certificate), 1);
    } else {
        assert_int_equal(PEM_write_bio_PrivateKey(bio, pki->key, NULL, NULL, 0, NULL, NULL), 1);
    }
    size = BIO_get_mem_data(bio, &text);
    copy = strndup(text, (size_t)size);
    BIO_free(bio);
    return copy;
}

static void an_authority_is_read_from_its_two_files(void **state)
{
    const PkiSpec spec = authority_spec("P-256");
    Reason reason = {0};
    Pki pki = pki_issue(&spec, NULL);
    _cleanup_(free_charp) char *certificate = pem_of(&pki, true);
    _cleanup_(free_charp) char *key = pem_of(&pki, false);
    char certificate_path[TEMPORARY_PATH_SIZE];
    char key_path[TEMPORARY_PATH_SIZE];
    Authority *authority = NULL;

    (void)state;
    temporary_path("test-authority", certificate_path);
    temporary_path("test-authority", key_path);
    assert_int_equal(close(mkstemp(certificate_path)), 0);
    assert_int_equal(close(mkstemp(key_path)), 0);
    assert_int_equal(file_write_atomic(certificate_path,
                                       (Bytes){(const uint8_t *)certificate, strlen(certificate)},
                                       0600),
                     0);
    assert_int_equal(file_write_atomic(key_path, (Bytes){(const uint8_t *)key, strlen(key)}, 0600),
                     0);
    assert_int_equal(authority_read(certificate_path, key_path, &authority, &reason), 0);
    authority_free(authority);
    authority = NULL;
    assert_int_equal(authority_read(certificate_path, certificate_path, &authority, &reason),
                     -EINVAL);
    assert_non_null(strstr(reason.text, "holds no private key in PEM"));
    assert_int_equal(authority_read(certificate_path, "/nowhere/key", &authority, &reason),
                     -ENOENT);
    assert_int_equal(unlink(certificate_path) + unlink(key_path), 0);
    pki_deinit(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_has_all_that_the_profile_asks_for),
        cmocka_unit_test(the_hash_goes_with_the_authoritys_key),
        cmocka_unit_test(serial_numbers_do_not_repeat),
        cmocka_unit_test(without_random_numbers_there_is_no_certificate),
        cmocka_unit_test(a_certificate_does_not_outlive_its_issuers),
        cmocka_unit_test(a_name_too_long_for_a_subject_makes_the_alt_name_critical),
        cmocka_unit_test(an_authority_that_may_not_issue_is_refused),
        cmocka_unit_test(a_term_out_of_bounds_is_refused),
        cmocka_unit_test(an_authority_is_read_from_its_two_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

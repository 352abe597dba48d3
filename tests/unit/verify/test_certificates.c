/* Are all certificates of a file read, the bad one named, chains put in order, and names taken
 * exactly? */
#include "verify/certificates.h"

#include "pki_fixture.h"
#include "temporary.h"

#include "base/cleanup.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static Pki root, intermediate, leaf;

static int pki_init(void **state)
{
    PkiSpec spec = pki_segw_spec("segw.example");

    (void)state;
    root = pki_root("Root");
    intermediate = pki_intermediate("Intermediate", &root);
    leaf = pki_issue(&spec, &intermediate);
    return 0;
}

static int pki_end(void **state)
{
    (void)state;
    pki_deinit(&root);
    pki_deinit(&intermediate);
    pki_deinit(&leaf);
    return 0;
}

/* A file in the making. */
static void add_pem(BIO *file, const Pki *pki)
{
    assert_int_equal(PEM_write_bio_X509(file, pki->certificate), 1);
}

static void add_der(BIO *file, const Pki *pki)
{
    assert_int_equal(i2d_X509_bio(file, pki->certificate), 1);
}

static void add_text(BIO *file, const char *text)
{
    assert_int_equal(BIO_puts(file, text), (int)strlen(text));
}

static int decode(BIO *file, STACK_OF(X509) **ret, Reason *reason)
{
    char *data = NULL;
    const long size = BIO_get_mem_data(file, &data);

    return certificates_decode((Bytes){(const uint8_t *)data, (size_t)size}, "file.pem", ret,
                               reason);
}

static void assert_refused(BIO *file, const char *why)
{
    Reason reason = {0};
    STACK_OF(X509) *certificates = NULL;

    assert_int_equal(decode(file, &certificates, &reason), -EINVAL);
    assert_null(certificates);
    if (!strstr(reason.text, why) || !strstr(reason.text, "file.pem"))
        fail_msg("'%s' does not say '%s'", reason.text, why);
    BIO_free(file);
}

static void pem_blocks_with_text_between_are_all_read(void **state)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    Reason reason = {0};
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    add_text(file, "0 s:CN = this text starts as DER does\n");
    add_pem(file, &intermediate);
    add_text(file, "\n\nthe root, and no newline after\r\n");
    add_pem(file, &root);
    add_pem(file, &leaf);
    add_text(file, "the end -----BEGIN CERTIFICATE----- not at a line's start");
    assert_int_equal(decode(file, &certificates, &reason), 0);
    assert_int_equal(sk_X509_num(certificates), 3);
    assert_int_equal(X509_cmp(sk_X509_value(certificates, 0), intermediate.certificate), 0);
    assert_int_equal(X509_cmp(sk_X509_value(certificates, 2), leaf.certificate), 0);
    BIO_free(file);
}

/* Two certificates as PEM, each line changed by `change` on its way. */
static BIO *two_changed(void (*change)(BIO *file, const char *line))
{
    BIO *file = BIO_new(BIO_s_mem()), *changed = BIO_new(BIO_s_mem());
    char line[256];

    assert_true(file && changed);
    add_pem(file, &root);
    add_pem(file, &leaf);
    while (BIO_gets(file, line, sizeof(line)) > 0)
        change(changed, line);
    BIO_free(file);
    return changed;
}

static void with_a_byte_order_mark(BIO *file, const char *line)
{
    if (BIO_ctrl_pending(file) == 0)
        add_text(file, "\xef\xbb\xbf");
    add_text(file, line);
}

static void with_blanks_before(BIO *file, const char *line)
{
    add_text(file, " \t");
    add_text(file, line);
}

static void with_cr_alone(BIO *file, const char *line)
{
    assert_true(BIO_write(file, line, (int)strlen(line) - 1) > 0);
    add_text(file, "\r");
}

static void with_cr_lf(BIO *file, const char *line)
{
    assert_true(BIO_write(file, line, (int)strlen(line) - 1) > 0);
    add_text(file, "\r\n");
}

static void no_pem_block_is_passed_over_for_the_form_of_its_lines(void **state)
{
    static void (*const changes[])(BIO * file, const char *line) = {
        with_a_byte_order_mark, with_blanks_before, with_cr_alone, with_cr_lf};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(changes); i++) {
        BIO *file = two_changed(changes[i]);
        STACK_OF(X509) *certificates = NULL;
        Reason reason = {0};

        if (decode(file, &certificates, &reason) != 0 || sk_X509_num(certificates) != 2)
            fail_msg("change %zu: %d certificates, '%s'", i, sk_X509_num(certificates),
                     reason.text);
        assert_int_equal(X509_cmp(sk_X509_value(certificates, 0), root.certificate), 0);
        assert_int_equal(X509_cmp(sk_X509_value(certificates, 1), leaf.certificate), 0);
        sk_X509_pop_free(certificates, X509_free);
        BIO_free(file);
    }
}

static PKCS7 *pkcs7_new(void)
{
    PKCS7 *pkcs7 = PKCS7_new();

    assert_non_null(pkcs7);
    assert_int_equal(PKCS7_set_type(pkcs7, NID_pkcs7_signed), 1);
    assert_int_equal(PKCS7_content_new(pkcs7, NID_pkcs7_data), 1);
    assert_int_equal(PKCS7_add_certificate(pkcs7, leaf.certificate), 1);
    return pkcs7;
}

static void what_is_of_another_form_is_told_with_how_to_convert_it(void **state)
{
    PKCS12 *pkcs12 = PKCS12_create("x", "x", leaf.key, leaf.certificate, NULL, 0, 0, 0, 0, 0);
    PKCS7 *pkcs7 = pkcs7_new();
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    assert_int_equal(i2d_PKCS7_bio(file, pkcs7), 1);
    assert_refused(file, "It is PKCS #7");
    file = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS7(file, pkcs7), 1);
    assert_refused(file, "openssl pkcs7 -print_certs");
    file = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(file, PEM_STRING_CMS, "", (const unsigned char *)"0", 1) > 0);
    assert_refused(file, "openssl pkcs7 -print_certs");
    file = BIO_new(BIO_s_mem());
    assert_int_equal(i2d_PKCS12_bio(file, pkcs12), 1);
    assert_refused(file, "openssl pkcs12 -nokeys");
    file = BIO_new(BIO_s_mem());
    assert_int_equal(BIO_write(file, "\xff\xfe-\0-\0", 6), 6);
    assert_refused(file, "UTF-16");
    PKCS7_free(pkcs7);
    PKCS12_free(pkcs12);
}

/* A frame with control characters is refused whole, and the bus takes UTF-8 alone. */
static void what_a_block_calls_itself_is_told_in_plain_characters(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    assert_true(PEM_write_bio(file, "X\x01\x7f\xff~ Y", "", (const unsigned char *)"0", 1) > 0);
    assert_refused(file, "is 'X???~ Y', not a certificate");
}

/* DER alone makes no PKCS #12, nor do its octets within other text. */
static void what_is_of_no_known_form_is_told_with_no_advice(void **state)
{
    static const struct {
        const char *octets, *why;
    } unknown[] = {
        {"0\x03\x02\x01\x01", "holds no certificate"},
        {"1\x82\x02\x01\x03\x30", "holds no certificate"},
        {"0\x7f\x02\x01", "holds no certificate"},
        {"0", "holds no certificate"},
        {"0\x80", "certificate 1 at octet 0 is not a DER certificate"},
        {"0\x82\x02\x01", "certificate 1 at octet 0 is not a DER certificate"},
        {"0\x82\x01\x01\x04\x82\x01\x01\x02\x01\x03\x30", "is not a DER certificate"},
        {"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "'PRIVATE KEY'"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(unknown); i++) {
        STACK_OF(X509) *certificates = NULL;
        Reason reason = {0};
        BIO *file = BIO_new(BIO_s_mem());

        add_text(file, unknown[i].octets);
        assert_int_equal(decode(file, &certificates, &reason), -EINVAL);
        assert_null(certificates);
        if (strstr(reason.text, "PKCS") || !strstr(reason.text, unknown[i].why))
            fail_msg("%zu: '%s'", i, reason.text);
        BIO_free(file);
    }
}

static void der_certificates_one_after_another_are_all_read(void **state)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    Reason reason = {0};
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    add_der(file, &leaf);
    add_der(file, &root);
    assert_int_equal(decode(file, &certificates, &reason), 0);
    assert_int_equal(sk_X509_num(certificates), 2);
    assert_int_equal(X509_cmp(sk_X509_value(certificates, 1), root.certificate), 0);
    BIO_free(file);
}

static void a_bad_der_certificate_is_named_by_number_and_octet(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());
    char why[64];
    char *data;

    (void)state;
    add_der(file, &leaf);
    (void)snprintf(why, sizeof(why), "certificate 2 at octet %ld", BIO_get_mem_data(file, &data));
    add_text(file, "junk");
    assert_refused(file, why);
}

static void a_bad_pem_block_is_named_by_number_and_line(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    add_text(file, "one\n-----BEGIN CERTIFICATE-----\nMIIB!!!!\n-----END CERTIFICATE-----\n");
    assert_refused(file, "PEM block 1 (line 2) is damaged");

    file = BIO_new(BIO_s_mem());
    add_pem(file, &leaf);
    add_text(file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_refused(file, "PEM block 2 (line ");

    file = BIO_new(BIO_s_mem());
    add_pem(file, &leaf);
    add_text(file, "-----BEGIN CERTIFICATE-----\nMIIB\n"); /* cut off */
    assert_refused(file, "PEM block 2 (line ");

    file = BIO_new(BIO_s_mem());
    add_pem(file, &leaf);
    add_text(file, "-----BEGIN "); /* nothing is after it */
    assert_refused(file, "PEM block 2 (line ");
}

static void octets_after_the_certificate_in_a_block_are_refused(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());
    unsigned char der[4096] = {0};
    unsigned char *end = der;
    const int size = i2d_X509(leaf.certificate, &end);

    (void)state;
    assert_true(size > 0 && (size_t)size < sizeof(der));
    assert_true(PEM_write_bio(file, PEM_STRING_X509, "", der, size + 1) > 0);
    assert_refused(file, "PEM block 1 (line 1) is damaged");
}

static void a_private_key_among_certificates_is_named(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    add_pem(file, &leaf);
    assert_int_equal(PEM_write_bio_PrivateKey(file, leaf.key, NULL, NULL, 0, NULL, NULL), 1);
    assert_refused(file, "'PRIVATE KEY', not a certificate");
}

static void a_file_without_certificates_is_refused(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    assert_refused(file, "holds no certificate");
    file = BIO_new(BIO_s_mem());
    add_text(file, "nothing to see\n");
    assert_refused(file, "holds no certificate");
}

static void a_65th_certificate_is_refused(void **state)
{
    BIO *file = BIO_new(BIO_s_mem());

    (void)state;
    for (int i = 0; i < CERTIFICATES_MAX + 1; i++)
        add_der(file, &leaf);
    assert_refused(file, "more than 64");
}

/* The root in PEM, and blank lines up to that size; the caller's to free(). */
static char *root_padded(size_t size)
{
    BIO *file = BIO_new(BIO_s_mem());
    char *text = NULL, *ret = malloc(size);

    assert_non_null(ret);
    add_pem(file, &root);
    const long written = BIO_get_mem_data(file, &text);
    assert_true(written > 0 && (size_t)written < size);
    memset(ret, '\n', size);
    memcpy(ret, text, (size_t)written);
    BIO_free(file);
    return ret;
}

static void a_file_is_read_up_to_one_mib_and_no_further(void **state)
{
    enum { MOST = 1024 * 1024 };
    char path[TEMPORARY_PATH_SIZE], *text = root_padded(MOST + 1);

    (void)state;
    for (size_t size = MOST; size <= MOST + 1; size++) {
        _cleanup_(certificates_freep) STACK_OF(X509) *decoded = NULL, *read = NULL;
        const int expected = size == MOST ? 0 : -EINVAL;
        Reason reason = {0};

        assert_int_equal(
            certificates_decode((Bytes){(uint8_t *)text, size}, "f", &decoded, &reason), expected);
        assert_int_equal(strstr(reason.text, "f is larger than 1048576 octets") != NULL,
                         expected < 0);
        temporary_path("test_certificates", path);
        BIO *file = BIO_new_fd(mkstemp(path), BIO_CLOSE);
        assert_int_equal(BIO_write(file, text, (int)size), (int)size);
        BIO_free(file);
        assert_int_equal(certificates_read(path, &read, &reason), expected);
        assert_int_equal(strstr(reason.text, "is it a certificate file?") != NULL, expected < 0);
        assert_int_equal(unlink(path), 0);
    }
    free(text);
}

static void an_absent_file_is_named(void **state)
{
    Reason reason = {0};
    STACK_OF(X509) *certificates = NULL;

    (void)state;
    assert_int_equal(certificates_read("/nowhere/x.pem", &certificates, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nowhere/x.pem"));
}

static STACK_OF(X509) *stack_of(const Pki *const *pkis, size_t count)
{
    STACK_OF(X509) *stack = sk_X509_new_null();

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(X509_up_ref(pkis[i]->certificate), 1);
        assert_true(sk_X509_push(stack, pkis[i]->certificate) > 0);
    }
    return stack;
}

static void a_chain_comes_out_from_the_key_up_without_root_and_strangers(void **state)
{
    Pki stranger = pki_root("Stranger");
    const Pki *const orders[][4] = {
        {&root, &intermediate, &stranger, &leaf},
        {&leaf, &intermediate, &root, &stranger},
        {&stranger, &leaf, &root, &intermediate},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(orders); i++) {
        _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(orders[i], 4);
        _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

        assert_int_equal(certificates_order(in, leaf.key, &chain), 0);
        assert_int_equal(sk_X509_num(chain), 2);
        assert_ptr_equal(sk_X509_value(chain, 0), leaf.certificate);
        assert_ptr_equal(sk_X509_value(chain, 1), intermediate.certificate);
    }
    pki_deinit(&stranger);
}

static void of_two_certificates_for_the_key_the_longer_valid_is_taken(void **state)
{
    PkiSpec spec = pki_segw_spec("segw.example");
    Pki renewed;

    (void)state;
    spec.public_key = leaf.key;
    spec.valid_until = 10L * PKI_DAY;
    renewed = pki_issue(&spec, &intermediate);
    for (int i = 0; i < 2; i++) {
        const Pki *const pkis[] = {i ? &renewed : &leaf, i ? &leaf : &renewed, &intermediate};
        _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(pkis, 3);
        _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

        assert_int_equal(certificates_order(in, leaf.key, &chain), 0);
        assert_ptr_equal(sk_X509_value(chain, 0), renewed.certificate);
        assert_int_equal(sk_X509_num(chain), 2);
    }
    pki_deinit(&renewed);
}

static void of_two_certificates_valid_equally_long_the_first_is_taken(void **state)
{
    Pki twin = {.certificate = X509_dup(leaf.certificate)};
    const Pki *const pkis[] = {&leaf, &twin, &intermediate};
    _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(pkis, 3);
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

    (void)state;
    assert_int_equal(certificates_order(in, leaf.key, &chain), 0);
    assert_ptr_equal(sk_X509_value(chain, 0), leaf.certificate);
    pki_deinit(&twin);
}

/* Its signature would fit, but its name does not. */
static void a_ca_of_another_name_is_no_issuer_though_it_has_the_key(void **state)
{
    const PkiSpec spec = {.common_name = "Another",
                          .basic_constraints = "critical,CA:TRUE",
                          .public_key = intermediate.key};
    Pki another = pki_issue(&spec, &root);
    const Pki *const pkis[] = {&leaf, &another, &intermediate};
    _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(pkis, 3);
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

    (void)state;
    assert_int_equal(certificates_order(in, leaf.key, &chain), 0);
    assert_int_equal(sk_X509_num(chain), 2);
    assert_ptr_equal(sk_X509_value(chain, 1), intermediate.certificate);
    pki_deinit(&another);
}

/* Two authorities that certify each other: following issuers must end. */
static void cross_signed_issuers_do_not_go_round_for_ever(void **state)
{
    Pki a = pki_root("A");
    Pki b = pki_intermediate("B", &a);
    PkiSpec spec = {
        .common_name = "A",
        .basic_constraints = "critical,CA:TRUE",
        .public_key = a.key,
    };
    Pki a_by_b = pki_issue(&spec, &b);
    const Pki *const pkis[] = {&b, &a_by_b};
    _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(pkis, 2);
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

    (void)state;
    assert_int_equal(certificates_order(in, b.key, &chain), 0);
    assert_int_equal(sk_X509_num(chain), 2);
    pki_deinit(&a);
    pki_deinit(&b);
    pki_deinit(&a_by_b);
}

static void a_chain_without_the_key_is_refused(void **state)
{
    const Pki *const pkis[] = {&root, &intermediate};
    _cleanup_(certificates_freep) STACK_OF(X509) *in = stack_of(pkis, 2);
    STACK_OF(X509) *chain = NULL;

    (void)state;
    assert_int_equal(certificates_order(in, leaf.key, &chain), -ENOKEY);
    assert_null(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_blocks_with_text_between_are_all_read),
        cmocka_unit_test(no_pem_block_is_passed_over_for_the_form_of_its_lines),
        cmocka_unit_test(what_is_of_another_form_is_told_with_how_to_convert_it),
        cmocka_unit_test(what_a_block_calls_itself_is_told_in_plain_characters),
        cmocka_unit_test(what_is_of_no_known_form_is_told_with_no_advice),
        cmocka_unit_test(der_certificates_one_after_another_are_all_read),
        cmocka_unit_test(a_bad_der_certificate_is_named_by_number_and_octet),
        cmocka_unit_test(a_bad_pem_block_is_named_by_number_and_line),
        cmocka_unit_test(octets_after_the_certificate_in_a_block_are_refused),
        cmocka_unit_test(a_private_key_among_certificates_is_named),
        cmocka_unit_test(a_file_without_certificates_is_refused),
        cmocka_unit_test(a_65th_certificate_is_refused),
        cmocka_unit_test(a_file_is_read_up_to_one_mib_and_no_further),
        cmocka_unit_test(an_absent_file_is_named),
        cmocka_unit_test(a_chain_comes_out_from_the_key_up_without_root_and_strangers),
        cmocka_unit_test(of_two_certificates_for_the_key_the_longer_valid_is_taken),
        cmocka_unit_test(of_two_certificates_valid_equally_long_the_first_is_taken),
        cmocka_unit_test(a_ca_of_another_name_is_no_issuer_though_it_has_the_key),
        cmocka_unit_test(cross_signed_issuers_do_not_go_round_for_ever),
        cmocka_unit_test(a_chain_without_the_key_is_refused),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}

/* Are a certificate's names taken exactly as they stand, and is every question about a date that
 * does not parse answered with no? */
#include "verify/certificates.h"

#include "base/cleanup.h"
#include "pki_fixture.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static Pki named(const char *subject_alt_name)
{
    const PkiSpec spec = {.common_name = "cn.example", .subject_alt_name = subject_alt_name};

    return pki_issue(&spec, NULL);
}

static void the_first_plain_fqdn_is_the_identity(void **state)
{
    char fqdn[FQDN_SIZE_MAX] = "";
    Pki pki =
        named("email:a@b.example,DNS:*.example,IP:192.0.2.1,DNS:HeNB.example,DNS:two.example");

    (void)state;
    assert_int_equal(certificate_fqdn(pki.certificate, fqdn), 0);
    assert_string_equal(fqdn, "HeNB.example");
    pki_deinit(&pki);
}

static void a_common_name_is_no_substitute(void **state)
{
    char fqdn[FQDN_SIZE_MAX] = "";
    Pki pki = named(NULL);

    (void)state;
    assert_int_equal(certificate_fqdn(pki.certificate, fqdn), -ENOENT);
    assert_false(certificate_has_fqdn(pki.certificate, "cn.example"));
    pki_deinit(&pki);
}

static void names_match_whole_and_in_any_case_and_never_by_wildcard(void **state)
{
    Pki pki = named("DNS:a.example,DNS:SeGW.Example,DNS:*.wild.example");

    (void)state;
    assert_true(certificate_has_fqdn(pki.certificate, "segw.example"));
    assert_true(certificate_has_fqdn(pki.certificate, "SEGW.EXAMPLE"));
    assert_true(certificate_has_fqdn(pki.certificate, "a.example"));
    assert_false(certificate_has_fqdn(pki.certificate, "segw.example.com"));
    assert_false(certificate_has_fqdn(pki.certificate, "egw.example"));
    assert_false(certificate_has_fqdn(pki.certificate, "x.wild.example"));
    assert_false(certificate_has_fqdn(pki.certificate, "*.wild.example"));
    assert_false(certificate_has_fqdn(pki.certificate, ""));
    pki_deinit(&pki);
}

static void a_name_of_another_form_is_no_fqdn_though_it_reads_like_one(void **state)
{
    char fqdn[FQDN_SIZE_MAX] = "";
    Pki pki = named("email:segw.example,URI:segw.example");

    (void)state;
    assert_false(certificate_has_fqdn(pki.certificate, "segw.example"));
    assert_int_equal(certificate_fqdn(pki.certificate, fqdn), -ENOENT);
    pki_deinit(&pki);
}

/* With a dNSName of any octets. */
static Pki named_by_octets(const char *name, size_t size)
{
    Pki pki = named(NULL);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *general = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();

    assert_int_equal(ASN1_STRING_set(string, name, (int)size), 1);
    GENERAL_NAME_set0_value(general, GEN_DNS, string);
    assert_true(sk_GENERAL_NAME_push(names, general) > 0);
    assert_int_equal(X509_add1_ext_i2d(pki.certificate, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
    return pki;
}

/* "segw.example\0.attacker.example": what C's string functions would take for the name before the
 * zero. */
static void a_name_with_a_zero_octet_matches_nothing(void **state)
{
    static const char name[] = "segw.example\0.attacker.example";
    Pki pki = named_by_octets(name, sizeof(name) - 1);
    char fqdn[FQDN_SIZE_MAX] = "";

    (void)state;
    assert_false(certificate_has_fqdn(pki.certificate, "segw.example"));
    assert_int_equal(certificate_fqdn(pki.certificate, fqdn), -ENOENT);
    pki_deinit(&pki);
}

/* What goes into logs must not be able to forge a line there. */
static void a_subject_is_one_line_of_printable_ascii(void **state)
{
    const PkiSpec spec = {.common_name = "a\n<3>b\xc3\xbc"};
    Pki pki = pki_issue(&spec, NULL);
    char subject[64] = "";
    char cut[8] = "";

    (void)state;
    certificate_subject(pki.certificate, subject, sizeof(subject));
    for (const char *octet = subject; *octet; octet++)
        assert_true(*octet >= ' ' && *octet < 0x7f);
    assert_non_null(strstr(subject, "O=Test, CN="));
    certificate_issuer(pki.certificate, cut, sizeof(cut));
    assert_string_equal(cut, "O=Test,");
    pki_deinit(&pki);
}

/* What a person is to see of a certificate that has no name to be known by. */
static void names_are_listed_in_their_order_with_what_is_wrong_with_each(void **state)
{
    static const struct {
        const char *names, *printed;
    } examples[] = {
        {"DNS:a.example,DNS:b.example", "DNS:a.example, DNS:b.example"},
        {"DNS:*.example,DNS:a_b.example,DNS:a.example.,DNS:a..example",
         "DNS:*.example (a wildcard), DNS:a_b.example (an underscore), DNS:a.example. (a dot at "
         "its "
         "end), DNS:a..example (no FQDN in A-label form)"},
        {"email:*@example,URI:http://a_b.example/", "email:*@example, URI:http://a_b.example/"},
        {"IP:192.0.2.1,RID:1.2.3.4", "IP Address:192.0.2.1, Registered ID:1.2.3.4"},
        {"otherName:1.2.3.4;UTF8:a.example", "a name of another form"},
        {NULL, "no name"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        Pki pki = named(examples[i].names);
        char all[256] = "", cut[4] = "";

        certificate_names_print(pki.certificate, all, sizeof(all));
        assert_string_equal(all, examples[i].printed);
        certificate_names_print(pki.certificate, cut, sizeof(cut));
        assert_memory_equal(cut, examples[i].printed, sizeof(cut) - 1);
        assert_int_equal(cut[sizeof(cut) - 1], '\0');
        pki_deinit(&pki);
    }
}

static void an_empty_name_is_told_as_such(void **state)
{
    Pki pki = named_by_octets("", 0);
    char all[64] = "";

    (void)state;
    certificate_names_print(pki.certificate, all, sizeof(all));
    assert_string_equal(all, "DNS: (empty)");
    pki_deinit(&pki);
}

static void a_subject_without_any_part_is_told_as_no_name(void **state)
{
    Pki pki = named(NULL);
    X509_NAME *none = X509_NAME_new();
    char subject[64] = "";

    (void)state;
    assert_int_equal(X509_set_subject_name(pki.certificate, none), 1);
    certificate_subject(pki.certificate, subject, sizeof(subject));
    assert_string_equal(subject, "no name");
    X509_NAME_free(none);
    pki_deinit(&pki);
}

static void no_name_is_longer_than_an_fqdn(void **state)
{
    char name[FQDN_SIZE_MAX + 1];
    Pki pki = named("DNS:a.example");

    (void)state;
    memset(name, 'a', sizeof(name));
    name[FQDN_SIZE_MAX] = '\0';
    assert_false(certificate_has_fqdn(pki.certificate, name));
    name[FQDN_SIZE_MAX - 1] = '\0';
    assert_false(certificate_has_fqdn(pki.certificate, name));
    pki_deinit(&pki);
}

/* ---- dates ---- */

enum { NOON = 1767268800 }; /* 2026-01-01 12:00:00 UTC */

static void a_date_is_compared_by_the_second_inclusive(void **state)
{
    ASN1_TIME *date = ASN1_TIME_set(NULL, NOON);
    time_t read = 0;

    (void)state;
    assert_non_null(date);
    assert_true(date_read(date, &read));
    assert_int_equal(read, NOON);
    assert_true(date_is_by(date, NOON) && date_is_from(date, NOON));
    assert_true(date_is_by(date, NOON + 1) && !date_is_from(date, NOON + 1));
    assert_true(!date_is_by(date, NOON - 1) && date_is_from(date, NOON - 1));
    ASN1_TIME_free(date);
}

static void a_date_that_does_not_parse_is_neither_before_nor_after_anything(void **state)
{
    static const char *const texts[] = {
        "", "0", "2026", "20260231120000Z", "20261301120000Z", "20260101126000Z", "noon"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ASN1_TIME *date = ASN1_GENERALIZEDTIME_new();
        time_t read;

        assert_non_null(date);
        assert_int_equal(ASN1_STRING_set((ASN1_STRING *)date, texts[i], -1), 1);
        assert_false(date_read(date, &read));
        assert_false(date_is_by(date, INT64_MAX));
        assert_false(date_is_from(date, INT64_MIN));
        ASN1_TIME_free(date);
    }
}

static void no_date_is_neither_before_nor_after_anything(void **state)
{
    time_t read;

    (void)state;
    assert_false(date_read(NULL, &read) || date_is_by(NULL, NOON) || date_is_from(NULL, NOON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_plain_fqdn_is_the_identity),
        cmocka_unit_test(a_common_name_is_no_substitute),
        cmocka_unit_test(names_match_whole_and_in_any_case_and_never_by_wildcard),
        cmocka_unit_test(a_name_of_another_form_is_no_fqdn_though_it_reads_like_one),
        cmocka_unit_test(a_name_with_a_zero_octet_matches_nothing),
        cmocka_unit_test(a_subject_is_one_line_of_printable_ascii),
        cmocka_unit_test(names_are_listed_in_their_order_with_what_is_wrong_with_each),
        cmocka_unit_test(an_empty_name_is_told_as_such),
        cmocka_unit_test(a_subject_without_any_part_is_told_as_no_name),
        cmocka_unit_test(no_name_is_longer_than_an_fqdn),
        cmocka_unit_test(a_date_is_compared_by_the_second_inclusive),
        cmocka_unit_test(a_date_that_does_not_parse_is_neither_before_nor_after_anything),
        cmocka_unit_test(no_date_is_neither_before_nor_after_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

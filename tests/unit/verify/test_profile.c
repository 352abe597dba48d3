/* Does each line of the profile refuse just what it is there for? Does a
 * profile file say what its author meant, and is a bad one named? */
#include "verify/profile.h"

#include "base/cleanup.h"
#include "pki_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct ProfileCase {
    PkiSpec spec;
    const char *flaw; /* words of it; NULL: fit */
} ProfileCase;

static void assert_judged(const ProfileCase *cases, size_t count,
                          const char *(*judge)(X509 *certificate))
{
    for (size_t i = 0; i < count; i++) {
        Pki pki = pki_issue(&cases[i].spec, NULL);
        const char *flaw = judge(pki.certificate);

        if (!flaw != !cases[i].flaw || (flaw && !strstr(flaw, cases[i].flaw)))
            fail_msg("case %zu: '%s'", i, flaw ? flaw : "no flaw");
        pki_deinit(&pki);
    }
}

static void an_end_entity_signs_is_no_ca_and_has_a_key_of_the_profile(void **state)
{
    static const char usage[] = "critical,digitalSignature";
    static const ProfileCase cases[] = {
        {{.common_name = "x", .key_usage = usage}, NULL},
        {{.common_name = "x", .key_usage = usage, .basic_constraints = "CA:FALSE"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "P-384"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "RSA-2048"}, NULL},
        {{.common_name = "x", .key_usage = usage, .key = "RSA-1024"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .key = "P-521"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .key = "ED25519"}, "key outside the profile"},
        {{.common_name = "x", .key_usage = usage, .basic_constraints = "CA:TRUE"}, "is a CA's"},
        {{.common_name = "x", .key_usage = "critical,keyAgreement"}, "lacks digitalSignature"},
        {{.common_name = "x"}, "has no keyUsage"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_end_entity_flaw);
}

static void an_anchor_is_a_ca_with_a_strong_key(void **state)
{
    static const char ca[] = "critical,CA:TRUE";
    static const ProfileCase cases[] = {
        {{.common_name = "x", .basic_constraints = ca}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key_usage = "keyCertSign"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "RSA-2048"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "P-521"}, NULL},
        {{.common_name = "x", .basic_constraints = ca, .key = "RSA-1024"}, "too short"},
        {{.common_name = "x", .basic_constraints = ca, .key = "ED25519"}, "neither RSA nor ECDSA"},
        {{.common_name = "x", .basic_constraints = ca, .key_usage = "cRLSign"}, "not a CA's"},
        {{.common_name = "x", .basic_constraints = "CA:FALSE"}, "not a CA's"},
        {{.common_name = "x"}, "not a CA's"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_anchor_flaw);
}

static void a_signature_has_a_hash_of_the_profile(void **state)
{
    static const ProfileCase cases[] = {
        {{.common_name = "x", .digest = "SHA256"}, NULL},
        {{.common_name = "x", .digest = "SHA384"}, NULL},
        {{.common_name = "x", .digest = "SHA512"}, NULL},
        {{.common_name = "x", .digest = "SHA224"}, "hash outside the profile"},
        {{.common_name = "x", .digest = "SHA1"}, "hash outside the profile"},
        {{.common_name = "x", .digest = "MD5", .key = "RSA-2048"}, "hash outside the profile"},
    };

    (void)state;
    assert_judged(cases, ELEMENTS(cases), profile_signature_flaw);
}

/* ---- profile files ---- */

static int parse(const char *text, PeerProfile *ret, Reason *reason)
{
    return peer_profile_parse("profile.conf", (Bytes){(const uint8_t *)text, strlen(text)}, ret,
                              reason);
}

static void assert_refused(const char *text, const char *why)
{
    Reason reason = {0};
    PeerProfile profile;

    assert_int_equal(parse(text, &profile, &reason), -EINVAL);
    if (!strstr(reason.text, why) || !strstr(reason.text, "profile.conf"))
        fail_msg("expected '%s' in '%s'", why, reason.text);
}

static void assert_same_rule(const ProfileRule *a, const ProfileRule *b)
{
    assert_int_equal(a->hashes, b->hashes);
    assert_int_equal(a->keys, b->keys);
    assert_int_equal(a->rsa_bits_min, b->rsa_bits_min);
    assert_int_equal(a->rsa_bits_max, b->rsa_bits_max);
}

static void assert_same_profile(const PeerProfile *a, const PeerProfile *b)
{
    assert_same_rule(&a->end_entity, &b->end_entity);
    assert_same_rule(&a->issuers, &b->issuers);
    assert_int_equal(a->key_usage_required, b->key_usage_required);
    assert_int_equal(a->subject_alt_name_required, b->subject_alt_name_required);
    assert_int_equal(a->crl_distribution_point_required, b->crl_distribution_point_required);
    assert_int_equal(a->extended_usage, b->extended_usage);
    assert_int_equal(a->intermediates_max, b->intermediates_max);
    assert_int_equal(a->serial_octets_max, b->serial_octets_max);
    assert_int_equal(a->conforming, b->conforming);
    assert_int_equal(a->cross_certificates, b->cross_certificates);
    assert_int_equal(a->rsa_pkcs1, b->rsa_pkcs1);
    assert_int_equal(a->crl_hours_max, b->crl_hours_max);
    assert_int_equal(a->crl_grace_hours, b->crl_grace_hours);
    assert_int_equal(a->ocsp_hours_max, b->ocsp_hours_max);
    assert_int_equal(a->skew_seconds, b->skew_seconds);
}

/* A certificate signed with RSASSA-PSS, SHA-256 and a salt of so many octets. */
static const char *flaw_of_pss(int salt)
{
    const PkiSpec spec = {.common_name = "PSS", .key = "RSA-2048"};
    Pki pki = pki_issue(&spec, NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *rsa = NULL;

    assert_int_equal(EVP_DigestSignInit(context, &rsa, EVP_sha256(), NULL, pki.key), 1);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(rsa, RSA_PKCS1_PSS_PADDING) > 0);
    assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(rsa, salt) > 0);
    assert_true(X509_sign_ctx(pki.certificate, context) > 0);
    const char *flaw = profile_signature_flaw(pki.certificate);
    EVP_MD_CTX_free(context);
    pki_deinit(&pki);
    return flaw;
}

static void a_pss_signature_has_a_salt_as_long_as_its_hash(void **state)
{
    (void)state;
    assert_null(flaw_of_pss(32));
    assert_non_null(strstr(flaw_of_pss(20), "an algorithm outside the profile"));
}

static void a_key_that_does_not_parse_is_in_no_profile(void **state)
{
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    const PkiSpec spec = {.common_name = "x", .key_usage = "digitalSignature"};
    Pki pki = pki_issue(&spec, NULL);
    unsigned char *der = NULL;
    const int size = i2d_X509(pki.certificate, &der);
    uint8_t *curve = memmem(der, (size_t)size, p256, sizeof(p256));
    const unsigned char *place = der;

    (void)state;
    assert_null(profile_end_entity_flaw(pki.certificate));
    assert_non_null(curve);
    curve[sizeof(p256) - 1] = 0x77; /* of which nobody knows a curve */
    X509 *strange = d2i_X509(NULL, &place, size);
    assert_non_null(strange);
    assert_null(X509_get0_pubkey(strange));
    assert_non_null(profile_end_entity_flaw(strange));
    assert_non_null(profile_anchor_flaw(strange));
    X509_free(strange);
    OPENSSL_free(der);
    pki_deinit(&pki);
}

static void rsa_may_be_of_one_size_alone(void **state)
{
    Reason reason = {0};
    PeerProfile profile;

    (void)state;
    assert_int_equal(
        parse("[issuers]\nrsa-bits-min = 3072\nrsa-bits-max = 3072\n", &profile, &reason), 0);
    assert_int_equal(profile.issuers.rsa_bits_min, 3072);
    assert_int_equal(profile.issuers.rsa_bits_max, 3072);
}

static void an_empty_file_is_the_built_in_profile(void **state)
{
    const PeerProfile built_in = peer_profile_3gpp();
    Reason reason = {0};
    PeerProfile profile;

    (void)state;
    assert_int_equal(parse("", &profile, &reason), 0);
    assert_same_profile(&profile, &built_in);
}

/* A snapshot: what TS 33.310 6.1 asks for does not change by accident. */
static void the_built_in_profile_is_that_of_ts_33_310(void **state)
{
    const PeerProfile profile = peer_profile_3gpp();

    (void)state;
    assert_int_equal(profile.end_entity.hashes, PROFILE_SHA256 | PROFILE_SHA384 | PROFILE_SHA512);
    assert_int_equal(profile.end_entity.keys, PROFILE_RSA | PROFILE_P256 | PROFILE_P384);
    assert_int_equal(profile.end_entity.rsa_bits_min, 2048);
    assert_int_equal(profile.end_entity.rsa_bits_max, 4096);
    assert_same_rule(&profile.issuers, &profile.end_entity);
    assert_true(profile.key_usage_required && profile.subject_alt_name_required);
    assert_int_equal(profile.extended_usage, EXTENDED_USAGE_ABSENT_OR_IKE);
    assert_int_equal(profile.serial_octets_max, 20);
    assert_true(profile.conforming);
    assert_false(profile.cross_certificates);
    assert_int_equal(profile.ocsp_hours_max, 168);
}

static void each_key_changes_what_it_names_and_nothing_else(void **state)
{
    Reason reason = {0};
    PeerProfile expected = peer_profile_3gpp(), profile;

    (void)state;
    assert_int_equal(parse("[end-entity]\nhashes = sha384, sha512\nkeys=p384\n"
                           "crl-distribution-point-required = yes\nextended-key-usage = ike\n"
                           "[issuers]\nrsa-bits-min = 3072\n"
                           "[path]\nintermediates-max = 1\n"
                           "[auth]\nrsa-pkcs1 = no\n"
                           "[revocation]\ncrl-hours-max = 48\ncrl-grace-hours = 2\n",
                           &profile, &reason),
                     0);
    expected.end_entity.hashes = PROFILE_SHA384 | PROFILE_SHA512;
    expected.end_entity.keys = PROFILE_P384;
    expected.crl_distribution_point_required = true;
    expected.extended_usage = EXTENDED_USAGE_IKE;
    expected.issuers.rsa_bits_min = 3072;
    expected.intermediates_max = 1;
    expected.rsa_pkcs1 = false;
    expected.crl_hours_max = 48;
    expected.crl_grace_hours = 2;
    assert_same_profile(&profile, &expected);
}

static void what_is_wrong_is_named_with_what_is_allowed(void **state)
{
    (void)state;
    assert_refused("[end-entity]\nhashes = sha1\n", "sha256, sha384, sha512");
    assert_refused("[end-entity]\nhashes = sha256 sha1\n", "sha256, sha384, sha512");
    assert_refused("[end-entity]\nhashes = ,\n", "one or more of");
    assert_refused("[issuers]\nkeys = dsa\n", "rsa, p256, p384, p521");
    assert_refused("[issuers]\nrsa-bits-min = 1024\n", "2048 to 8192");
    assert_refused("[path]\nserial-octets-max = 21\n", "1 to 20");
    assert_refused("[path]\nwildcards = yes\n", "no key");
    assert_refused("[end-entity]\nrsa-bits-min = 4096\nrsa-bits-max = 3072\n",
                   "in [end-entity], rsa-bits-min is above");
    assert_refused("[issuers]\nrsa-bits-min = 4096\nrsa-bits-max = 3072\n",
                   "in [issuers], rsa-bits-min is above");
}

static void sets_are_printed_as_they_are_written(void **state)
{
    char text[64];

    (void)state;
    peer_profile_print_hashes(PROFILE_SHA256 | PROFILE_SHA512, text, sizeof(text));
    assert_string_equal(text, "sha256, sha512");
    peer_profile_print_keys(PROFILE_P384, text, sizeof(text));
    assert_string_equal(text, "p384");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_entity_signs_is_no_ca_and_has_a_key_of_the_profile),
        cmocka_unit_test(an_anchor_is_a_ca_with_a_strong_key),
        cmocka_unit_test(a_signature_has_a_hash_of_the_profile),
        cmocka_unit_test(a_pss_signature_has_a_salt_as_long_as_its_hash),
        cmocka_unit_test(a_key_that_does_not_parse_is_in_no_profile),
        cmocka_unit_test(rsa_may_be_of_one_size_alone),
        cmocka_unit_test(an_empty_file_is_the_built_in_profile),
        cmocka_unit_test(the_built_in_profile_is_that_of_ts_33_310),
        cmocka_unit_test(each_key_changes_what_it_names_and_nothing_else),
        cmocka_unit_test(what_is_wrong_is_named_with_what_is_allowed),
        cmocka_unit_test(sets_are_printed_as_they_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

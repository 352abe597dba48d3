/* Is a SeGW with a fit certificate taken, and each unfit one refused for the right reason? */
#include "crypto/openssl.h"
#include "peer_fixture.h"

#include "base/reason.h"
#include "ikewire/registry.h"
#include "verify/peer_internal.h"

#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_fit_segw_is_taken_with_each_key_of_the_profile(void **state)
{
    static const char *const keys[] = {"P-256", "P-384", "RSA-2048", "RSA-3072"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);
        Presentation presentation = {.count = 1};
        Pki leaf;

        spec.key = keys[i];
        leaf = pki_issue(&spec, &root);
        presentation.sent[0] = &leaf;
        assert_accepted(&presentation, &leaf);
        pki_deinit(&leaf);
    }
}

static void the_rest_of_the_chain_comes_in_any_order_and_with_strangers(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki low = pki_intermediate("Low", &intermediate);
    Pki leaf = pki_issue(&spec, &low);
    const Presentation orders[] = {
        {.sent = {&leaf, &low, &intermediate}, .count = 3},
        {.sent = {&leaf, &intermediate, &low}, .count = 3},
        {.sent = {&leaf, &root, &other_root, &intermediate, &low}, .count = 5},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(orders); i++)
        assert_accepted(&orders[i], &leaf);
    pki_deinit(&low);
    pki_deinit(&leaf);
}

/* RFC 7296 3.6: the first certificate is the one whose key makes AUTH. */
static void the_first_certificate_is_the_end_entitys_whatever_follows(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    const Presentation presentation = {.sent = {&intermediate, &leaf}, .count = 2};

    (void)state;
    assert_refused(&presentation, PEER_E_UNFIT, "a CA's");
    pki_deinit(&leaf);
}

static void an_intermediate_can_be_the_anchor(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    const Presentation presentation = {.sent = {&leaf}, .count = 1};

    (void)state;
    assert_refused(&presentation, PEER_E_NOT_TRUSTED, "Intermediate");
    assert_ptr_equal(sk_X509_set(anchors.certificates, 0, intermediate.certificate),
                     intermediate.certificate);
    assert_accepted(&presentation, &leaf);
    (void)sk_X509_set(anchors.certificates, 0, root.certificate);
    pki_deinit(&leaf);
}

static void a_certificate_from_another_root_is_not_trusted(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &other_root);
    const Presentation with_root = {.sent = {&leaf, &other_root}, .count = 2};

    (void)state;
    assert_leaf_refused(&spec, &other_root, PEER_E_NOT_TRUSTED, "Other Root");
    assert_refused(&with_root, PEER_E_NOT_TRUSTED, "tre-provision install-anchors");
    assert_leaf_refused(&spec, NULL, PEER_E_NOT_TRUSTED, "SeGW"); /* signed by itself */
    pki_deinit(&leaf);
}

/* The right names all the way, but another key: somebody who made a root of the same name. */
static void a_root_of_the_same_name_is_not_trusted(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki namesake = pki_root("Root");

    (void)state;
    assert_leaf_refused(&spec, &namesake, PEER_E_NOT_TRUSTED, "no chain");
    pki_deinit(&namesake);
}

static void an_expired_certificate_is_told_with_its_date(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.valid_from = -10L * PKI_DAY;
    spec.valid_until = -5L * PKI_DAY;
    assert_leaf_refused(&spec, &root, PEER_E_EXPIRED, "(expired)");
}

static void a_certificate_of_the_future_is_told_with_its_date(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.valid_from = PKI_DAY;
    spec.valid_until = 2L * PKI_DAY;
    assert_leaf_refused(&spec, &root, PEER_E_NOT_YET_VALID, "notBefore is 20");
}

static void the_time_is_the_callers_not_the_systems(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    Presentation presentation = {.sent = {&leaf}, .count = 1};

    (void)state;
    presentation.now = time(NULL) + 2L * PKI_DAY;
    assert_refused(&presentation, PEER_E_EXPIRED, "");
    presentation.now = time(NULL) - 2L * PKI_DAY;
    assert_refused(&presentation, PEER_E_NOT_YET_VALID, "");
    pki_deinit(&leaf);
}

/* RFC 5280 4.1.2.5: from notBefore through notAfter, inclusive. */
static void a_certificate_is_good_from_its_first_second_through_its_last(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);
    const time_t begins = time(NULL) - PKI_HOUR, ends = begins + 2L * PKI_HOUR;
    Pki leaf;
    Presentation presentation = {.count = 1};

    (void)state;
    leaf = pki_issue(&spec, &root);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(leaf.certificate), begins));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(leaf.certificate), ends));
    assert_true(X509_sign(leaf.certificate, root.key, EVP_sha256()) > 0);
    presentation.sent[0] = &leaf;
    presentation.now = begins;
    assert_accepted(&presentation, &leaf);
    presentation.now = ends;
    assert_accepted(&presentation, &leaf);
    presentation.now = begins - 1;
    assert_refused(&presentation, PEER_E_NOT_YET_VALID, "");
    presentation.now = ends + 1;
    assert_refused(&presentation, PEER_E_EXPIRED, "");
    pki_deinit(&leaf);
}

/* "0" is no date, and neither before nor after anything. */
static void a_date_that_does_not_parse_is_never_good(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    for (int which = 0; which < 2; which++) {
        Pki leaf = pki_issue(&spec, &root);
        const Presentation presentation = {.sent = {&leaf}, .count = 1};
        ASN1_TIME *date = which == 0 ? X509_getm_notBefore(leaf.certificate)
                                     : X509_getm_notAfter(leaf.certificate);

        /* As long as a date is: what is shorter, OpenSSL 3.5 does not even read. */
        assert_int_equal(ASN1_STRING_set((ASN1_STRING *)date, "999999999999Z", -1), 1);
        assert_true(X509_sign(leaf.certificate, root.key, EVP_sha256()) > 0);
        assert_refused(&presentation, which == 0 ? PEER_E_NOT_YET_VALID : PEER_E_EXPIRED,
                       "a date that does not parse");
        pki_deinit(&leaf);
    }
}

static void of_a_date_it_is_told_what_time_it_is_held_against(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    const Presentation presentation = {.sent = {&leaf}, .count = 1, .now = 2100000000};
    char text[PEER_DATE_SIZE];

    (void)state;
    assert_refused(&presentation, PEER_E_EXPIRED, "a time after now, 2036-07-18 13:20:00 UTC");
    peer_time_print(INT64_MAX, text); /* no year that can be told */
    assert_string_equal(text, "unknown");
    pki_deinit(&leaf);
}

static void an_expired_intermediate_is_named(void **state)
{
    const PkiSpec ca = {
        .common_name = "Old CA",
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign",
        .valid_from = -10L * PKI_DAY,
        .valid_until = -1L * PKI_HOUR,
    };
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki old = pki_issue(&ca, &root);
    Pki leaf = pki_issue(&spec, &old);
    const Presentation presentation = {.sent = {&leaf, &old}, .count = 2};

    (void)state;
    assert_refused(&presentation, PEER_E_EXPIRED, "Old CA");
    pki_deinit(&old);
    pki_deinit(&leaf);
}

/* Another anchor is installed where it is the anchor that has expired, and nowhere else; and the
 * SeGW's own certificate is nobody else's. */
static void who_has_to_act_is_whose_certificate_has_expired(void **state)
{
    const PkiSpec old = {
        .common_name = "Old CA",
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign",
        .valid_from = -10L * PKI_DAY,
        .valid_until = -1L * PKI_HOUR,
    };
    PkiSpec spec = pki_segw_spec(SEGW);
    Pki ca = pki_issue(&old, &root);
    Pki under_ca = pki_issue(&spec, &ca);
    Pki own = pki_issue(&spec, &root);
    spec.valid_until = 30000L * PKI_DAY;
    Pki lasting = pki_issue(&spec, &root);
    const struct {
        Presentation presentation;
        bool ca, anchor;
    } cases[] = {
        {{.sent = {&own}, .count = 1, .now = time(NULL) + 2L * PKI_DAY}, false, false},
        {{.sent = {&under_ca, &ca}, .count = 2}, true, false},
        {{.sent = {&lasting}, .count = 1, .now = time(NULL) + 29000L * PKI_DAY}, false, true},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Reason reason = {0};
        EVP_PKEY *key = NULL;

        assert_int_equal(judge(&cases[i].presentation, &key, &reason), PEER_E_EXPIRED);
        assert_int_equal(strstr(reason.text, "That is a CA's") != NULL, cases[i].ca);
        assert_int_equal(strstr(reason.text, "That is an anchor") != NULL, cases[i].anchor);
        assert_int_equal(strstr(reason.text, "install-anchors', or set this device's clock") !=
                             NULL,
                         cases[i].anchor);
    }
    pki_deinit(&ca);
    pki_deinit(&own);
    pki_deinit(&under_ca);
    pki_deinit(&lasting);
}

static void a_segw_that_is_its_own_anchor_has_to_act_itself(void **state)
{
    const PkiSpec spec = {
        .common_name = "SeGW",
        .subject_alt_name = "DNS:" SEGW,
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,digitalSignature,keyCertSign",
        .valid_from = -10L * PKI_DAY,
        .valid_until = -1L * PKI_HOUR,
    };
    Pki own = pki_issue(&spec, NULL);
    const Presentation presentation = {.sent = {&own}, .count = 1};
    Reason reason = {0};
    EVP_PKEY *key = NULL;

    (void)state;
    (void)sk_X509_set(anchors.certificates, 0, own.certificate);
    assert_int_equal(judge(&presentation, &key, &reason), PEER_E_EXPIRED);
    assert_null(strstr(reason.text, "install-anchors"));
    (void)sk_X509_set(anchors.certificates, 0, root.certificate);
    pki_deinit(&own);
}

static void an_issuer_that_is_no_ca_is_unfit(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki forger = pki_issue(&spec, &root);
    Pki leaf = pki_issue(&spec, &forger);
    const Presentation presentation = {.sent = {&leaf, &forger}, .count = 2};
    Reason reason = {0};
    EVP_PKEY *key = NULL;

    (void)state;
    assert_true(judge(&presentation, &key, &reason) > 0);
    assert_null(key);
    pki_deinit(&forger);
    pki_deinit(&leaf);
}

static void an_intermediate_with_a_short_key_is_unfit(void **state)
{
    const PkiSpec ca = {
        .common_name = "Short CA",
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign",
        .key = "RSA-1024",
    };
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki weak = pki_issue(&ca, &root);
    Pki leaf = pki_issue(&spec, &weak);
    const Presentation presentation = {.sent = {&leaf, &weak}, .count = 2};

    (void)state;
    assert_refused(&presentation, PEER_E_UNFIT, "Short CA");
    pki_deinit(&weak);
    pki_deinit(&leaf);
}

static void an_anchor_with_a_short_key_is_told_as_an_anchor(void **state)
{
    const PkiSpec ca = {.common_name = "Short Root",
                        .basic_constraints = "critical,CA:TRUE",
                        .key_usage = "critical,keyCertSign",
                        .key = "RSA-1024"};
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki weak = pki_issue(&ca, NULL), leaf = pki_issue(&spec, &weak);
    const Presentation presentation = {.sent = {&leaf}, .count = 1};

    (void)state;
    (void)sk_X509_set(anchors.certificates, 0, weak.certificate);
    assert_refused(&presentation, PEER_E_UNFIT, "CN=Short Root");
    assert_refused(&presentation, PEER_E_UNFIT, "That is an anchor");
    (void)sk_X509_set(anchors.certificates, 0, root.certificate);
    pki_deinit(&leaf);
    pki_deinit(&weak);
}

static void key_usage_without_digital_signature_is_unfit(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.key_usage = "critical,keyAgreement";
    assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "without digitalSignature");
    spec.key_usage = NULL;
    assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "keyUsage is not there");
}

static void key_usage_is_to_be_critical_where_it_is_required(void **state)
{
    PeerProfile profile = peer_profile_3gpp();
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.key_usage = "digitalSignature";
    Pki leaf = pki_issue(&spec, &root);
    const Presentation presentation = {.sent = {&leaf}, .count = 1, .profile = &profile};
    assert_refused(&presentation, PEER_E_UNFIT, "keyUsage is not critical");
    profile.key_usage_required = false;
    assert_accepted(&presentation, &leaf);
    pki_deinit(&leaf);
}

static void a_cas_certificate_is_unfit_for_a_segw(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.basic_constraints = "critical,CA:TRUE";
    spec.key_usage = "critical,digitalSignature,keyCertSign";
    assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "a CA's");
    spec.key_usage = "critical,digitalSignature"; /* a CA's that may sign nothing */
    assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "a CA's");
    spec.basic_constraints = "critical,CA:FALSE";
    {
        Pki leaf = pki_issue(&spec, &root);
        const Presentation presentation = {.sent = {&leaf}, .count = 1};

        assert_accepted(&presentation, &leaf);
        pki_deinit(&leaf);
    }
}

static void a_key_outside_the_profile_is_unfit(void **state)
{
    static const struct {
        const char *key, *why;
    } keys[] = {
        {"P-521", "key is EC secp521r1"},
        {"RSA-1024", ""},
        {"ED25519", "public key is of type ED25519"},
        {"secp256k1", "key is EC secp256k1"},
        {"brainpoolP256r1", "key is EC brainpoolP256r1"},
        {"P-224", ""},
        {"SM2", "public key is of type SM2"},
        {"sect571r1", "public key is of type EC"}, /* of 570 bits */
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);

        spec.key = keys[i].key;
        assert_leaf_refused(&spec, &root, PEER_E_UNFIT, keys[i].why);
    }
}

/* RFC 5280 4.2: also of those that OpenSSL passes over, as nobody knows or needs them here. */
static void an_extension_that_is_there_twice_is_unfit(void **state)
{
    static const char *const types[] = {"1.2.3.4.5", "2.5.29.46" /* freshestCRL */};
    const PkiSpec spec = pki_segw_spec(SEGW);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();

    (void)state;
    assert_true(octets && ASN1_OCTET_STRING_set(octets, (const unsigned char *)"0", 2));
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        Pki leaf = pki_issue(&spec, &root);
        const Presentation presentation = {.sent = {&leaf}, .count = 1};
        ASN1_OBJECT *type = OBJ_txt2obj(types[i], 1);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, type, 0, octets);

        for (int count = 1; count <= 2; count++) {
            assert_int_equal(X509_add_ext(leaf.certificate, extension, -1), 1);
            assert_true(X509_sign(leaf.certificate, root.key, EVP_sha256()) > 0);
            if (count == 1)
                assert_accepted(&presentation, &leaf);
        }
        assert_refused(&presentation, PEER_E_UNFIT, "there twice");
        X509_EXTENSION_free(extension);
        ASN1_OBJECT_free(type);
        pki_deinit(&leaf);
    }
    ASN1_OCTET_STRING_free(octets);
}

static void of_extended_usages_none_is_asked_for_where_the_profile_takes_any(void **state)
{
    PeerProfile profile = peer_profile_3gpp();
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.extended_usage = "codeSigning";
    Pki leaf = pki_issue(&spec, &root);
    const Presentation presentation = {.sent = {&leaf}, .count = 1, .profile = &profile};
    assert_refused(&presentation, PEER_E_UNFIT, "extKeyUsage is 1.3.6.1.5.5.7.3.3");
    profile.extended_usage = EXTENDED_USAGE_ANY;
    assert_accepted(&presentation, &leaf);
    pki_deinit(&leaf);
}

static void a_curve_that_nobody_knows_is_not_the_one_that_the_profile_adds(void **state)
{
    static const struct {
        const char *key;
        bool is_fit;
    } cases[] = {{"P-521", true}, {"P-384", false}, {"brainpoolP384r1", false}};
    PeerProfile profile = peer_profile_3gpp();

    (void)state;
    profile.end_entity.keys = PROFILE_P521;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);

        spec.key = cases[i].key;
        Pki leaf = pki_issue(&spec, &root);
        const Presentation presentation = {.sent = {&leaf}, .count = 1, .profile = &profile};
        if (cases[i].is_fit) {
            assert_accepted(&presentation, &leaf);
        } else {
            assert_refused(&presentation, PEER_E_UNFIT, cases[i].key + 2);
        }
        pki_deinit(&leaf);
    }
}

static void a_name_is_of_printable_ascii_from_the_first_octet_to_the_last(void **state)
{
    static const struct {
        const char *uri;
        bool is_fit;
    } cases[] = {{"urn:!", true},     {"urn:~", true},     {"urn:\x7f", false}, {"urn: x", false},
                 {"urn:\x1f", false}, {"urn:\x80", false}, {"urn", false}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);
        char names[64];

        (void)snprintf(names, sizeof(names), "DNS:%s,URI:%s", SEGW, cases[i].uri);
        spec.subject_alt_name = names;
        if (cases[i].is_fit) {
            Pki leaf = pki_issue(&spec, &root);
            const Presentation presentation = {.sent = {&leaf}, .count = 1};
            assert_accepted(&presentation, &leaf);
            pki_deinit(&leaf);
        } else {
            assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "no absolute URI");
        }
    }
}

/* What is in between is taken: RSA-2048, by all of these. */
static void an_rsa_key_has_as_many_bits_as_the_profile_says(void **state)
{
    static const struct {
        uint64_t least, most;
        bool is_fit;
    } cases[] = {{2048, 2048, true}, {2049, 4096, false}, {2040, 2047, false}, {2048, 4096, true}};
    PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    spec.key = "RSA-2048";
    Pki leaf = pki_issue(&spec, &root);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        PeerProfile profile = peer_profile_3gpp();
        const Presentation presentation = {.sent = {&leaf}, .count = 1, .profile = &profile};

        profile.end_entity.rsa_bits_min = cases[i].least;
        profile.end_entity.rsa_bits_max = cases[i].most;
        if (cases[i].is_fit)
            assert_accepted(&presentation, &leaf);
        else
            assert_refused(&presentation, PEER_E_UNFIT, "RSA key is of 2048 bits");
    }
    pki_deinit(&leaf);
}

/* An RSA key of 2048 bits with this exponent; the caller's. */
static EVP_PKEY *rsa_key_new(uint64_t exponent)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    EVP_PKEY *key = NULL;

    assert_int_equal(BN_set_word(e, exponent), 1);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e), 1);
    assert_int_equal(EVP_PKEY_generate(context, &key), 1);
    BN_free(e);
    EVP_PKEY_CTX_free(context);
    return key;
}

static void an_rsa_exponent_is_from_65537_to_one_of_32_bits(void **state)
{
    static const struct {
        uint64_t exponent;
        bool is_fit;
    } cases[] = {{65537, true}, {UINT64_C(0xffffffff), true}, {UINT64_C(0x100000001), false}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);
        Presentation presentation = {.count = 1};

        spec.public_key = rsa_key_new(cases[i].exponent);
        if (cases[i].is_fit) {
            Pki leaf = pki_issue(&spec, &root);

            presentation.sent[0] = &leaf;
            assert_accepted(&presentation, &leaf);
            pki_deinit(&leaf);
        } else {
            assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "exponent");
        }
        EVP_PKEY_free(spec.public_key);
    }
}

static void a_signature_with_a_weak_or_unnamed_hash_is_unfit(void **state)
{
    static const char *const digests[] = {"SHA1", "MD5", "SHA224"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(digests); i++) {
        PkiSpec spec = pki_segw_spec(SEGW);

        spec.digest = digests[i];
        if (i == 1) { /* MD5 is for RSA alone */
            Pki ca;
            PkiSpec ca_spec = {.common_name = "RSA CA",
                               .basic_constraints = "critical,CA:TRUE",
                               .key_usage = "critical,keyCertSign",
                               .key = "RSA-2048"};
            Pki leaf;

            ca = pki_issue(&ca_spec, &root);
            leaf = pki_issue(&spec, &ca);
            {
                const Presentation presentation = {.sent = {&leaf, &ca}, .count = 2};
                assert_refused(&presentation, PEER_E_UNFIT, "");
            }
            pki_deinit(&leaf);
            pki_deinit(&ca);
            continue;
        }
        assert_leaf_refused(&spec, &root, PEER_E_UNFIT, "");
    }
}

static int judge_octets(const Bytes *certificates, size_t count, Reason *reason)
{
    const PeerProfile profile = peer_profile_3gpp();
    const PeerPolicy policy = {.anchors = &anchors, .profile = &profile, .segw_name = SEGW};
    const PeerEvidence evidence = {
        .certificates = certificates, .n_certificates = count, .now = time(NULL)};
    PeerReport report;
    int error;

    assert_int_equal(peer_judge(&policy, &evidence, &report), 0);
    assert_non_null(report.refusal);
    assert_null(report.key);
    peer_check_sentence(report.refusal, reason);
    error = report.refusal->error;
    peer_report_deinit(&report);
    return error;
}

static void certificates_that_do_not_parse_are_malformed(void **state)
{
    static const uint8_t junk[20000] = {0x30, 0x82, 0x4e, 0x1c};
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    uint8_t trailing[2048] = {0};
    unsigned char *der = trailing;
    const int size = i2d_X509(leaf.certificate, &der);
    const Bytes cases[][2] = {
        {{junk, 4}},
        {{junk, sizeof(junk)}},
        {{NULL, 0}},
        {{trailing, (size_t)size + 1}},
        {{trailing, (size_t)size - 1}},
        {{trailing, (size_t)size}, {junk, 100}},
    };

    (void)state;
    assert_true(size > 0 && (size_t)size < sizeof(trailing));
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Reason reason = {0};

        assert_int_equal(judge_octets(cases[i], i == 5 ? 2 : 1, &reason), PEER_E_MALFORMED);
        assert_non_null(strstr(reason.text, i == 5 ? "number 2" : "number 1"));
    }
    pki_deinit(&leaf);
}

/* Of what is not too large it is said that it does not parse. */
static void a_certificate_and_all_that_is_shown_have_a_largest_size(void **state)
{
    static const uint8_t junk[PEER_CERTIFICATE_SIZE_MAX + 1] = {0x30, 0x82, 0x3f, 0xfc};
    const Bytes most = {junk, PEER_CERTIFICATE_SIZE_MAX};
    const Bytes all[] = {most, most, most, most, {junk, 1}};
    const size_t n_most = PEER_EVIDENCE_SIZE_MAX / PEER_CERTIFICATE_SIZE_MAX;
    Reason reason = {0};

    (void)state;
    assert_int_equal(judge_octets(&BYTES_OF(junk), 1, &reason), PEER_E_MALFORMED);
    assert_non_null(strstr(reason.text, "certificate's size is 16385 octets"));
    assert_int_equal(judge_octets(all, n_most + 1, &reason), PEER_E_MALFORMED);
    assert_non_null(strstr(reason.text, "evidence's size is 65537 octets"));
    for (size_t n = 1; n <= n_most; n++) {
        assert_int_equal(judge_octets(all, n, &reason), PEER_E_MALFORMED);
        assert_null(strstr(reason.text, "'s size"));
    }
}

static void no_certificate_and_a_ninth_are_refused(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    Presentation presentation = {.count = 0};

    (void)state;
    assert_refused(&presentation, PEER_E_NOT_TRUSTED, "certificates is none");
    for (size_t i = 0; i < PEER_CERTIFICATES_MAX + 1; i++)
        presentation.sent[i] = &leaf;
    presentation.count = PEER_CERTIFICATES_MAX;
    assert_accepted(&presentation, &leaf);
    presentation.count = PEER_CERTIFICATES_MAX + 1;
    assert_refused(&presentation, PEER_E_MALFORMED,
                   "number of certificates is 9; expected: 1 to 8");
    pki_deinit(&leaf);
}

static void of_each_certificate_it_is_noted_by_whose_word_it_is_taken(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    Presentation presentation = {
        .sent = {&leaf, &intermediate}, .count = 2, .revocation = REVOCATION_IF_AVAILABLE};
    CrlStore crls;

    (void)state;
    assert_accepted(&presentation, &leaf);
    assert_string_equal(
        judged_last.note,
        "O=Test, CN=SeGW: let pass, as nothing is known: no CRL and no OCSP response; "
        "O=Test, CN=Intermediate: let pass, as nothing is known: no CRL and no OCSP response");
    assert_int_equal(crl_store_init(&crls), 0);
    assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY)) > 0);
    presentation.crls = &crls;
    assert_accepted(&presentation, &leaf);
    assert_non_null(strstr(judged_last.note, "SeGW: let pass, as nothing is known: "));
    assert_non_null(strstr(judged_last.note, "; O=Test, CN=Intermediate: good"));
    presentation.revocation = REVOCATION_OFF;
    assert_accepted(&presentation, &leaf);
    assert_string_equal(judged_last.note, "");
    crl_store_deinit(&crls);
    pki_deinit(&leaf);
}

static time_t time_of(const ASN1_TIME *date)
{
    time_t time = 0;

    assert_true(date_read(date, &time));
    return time;
}

/* The first is valid for the shortest time, in both directions, then the second, then the third. */
static void
a_peer_is_taken_until_the_first_certificate_ends_and_vouches_for_the_last_begin(void **state)
{
    const PkiSpec ca = {.common_name = "CA",
                        .basic_constraints = "critical,CA:TRUE",
                        .key_usage = "critical,keyCertSign"};
    PkiSpec specs[] = {pki_segw_spec(SEGW), ca, ca};

    (void)state;
    for (size_t shortest = 0; shortest < ELEMENTS(specs); shortest++) {
        Pki pkis[ELEMENTS(specs)];

        for (size_t i = ELEMENTS(specs); i-- > 0;) {
            const long days = i == shortest ? 5 : 10 + (long)i;

            specs[i].valid_from = -days * PKI_DAY;
            specs[i].valid_until = days * PKI_DAY;
            pkis[i] = pki_issue(&specs[i], i + 1 < ELEMENTS(specs) ? &pkis[i + 1] : NULL);
        }
        const Presentation presentation = {.sent = {&pkis[0], &pkis[1]}, .count = 2};
        (void)sk_X509_set(anchors.certificates, 0, pkis[2].certificate);
        assert_accepted(&presentation, &pkis[0]);
        const X509 *first = pkis[shortest].certificate;
        assert_int_equal(judged_expires, time_of(X509_get0_notAfter(first)));
        assert_int_equal(judged_vouched, time_of(X509_get0_notBefore(first)));
        (void)sk_X509_set(anchors.certificates, 0, root.certificate);
        for (size_t i = 0; i < ELEMENTS(specs); i++)
            pki_deinit(&pkis[i]);
    }
}

static void an_ocsp_response_that_calls_it_good_vouches_for_its_time_and_no_other(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), another = pki_issue(&spec, &root);
    const time_t began = time(NULL) - 5;

    (void)state;
    for (int is_own = 0; is_own <= 1; is_own++) {
        size_t size = 0;
        unsigned char *der =
            pki_ocsp(&root, is_own ? leaf.certificate : another.certificate, 0, &size);
        const Presentation presentation = {.sent = {&leaf},
                                           .count = 1,
                                           .revocation = REVOCATION_IF_AVAILABLE,
                                           .ocsp = {der, size}};

        assert_accepted(&presentation, &leaf);
        assert_int_equal(judged_vouched >= began, is_own);
        OPENSSL_free(der);
    }
    pki_deinit(&leaf);
    pki_deinit(&another);
}

/* Forged, or about another certificate. */
static void an_ocsp_response_that_says_nothing_leaves_what_a_list_has_said(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), another = pki_issue(&spec, &root);
    CrlStore good, expired;
    Presentation presentation = {.sent = {&leaf}, .count = 1, .revocation = REVOCATION_REQUIRE};

    (void)state;
    assert_int_equal(crl_store_init(&good), 0);
    assert_int_equal(crl_store_init(&expired), 0);
    assert_true(sk_X509_CRL_push(good.crls, pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY)) > 0);
    assert_true(sk_X509_CRL_push(expired.crls, pki_crl(&root, NULL, -2L * PKI_DAY, -PKI_DAY)) > 0);
    for (int is_own = 0; is_own <= 1; is_own++) {
        size_t size = 0;
        unsigned char *der =
            pki_ocsp(&root, is_own ? leaf.certificate : another.certificate, 0, &size);

        der[size - 1] ^= 1; /* in its signature */
        presentation.ocsp = (Bytes){der, size};
        presentation.crls = &good;
        assert_accepted(&presentation, &leaf);
        presentation.crls = &expired;
        assert_refused(&presentation, PEER_E_REVOCATION_UNKNOWN,
                       is_own ? "has a wrong signature" : "CRL has expired");
        OPENSSL_free(der);
    }
    crl_store_deinit(&good);
    crl_store_deinit(&expired);
    pki_deinit(&leaf);
    pki_deinit(&another);
}

static void of_two_that_revoke_the_list_is_told(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    size_t size = 0;
    unsigned char *der = pki_ocsp(&root, leaf.certificate, 1, &size);
    CrlStore crls;
    const Presentation presentation = {.sent = {&leaf},
                                       .count = 1,
                                       .crls = &crls,
                                       .revocation = REVOCATION_IF_AVAILABLE,
                                       .ocsp = {der, size}};

    (void)state;
    assert_int_equal(crl_store_init(&crls), 0);
    assert_refused(&presentation, PEER_E_REVOKED, "OCSP, reason");
    assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&root, leaf.certificate, -PKI_HOUR, PKI_DAY)) >
                0);
    assert_refused(&presentation, PEER_E_REVOKED, "says the CRL of");
    OPENSSL_free(der);
    crl_store_deinit(&crls);
    pki_deinit(&leaf);
}

static void so_many_ocsp_responses_are_looked_at_and_none_more(void **state)
{
    static const uint8_t octet;
    const PkiSpec spec = pki_segw_spec(SEGW);
    const PeerProfile profile = peer_profile_3gpp();
    const PeerPolicy policy = {.anchors = &anchors, .profile = &profile, .segw_name = SEGW};
    Pki leaf = pki_issue(&spec, &root);
    Bytes ocsp[PEER_OCSP_MAX + 1];
    unsigned char *der = NULL;
    const int size = i2d_X509(leaf.certificate, &der);
    const Bytes shown = {der, (size_t)size};
    PeerReport report;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(ocsp); i++)
        ocsp[i] = (Bytes){&octet, 1};
    for (size_t n = PEER_OCSP_MAX; n <= PEER_OCSP_MAX + 1; n++) {
        const PeerEvidence evidence = {.certificates = &shown,
                                       .n_certificates = 1,
                                       .ocsp = ocsp,
                                       .n_ocsp = n,
                                       .now = time(NULL)};

        assert_int_equal(peer_judge(&policy, &evidence, &report), 0);
        assert_int_equal(report.refusal != NULL, n > PEER_OCSP_MAX);
        if (report.refusal)
            assert_string_equal(report.refusal->field, "number of OCSP responses");
        peer_report_deinit(&report);
    }
    OPENSSL_free(der);
    pki_deinit(&leaf);
}

/* Nothing is said of those whose issuer it is not. */
static void a_list_that_is_too_old_or_ahead_is_told_of_where_it_would_have_counted(void **state)
{
    static const struct {
        long this_update;
        const char *note;
    } cases[] = {
        {-2L * PKI_DAY,
         "Intermediate: let pass, as nothing is known: its issuer's CRL is older than"},
        {PKI_DAY, "Intermediate: let pass, as nothing is known: its issuer's CRL is of the future"},
    };
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    PeerProfile profile = peer_profile_3gpp();
    Presentation presentation = {.sent = {&leaf, &intermediate},
                                 .count = 2,
                                 .profile = &profile,
                                 .revocation = REVOCATION_IF_AVAILABLE};

    (void)state;
    profile.crl_hours_max = 24;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        CrlStore crls;

        assert_int_equal(crl_store_init(&crls), 0);
        assert_true(sk_X509_CRL_push(crls.crls,
                                     pki_crl(&root, NULL, cases[i].this_update, 3L * PKI_DAY)) > 0);
        presentation.crls = &crls;
        assert_accepted(&presentation, &leaf);
        if (!strstr(judged_last.note, cases[i].note))
            fail_msg("'%s' lacks '%s'", judged_last.note, cases[i].note);
        assert_non_null(
            strstr(judged_last.note, "SeGW: let pass, as nothing is known: unable to get"));
        crl_store_deinit(&crls);
    }
    pki_deinit(&leaf);
}

/* A policy without a store of CRLs. */
static void where_there_is_no_list_ocsp_alone_says_what_is_good(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    Presentation presentation = {
        .sent = {&leaf}, .count = 1, .revocation = REVOCATION_IF_AVAILABLE};

    (void)state;
    assert_accepted(&presentation, &leaf);
    presentation.revocation = REVOCATION_REQUIRE;
    assert_refused(&presentation, PEER_E_REVOCATION_UNKNOWN, "");
    for (int is_revoked = 0; is_revoked < 2; is_revoked++) {
        size_t size = 0;
        unsigned char *response = pki_ocsp(&root, leaf.certificate, is_revoked, &size);

        presentation.ocsp = (Bytes){response, size};
        if (is_revoked) {
            assert_refused(&presentation, PEER_E_REVOKED, "");
        } else {
            assert_accepted(&presentation, &leaf);
        }
        OPENSSL_free(response);
    }
    pki_deinit(&leaf);
}

/* OpenSSL looks at a list's dates first. */
static void what_is_wrong_with_a_list_out_of_date_is_that_it_is_forged(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), namesake = pki_root("Root");
    const Presentation presentation = {
        .sent = {&leaf}, .count = 1, .revocation = REVOCATION_REQUIRE};

    (void)state;
    for (int is_forged = 0; is_forged < 2; is_forged++) {
        Presentation shown = presentation;
        CrlStore crls;

        assert_int_equal(crl_store_init(&crls), 0);
        assert_true(sk_X509_CRL_push(crls.crls, pki_crl(is_forged ? &namesake : &root, NULL,
                                                        -30L * PKI_DAY, -10L * PKI_DAY)) > 0);
        shown.crls = &crls;
        assert_refused(&shown, PEER_E_REVOCATION_UNKNOWN,
                       is_forged ? "CRL signature failure" : "CRL has expired");
        crl_store_deinit(&crls);
    }
    pki_deinit(&namesake);
    pki_deinit(&leaf);
}

/* What else is wrong with a path is no news of its lists: each check says what it is about. */
static void of_an_unfit_certificate_too_its_list_says_that_it_is_not_revoked(void **state)
{
    const PeerProfile profile = peer_profile_3gpp();
    PkiSpec spec = pki_segw_spec(SEGW);
    CrlStore crls;

    (void)state;
    spec.key = "RSA-1024"; /* too small for OpenSSL, too */
    Pki leaf = pki_issue(&spec, &root);
    for (int revoked = 0; revoked < 2; revoked++) {
        const PeerPolicy policy = {.anchors = &anchors,
                                   .profile = &profile,
                                   .crls = &crls,
                                   .revocation = REVOCATION_REQUIRE,
                                   .segw_name = SEGW};
        unsigned char *der = NULL;
        const int size = i2d_X509(leaf.certificate, &der);
        const Bytes certificate = {der, (size_t)size};
        const PeerEvidence evidence = {
            .certificates = &certificate, .n_certificates = 1, .now = time(NULL)};
        const PeerCheck *revocation = NULL;
        PeerReport report;

        assert_int_equal(crl_store_init(&crls), 0);
        assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&root, revoked ? leaf.certificate : NULL,
                                                        -PKI_HOUR, PKI_DAY)) > 0);
        assert_int_equal(peer_judge(&policy, &evidence, &report), 0);
        assert_non_null(report.refusal);
        for (size_t i = 0; i < report.n_checks; i++) {
            if (strcmp(report.checks[i].name, "revocation") == 0)
                revocation = &report.checks[i];
        }
        assert_non_null(revocation);
        assert_int_equal(revocation->error, revoked ? PEER_E_REVOKED : 0);
        assert_int_equal(revocation->state, revoked ? PEER_CHECK_FAILED : PEER_CHECK_PASSED);
        assert_ptr_not_equal(revocation, report.refusal);
        peer_report_deinit(&report);
        crl_store_deinit(&crls);
        OPENSSL_free(der);
    }
    pki_deinit(&leaf);
}

/* As nothing can be later than a list whose date does not parse. */
static void what_a_list_without_a_date_revokes_is_not_taken_back(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    CrlStore crls;
    const Presentation presentation = {
        .sent = {&leaf}, .count = 1, .crls = &crls, .revocation = REVOCATION_REQUIRE};

    (void)state;
    for (int has_date = 0; has_date < 2; has_date++) {
        X509_CRL *revoking = pki_crl(&root, leaf.certificate, -2L * PKI_HOUR, PKI_DAY);

        assert_int_equal(crl_store_init(&crls), 0);
        if (!has_date) {
            ASN1_TIME *date = ASN1_STRING_dup(X509_CRL_get0_lastUpdate(revoking));
            assert_int_equal(ASN1_STRING_set(date, "999999999999Z", -1), 1);
            assert_int_equal(X509_CRL_set1_lastUpdate(revoking, date), 1);
            assert_true(X509_CRL_sign(revoking, root.key, EVP_sha256()) > 0);
            ASN1_STRING_free(date);
        }
        assert_true(sk_X509_CRL_push(crls.crls, revoking) > 0);
        assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY)) > 0);
        if (has_date)
            assert_accepted(&presentation, &leaf);
        else
            assert_refused(&presentation, PEER_E_REVOKED, "");
        crl_store_deinit(&crls);
    }
    pki_deinit(&leaf);
}

/* Two CAs have certified one key under one name: of one nobody knows whether that still holds, the
 * other has taken it back. Who was taken by the first while that was known is not to be lost for
 * the second: whichever comes first, what is lacking is a word. */
static void where_one_path_lacks_a_word_alone_that_is_said_and_what_is_revoked_too(void **state)
{
    PeerProfile profile = peer_profile_3gpp();
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki one = pki_intermediate("CA", &root), leaf = pki_issue(&spec, &one);
    const PkiSpec same = {.common_name = "CA",
                          .basic_constraints = "critical,CA:TRUE",
                          .key_usage = "critical,keyCertSign,cRLSign",
                          .public_key = one.key};
    Pki other = pki_issue(&same, &other_root);
    const Presentation orders[] = {{.sent = {&leaf, &one, &other}, .count = 3},
                                   {.sent = {&leaf, &other, &one}, .count = 3}};
    const struct {
        long until; /* the list of `one`'s issuer is in date; 0: there is none */
        bool other_revoked, all_revoked;
        int expected; /* 0: it is taken */
        const char *why;
    } cases[] = {
        {PKI_DAY, true, false, 0, ""},
        {-10L * PKI_DAY, true, false, PEER_E_REVOCATION_UNKNOWN, "CRL has expired"},
        {-10L * PKI_DAY, true, false, PEER_E_REVOCATION_UNKNOWN, "on another path "},
        {0, true, false, PEER_E_REVOCATION_UNKNOWN, "says the CRL of "},
        {0, false, false, PEER_E_REVOCATION_UNKNOWN, "unknown"},
        {PKI_DAY, true, true, PEER_E_REVOKED, "says the CRL of "},
        {-10L * PKI_DAY, false, true, PEER_E_REVOKED, "says the CRL of "},
        {0, false, true, PEER_E_REVOKED, "says the CRL of "},
    };

    (void)state;
    profile.cross_certificates = true;
    assert_true(sk_X509_push(anchors.certificates, other_root.certificate) > 0);
    for (size_t i = 0; i < ELEMENTS(cases) * ELEMENTS(orders); i++) {
        const size_t nth = i / ELEMENTS(orders);
        Presentation presentation = orders[i % ELEMENTS(orders)];
        CrlStore crls;

        assert_int_equal(crl_store_init(&crls), 0);
        assert_true(sk_X509_CRL_push(crls.crls,
                                     pki_crl(&one, cases[nth].all_revoked ? leaf.certificate : NULL,
                                             -PKI_HOUR, PKI_DAY)) > 0);
        if (cases[nth].until != 0) {
            assert_true(sk_X509_CRL_push(
                            crls.crls, pki_crl(&root, NULL, -30L * PKI_DAY, cases[nth].until)) > 0);
        }
        if (cases[nth].other_revoked) {
            assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&other_root, other.certificate,
                                                            -PKI_HOUR, PKI_DAY)) > 0);
        }
        presentation.profile = &profile;
        presentation.crls = &crls;
        presentation.revocation = REVOCATION_REQUIRE;
        if (cases[nth].expected == 0) {
            assert_accepted(&presentation, &leaf);
        } else {
            assert_refused(&presentation, cases[nth].expected, cases[nth].why);
        }
        crl_store_deinit(&crls);
    }
    (void)sk_X509_pop(anchors.certificates);
    pki_deinit(&other);
    pki_deinit(&one);
    pki_deinit(&leaf);
}

/* A SeGW whose CA two roots have certified, and the lists that there are: of the CA, and of each
 * root that has `until` (in date) or `revokes` set. */
typedef struct Crossed {
    Pki ca, cross, leaf;
    PeerProfile profile;
    CrlStore crls;
} Crossed;

typedef struct RootSays {
    long until; /* its list is in date; 0: there is none */
    bool revokes;
} RootSays;

static void crossed_init(Crossed *crossed)
{
    const PkiSpec spec = pki_segw_spec(SEGW);

    crossed->ca = pki_intermediate("CA", &root);
    const PkiSpec same = {.common_name = "CA",
                          .basic_constraints = "critical,CA:TRUE",
                          .key_usage = "critical,keyCertSign,cRLSign",
                          .public_key = crossed->ca.key};
    crossed->cross = pki_issue(&same, &other_root);
    crossed->leaf = pki_issue(&spec, &crossed->ca);
    crossed->profile = peer_profile_3gpp();
    crossed->profile.cross_certificates = true;
    assert_true(sk_X509_push(anchors.certificates, other_root.certificate) > 0);
}

static void crossed_deinit(Crossed *crossed)
{
    (void)sk_X509_pop(anchors.certificates);
    pki_deinit(&crossed->cross);
    pki_deinit(&crossed->ca);
    pki_deinit(&crossed->leaf);
}

static void list_put(CrlStore *crls, const Pki *issuer, const Pki *subject, RootSays says)
{
    if (says.until == 0)
        return;
    assert_true(
        sk_X509_CRL_push(crls->crls, pki_crl(issuer, says.revokes ? subject->certificate : NULL,
                                             -30L * PKI_DAY, says.until)) > 0);
}

/* In either order the same: 0, or PEER_E_…; judged_path is which path that is about. */
static int crossed_judge(const Crossed *crossed, VerifyPath path, RootSays first, RootSays second)
{
    Presentation shown = {.sent = {&crossed->leaf, &crossed->ca, &crossed->cross},
                          .count = 3,
                          .profile = &crossed->profile,
                          .revocation = REVOCATION_REQUIRE,
                          .path = path};
    int results[2];
    CrlStore crls;

    assert_int_equal(crl_store_init(&crls), 0);
    assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&crossed->ca, NULL, -PKI_HOUR, PKI_DAY)) > 0);
    list_put(&crls, &root, &crossed->ca, first);
    list_put(&crls, &other_root, &crossed->cross, second);
    shown.crls = &crls;
    for (size_t i = 0; i < ELEMENTS(results); i++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        const VerifyPath before = judged_path;
        Reason reason;

        results[i] = judge(&shown, &key, &reason);
        assert_true(i == 0 || verify_path_equal(&judged_path, &before));
        shown.sent[1] = &crossed->cross;
        shown.sent[2] = &crossed->ca;
    }
    assert_int_equal(results[0], results[1]);
    crl_store_deinit(&crls);
    return results[0];
}

/* The other path bears it if that is fit; never for want of a word against it. */
static void what_becomes_of_who_was_taken_by_a_path_is_said_of_that_path(void **state)
{
    const RootSays good = {PKI_DAY, false}, revoked = {PKI_DAY, true},
                   old = {-10L * PKI_DAY, false}, nothing = {0, false};
    const VerifyPath none = {0};
    VerifyPath first, second;
    Crossed crossed;

    (void)state;
    crossed_init(&crossed);
    assert_int_equal(crossed_judge(&crossed, none, good, nothing), 0);
    first = judged_path;
    assert_int_equal(crossed_judge(&crossed, none, nothing, good), 0);
    second = judged_path;
    assert_false(verify_path_equal(&first, &second));
    const struct {
        RootSays first, second;
        int expected;
        const VerifyPath *path;
    } cases[] = {
        {revoked, nothing, PEER_E_REVOKED, &first},
        {revoked, old, PEER_E_REVOKED, &first},
        {revoked, revoked, PEER_E_REVOKED, &first},
        {old, nothing, PEER_E_REVOCATION_UNKNOWN, &first},
        {nothing, old, PEER_E_REVOCATION_UNKNOWN, &first},
        {old, revoked, PEER_E_REVOCATION_UNKNOWN, &first},
        {revoked, good, 0, &second},
        {old, good, 0, &second},
        {good, revoked, 0, &first},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(crossed_judge(&crossed, first, cases[i].first, cases[i].second),
                         cases[i].expected);
        assert_true(verify_path_equal(&judged_path, cases[i].path));
    }
    /* An anchor that is gone takes the path along. */
    (void)sk_X509_shift(anchors.certificates);
    assert_int_equal(crossed_judge(&crossed, first, good, nothing), PEER_E_REVOCATION_UNKNOWN);
    assert_true(verify_path_equal(&judged_path, &second));
    (void)sk_X509_shift(anchors.certificates);
    {
        const Presentation shown = {.sent = {&crossed.leaf, &crossed.ca}, .count = 2};

        assert_refused(&shown, PEER_E_NOT_TRUSTED, "");
        assert_false(verify_path_equal(&judged_path, &judged_path)); /* it is none */
    }
    assert_true(sk_X509_push(anchors.certificates, root.certificate) > 0);
    assert_true(sk_X509_push(anchors.certificates, other_root.certificate) > 0);
    crossed_deinit(&crossed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_becomes_of_who_was_taken_by_a_path_is_said_of_that_path),
        cmocka_unit_test(what_is_wrong_with_a_list_out_of_date_is_that_it_is_forged),
        cmocka_unit_test(of_an_unfit_certificate_too_its_list_says_that_it_is_not_revoked),
        cmocka_unit_test(what_a_list_without_a_date_revokes_is_not_taken_back),
        cmocka_unit_test(where_one_path_lacks_a_word_alone_that_is_said_and_what_is_revoked_too),
        cmocka_unit_test(of_each_certificate_it_is_noted_by_whose_word_it_is_taken),
        cmocka_unit_test(
            a_peer_is_taken_until_the_first_certificate_ends_and_vouches_for_the_last_begin),
        cmocka_unit_test(an_ocsp_response_that_calls_it_good_vouches_for_its_time_and_no_other),
        cmocka_unit_test(an_ocsp_response_that_says_nothing_leaves_what_a_list_has_said),
        cmocka_unit_test(of_two_that_revoke_the_list_is_told),
        cmocka_unit_test(so_many_ocsp_responses_are_looked_at_and_none_more),
        cmocka_unit_test(a_list_that_is_too_old_or_ahead_is_told_of_where_it_would_have_counted),
        cmocka_unit_test(where_there_is_no_list_ocsp_alone_says_what_is_good),
        cmocka_unit_test(a_fit_segw_is_taken_with_each_key_of_the_profile),
        cmocka_unit_test(the_rest_of_the_chain_comes_in_any_order_and_with_strangers),
        cmocka_unit_test(the_first_certificate_is_the_end_entitys_whatever_follows),
        cmocka_unit_test(an_intermediate_can_be_the_anchor),
        cmocka_unit_test(a_certificate_from_another_root_is_not_trusted),
        cmocka_unit_test(a_root_of_the_same_name_is_not_trusted),
        cmocka_unit_test(an_expired_certificate_is_told_with_its_date),
        cmocka_unit_test(a_certificate_of_the_future_is_told_with_its_date),
        cmocka_unit_test(the_time_is_the_callers_not_the_systems),
        cmocka_unit_test(a_certificate_is_good_from_its_first_second_through_its_last),
        cmocka_unit_test(a_date_that_does_not_parse_is_never_good),
        cmocka_unit_test(of_a_date_it_is_told_what_time_it_is_held_against),
        cmocka_unit_test(an_expired_intermediate_is_named),
        cmocka_unit_test(who_has_to_act_is_whose_certificate_has_expired),
        cmocka_unit_test(a_segw_that_is_its_own_anchor_has_to_act_itself),
        cmocka_unit_test(an_issuer_that_is_no_ca_is_unfit),
        cmocka_unit_test(an_intermediate_with_a_short_key_is_unfit),
        cmocka_unit_test(an_anchor_with_a_short_key_is_told_as_an_anchor),
        cmocka_unit_test(key_usage_without_digital_signature_is_unfit),
        cmocka_unit_test(key_usage_is_to_be_critical_where_it_is_required),
        cmocka_unit_test(a_cas_certificate_is_unfit_for_a_segw),
        cmocka_unit_test(a_key_outside_the_profile_is_unfit),
        cmocka_unit_test(an_extension_that_is_there_twice_is_unfit),
        cmocka_unit_test(of_extended_usages_none_is_asked_for_where_the_profile_takes_any),
        cmocka_unit_test(a_curve_that_nobody_knows_is_not_the_one_that_the_profile_adds),
        cmocka_unit_test(a_name_is_of_printable_ascii_from_the_first_octet_to_the_last),
        cmocka_unit_test(an_rsa_key_has_as_many_bits_as_the_profile_says),
        cmocka_unit_test(an_rsa_exponent_is_from_65537_to_one_of_32_bits),
        cmocka_unit_test(a_signature_with_a_weak_or_unnamed_hash_is_unfit),
        cmocka_unit_test(certificates_that_do_not_parse_are_malformed),
        cmocka_unit_test(a_certificate_and_all_that_is_shown_have_a_largest_size),
        cmocka_unit_test(no_certificate_and_a_ninth_are_refused),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}

/* Is it known which list is the last of each issuer, and which nobody needs any more? */
#include "peer_fixture.h"

#include "verify/crls.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MINUTE = 60 };

typedef struct Lists {
    CrlStore store;
    PeerSeen seen;
    CrlSigners signers;
} Lists;

static Lists lists;

static int setup(void **state)
{
    (void)state;
    lists = (Lists){0};
    lists.signers = (CrlSigners){&anchors, &lists.store, &lists.seen};
    return crl_store_init(&lists.store);
}

static int teardown(void **state)
{
    (void)state;
    crl_store_deinit(&lists.store);
    peer_seen_deinit(&lists.seen);
    return 0;
}

static X509_CRL *add(X509_CRL *crl)
{
    assert_true(sk_X509_CRL_push(lists.store.crls, crl) > 0);
    return crl;
}

static X509_CRL *add_of_age(const Pki *issuer, long minutes)
{
    return add(pki_crl(issuer, NULL, -minutes * MINUTE, PKI_DAY));
}

static bool is_obsolete(int first, int count)
{
    return crl_lists_are_obsolete(&lists.signers, first, count, time(NULL));
}

static void see(const Pki *ca)
{
    unsigned char *der = NULL;
    const int size = i2d_X509(ca->certificate, &der);

    assert_true(size > 0);
    peer_seen_keep(&lists.seen, (Bytes){der, (size_t)size}, ca->certificate);
    OPENSSL_free(der);
}

static void a_list_is_needed_until_a_later_one_is_there(void **state)
{
    (void)state;
    add_of_age(&root, 10);
    assert_false(is_obsolete(0, 1));
    add_of_age(&root, 5);
    assert_true(is_obsolete(0, 1));
    assert_false(is_obsolete(1, 1));
    assert_false(is_obsolete(0, 2)); /* a file is needed if one of its lists is */
    assert_false(is_obsolete(0, 0));
}

static void add_issuer(const Pki *ca)
{
    assert_int_equal(X509_up_ref(ca->certificate), 1);
    assert_true(sk_X509_push(lists.store.issuers, ca->certificate) > 0);
}

static void whoever_signed_is_known_by_a_certificate_beside_the_lists_too(void **state)
{
    (void)state;
    add_of_age(&intermediate, 10);
    add_of_age(&intermediate, 5);
    assert_false(is_obsolete(0, 1)); /* nobody knows who has signed it */
    add_issuer(&other_root);
    assert_false(is_obsolete(0, 1));
    add_issuer(&intermediate);
    assert_true(is_obsolete(0, 1));
    X509_free(sk_X509_pop(lists.store.issuers));
    assert_false(is_obsolete(0, 1));
    see(&other_root);
    assert_false(is_obsolete(0, 1));
    see(&intermediate); /* in the second place */
    assert_true(is_obsolete(0, 1));
}

static void a_list_of_the_same_time_replaces_nothing(void **state)
{
    X509_CRL *first = add_of_age(&root, 10);
    X509_CRL *second = add(X509_CRL_dup(first));

    (void)state;
    assert_non_null(second);
    assert_false(is_obsolete(0, 1));
    assert_false(is_obsolete(1, 1));
}

static void a_forged_list_replaces_nothing_and_is_nobodys_last(void **state)
{
    Pki namesake = pki_root("Root");
    CrlsFacts facts;

    (void)state;
    add_of_age(&root, 10);
    add_of_age(&namesake, 5);
    assert_false(is_obsolete(0, 1));
    crl_facts_find(&lists.signers, &facts);
    assert_int_equal(facts.n_issuers, 1);
    assert_int_equal((time(NULL) - facts.issuers[0].this_update + 5) / MINUTE, 10);
    pki_deinit(&namesake);
}

static void a_list_of_another_issuer_replaces_nothing(void **state)
{
    (void)state;
    add_of_age(&root, 10);
    add_of_age(&other_root, 5);
    assert_false(is_obsolete(0, 1));
}

static void a_list_ahead_of_the_clock_replaces_nothing_yet(void **state)
{
    (void)state;
    add_of_age(&root, 10);
    add_of_age(&root, -10);
    assert_false(is_obsolete(0, 1));
    assert_true(crl_lists_are_obsolete(&lists.signers, 0, 1, time(NULL) + 11L * MINUTE));
}

static X509_CRL *signed_anew(X509_CRL *crl)
{
    assert_true(X509_CRL_sign(crl, root.key, EVP_sha256()) > 0);
    return crl;
}

static X509_CRL *as_delta(X509_CRL *crl)
{
    ASN1_INTEGER *base = ASN1_INTEGER_new();

    assert_true(base && ASN1_INTEGER_set(base, 1));
    assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0), 1);
    ASN1_INTEGER_free(base);
    return signed_anew(crl);
}

static X509_CRL *for_users_only(X509_CRL *crl)
{
    ISSUING_DIST_POINT *point = ISSUING_DIST_POINT_new();

    assert_non_null(point);
    point->onlyuser = 0xff;
    assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, point, 1, 0), 1);
    ISSUING_DIST_POINT_free(point);
    return signed_anew(crl);
}

static void a_later_delta_replaces_nothing(void **state)
{
    (void)state;
    add_of_age(&root, 10);
    (void)as_delta(add_of_age(&root, 5));
    assert_false(is_obsolete(0, 1));
}

static void a_later_list_of_another_scope_replaces_nothing(void **state)
{
    (void)state;
    add_of_age(&root, 10);
    (void)for_users_only(add_of_age(&root, 5));
    assert_false(is_obsolete(0, 1));
    (void)for_users_only(add_of_age(&root, 4));
    assert_true(is_obsolete(1, 1));
}

/* On what such a list leaves out nobody is taken, so that what an older one says still counts. */
static void a_later_list_that_can_take_nothing_back_replaces_nothing(void **state)
{
    X509_CRL *crl;
    X509_REVOKED *entry;
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *unknown = OBJ_txt2obj("1.2.3.4.5", 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, unknown, 1, octets);

    (void)state;
    assert_non_null(extension);
    add_of_age(&root, 10);
    crl = add_of_age(&root, 9);
    assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
    (void)signed_anew(crl);
    assert_false(is_obsolete(0, 1));
    crl = add(pki_crl(&root, intermediate.certificate, -8L * MINUTE, PKI_DAY));
    entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 0);
    assert_int_equal(X509_REVOKED_add_ext(entry, extension, -1), 1);
    (void)signed_anew(crl);
    assert_false(is_obsolete(0, 1));
    crl = add_of_age(&root, 7);
    assert_true(X509_CRL_sign(crl, root.key, EVP_sha1()) > 0);
    assert_false(is_obsolete(0, 1));
    add_of_age(&root, 6);
    assert_true(is_obsolete(0, 1));
    X509_EXTENSION_free(extension);
    ASN1_OBJECT_free(unknown);
    ASN1_OCTET_STRING_free(octets);
}

static void a_list_of_a_ca_without_crl_sign_replaces_nothing(void **state)
{
    PkiSpec spec = {.common_name = "Mute",
                    .basic_constraints = "critical,CA:TRUE",
                    .key_usage = "critical,keyCertSign"};
    Pki mute = pki_issue(&spec, &root);

    (void)state;
    spec.key_usage = "critical,keyCertSign,cRLSign";
    spec.public_key = mute.key;
    Pki speaking = pki_issue(&spec, &root);
    add_of_age(&mute, 10);
    add_of_age(&mute, 5);
    add_issuer(&mute);
    assert_false(is_obsolete(0, 1));
    X509_free(sk_X509_pop(lists.store.issuers));
    add_issuer(&speaking);
    assert_true(is_obsolete(0, 1));
    pki_deinit(&speaking);
    pki_deinit(&mute);
}

/* Its certificate comes with a SeGW's chain. */
static void an_intermediates_list_is_needed_until_its_certificate_is_known(void **state)
{
    (void)state;
    add_of_age(&intermediate, 10);
    add_of_age(&intermediate, 5);
    assert_false(is_obsolete(0, 1));
    see(&intermediate);
    assert_true(is_obsolete(0, 1));
}

static void the_last_list_of_each_issuer_is_told(void **state)
{
    CrlsFacts facts;

    (void)state;
    add_of_age(&root, 10);
    add_of_age(&intermediate, 20);
    add_of_age(&root, 5);
    add_of_age(&root, 15);
    crl_facts_find(&lists.signers, &facts);
    assert_int_equal(facts.n_issuers, 2);
    assert_non_null(strstr(facts.issuers[0].issuer, "CN=Root"));
    assert_non_null(strstr(facts.issuers[1].issuer, "CN=Intermediate"));
    assert_int_equal((time(NULL) - facts.issuers[0].this_update + 5) / MINUTE, 5);
    assert_int_equal((time(NULL) - facts.issuers[1].this_update + 5) / MINUTE, 20);
    assert_true(facts.issuers[0].next_update > time(NULL));
}

static void of_two_lists_of_one_time_the_first_is_told(void **state)
{
    X509_CRL *first = add_of_age(&root, 10);
    X509_CRL *second = X509_CRL_dup(first);
    ASN1_TIME *sooner = X509_gmtime_adj(NULL, PKI_HOUR);
    CrlsFacts facts;

    (void)state;
    assert_int_equal(X509_CRL_set1_nextUpdate(second, sooner), 1);
    (void)signed_anew(add(second));
    crl_facts_find(&lists.signers, &facts);
    assert_int_equal(facts.n_issuers, 1);
    assert_true(facts.issuers[0].next_update > time(NULL) + PKI_HOUR);
    ASN1_TIME_free(sooner);
}

static void the_last_lists_of_so_many_issuers_are_told(void **state)
{
    CrlsFacts facts;

    (void)state;
    for (size_t n = 1; n <= FRAME_CRL_ISSUERS_MAX + 1; n++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "Root %zu", n);
        Pki issuer = pki_root(name);
        add_of_age(&issuer, 10);
        pki_deinit(&issuer);
        crl_facts_find(&lists.signers, &facts);
        assert_int_equal(facts.n_issuers, n < FRAME_CRL_ISSUERS_MAX ? n : FRAME_CRL_ISSUERS_MAX);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_list_is_needed_until_a_later_one_is_there),
        TEST(whoever_signed_is_known_by_a_certificate_beside_the_lists_too),
        TEST(a_list_of_the_same_time_replaces_nothing),
        TEST(a_forged_list_replaces_nothing_and_is_nobodys_last),
        TEST(a_list_of_another_issuer_replaces_nothing),
        TEST(a_list_ahead_of_the_clock_replaces_nothing_yet),
        TEST(a_later_delta_replaces_nothing),
        TEST(a_later_list_of_another_scope_replaces_nothing),
        TEST(a_later_list_that_can_take_nothing_back_replaces_nothing),
        TEST(a_list_of_a_ca_without_crl_sign_replaces_nothing),
        TEST(an_intermediates_list_is_needed_until_its_certificate_is_known),
        TEST(the_last_list_of_each_issuer_is_told),
        TEST(of_two_lists_of_one_time_the_first_is_told),
        TEST(the_last_lists_of_so_many_issuers_are_told),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}

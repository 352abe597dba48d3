/* Are the anchors CAs, each once, and hashed as CERTREQ wants it? */
#include "verify/anchors.h"

#include "pki_fixture.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Writes the certificates into a file, PEM and DER in turn by `der`, and reads it as anchors. */
static int anchors_of(const Pki *const *pkis, size_t count, bool der, AnchorStore **ret,
                      Reason *reason)
{
    char path[TEMPORARY_PATH_SIZE];
    BIO *file;
    int fd, r;

    temporary_path("test_anchors", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = BIO_new_fd(fd, BIO_CLOSE);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(der ? i2d_X509_bio(file, pkis[i]->certificate)
                             : PEM_write_bio_X509(file, pkis[i]->certificate),
                         1);
    }
    BIO_free(file);
    r = anchor_store_read(path, ret, reason);
    (void)unlink(path);
    return r;
}

static void those_that_are_named_count_alone(void **state)
{
    Pki pkis[3] = {pki_root("One"), pki_root("Two"), pki_root("Three")};
    const Pki *const all[] = {&pkis[0], &pkis[1], &pkis[2]};
    uint8_t prints[2][ANCHOR_FINGERPRINT_SIZE];
    AnchorStore *anchors = NULL, *chosen = NULL;
    Reason reason = {0};

    (void)state;
    assert_int_equal(anchors_of(all, 3, false, &anchors, &reason), 0);
    assert_int_equal(X509_digest(pkis[2].certificate, EVP_sha256(), prints[0], NULL), 1);
    assert_int_equal(X509_digest(pkis[0].certificate, EVP_sha256(), prints[1], NULL), 1);

    assert_int_equal(anchor_store_choose(anchors, prints, 1, &chosen), 0);
    assert_int_equal(sk_X509_num(chosen->certificates), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chosen->certificates, 0), pkis[2].certificate), 0);
    anchor_store_unref(chosen);

    assert_int_equal(anchor_store_choose(anchors, prints, 2, &chosen), 0);
    assert_int_equal(sk_X509_num(chosen->certificates), 2);
    anchor_store_unref(chosen);

    prints[0][31] ^= 1; /* nobody's */
    assert_int_equal(anchor_store_choose(anchors, prints, 1, &chosen), 0);
    assert_int_equal(sk_X509_num(chosen->certificates), 0);
    anchor_store_unref(chosen);

    assert_int_equal(anchor_store_choose(anchors, prints, 0, &chosen), 0);
    assert_ptr_equal(chosen, anchors);
    anchor_store_unref(chosen);
    anchor_store_unref(anchors);
    for (size_t i = 0; i < ELEMENTS(pkis); i++)
        pki_deinit(&pkis[i]);
}

static void every_ca_of_a_file_is_taken_once(void **state)
{
    Pki one = pki_root("One");
    Pki two = pki_root("Two");
    Pki between = pki_intermediate("Between", &one);
    const Pki *const pkis[] = {&one, &two, &one, &between, &two};

    (void)state;
    for (int der = 0; der < 2; der++) {
        _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;
        Reason reason = {0};

        assert_int_equal(anchors_of(pkis, 5, der, &anchors, &reason), 0);
        assert_int_equal(sk_X509_num(anchors->certificates), 3);
        assert_int_equal(anchors->count, 3);
    }
    pki_deinit(&one);
    pki_deinit(&two);
    pki_deinit(&between);
}

/* RFC 7296 3.7: over the whole SubjectPublicKeyInfo, not over the key's BIT STRING alone. */
static void the_hash_is_sha1_of_the_whole_subject_public_key_info(void **state)
{
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;
    Pki root = pki_root("Root");
    const Pki *const pkis[] = {&root};
    Reason reason = {0};
    uint8_t expected[ANCHOR_HASH_SIZE];
    unsigned char *spki = NULL;
    const int size = i2d_PUBKEY(root.key, &spki);

    (void)state;
    assert_true(size > 0);
    assert_int_equal(EVP_Digest(spki, (size_t)size, expected, NULL, EVP_sha1(), NULL), 1);
    OPENSSL_free(spki);
    assert_int_equal(anchors_of(pkis, 1, false, &anchors, &reason), 0);
    assert_memory_equal(anchors->hashes[0], expected, sizeof(expected));
    pki_deinit(&root);
}

static void a_renewed_root_is_a_second_anchor_with_the_same_hash(void **state)
{
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;
    Pki root = pki_root("Root");
    const PkiSpec spec = {
        .common_name = "Root",
        .basic_constraints = "critical,CA:TRUE",
        .public_key = root.key,
        .valid_until = 20L * PKI_DAY,
    };
    Pki renewed = pki_issue(&spec, NULL);
    const Pki *const pkis[] = {&root, &renewed};
    Reason reason = {0};

    (void)state;
    assert_int_equal(anchors_of(pkis, 2, false, &anchors, &reason), 0);
    assert_int_equal(sk_X509_num(anchors->certificates), 2);
    assert_int_equal(anchors->count, 1);
    pki_deinit(&root);
    pki_deinit(&renewed);
}

static void what_is_no_fit_ca_is_named_by_position_and_subject(void **state)
{
    static const struct {
        PkiSpec spec;
        const char *why;
    } cases[] = {
        {{.common_name = "Leaf"}, "is not a CA"},
        {{.common_name = "Not", .basic_constraints = "CA:FALSE"}, "is not a CA"},
        {{.common_name = "Use",
          .basic_constraints = "critical,CA:TRUE",
          .key_usage = "digitalSignature"},
         "is not a CA"},
        {{.common_name = "Short", .basic_constraints = "critical,CA:TRUE", .key = "RSA-1024"},
         "2048 bits"},
    };
    Pki root = pki_root("Root");

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Reason reason = {0};
        AnchorStore *anchors = NULL;
        Pki bad = pki_issue(&cases[i].spec, NULL);
        const Pki *const pkis[] = {&root, &bad};

        assert_int_equal(anchors_of(pkis, 2, false, &anchors, &reason), -EINVAL);
        assert_null(anchors);
        if (!strstr(reason.text, "certificate 2 (") ||
            !strstr(reason.text, cases[i].spec.common_name) || !strstr(reason.text, cases[i].why))
            fail_msg("%s", reason.text);
        pki_deinit(&bad);
    }
    pki_deinit(&root);
}

static void an_absent_file_is_told_apart(void **state)
{
    Reason reason = {0};
    AnchorStore *anchors = NULL;

    (void)state;
    assert_int_equal(anchor_store_read("/nowhere/anchors.pem", &anchors, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nowhere/anchors.pem"));
}

static unsigned certificates_freed;

static void count_free(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argument,
                       void *more)
{
    (void)parent, (void)data, (void)all, (void)index, (void)argument, (void)more;
    certificates_freed++;
}

static void a_store_lives_as_long_as_someone_refers_to_it(void **state)
{
    Pki root = pki_root("Root");
    const Pki *const pkis[] = {&root};
    Reason reason = {0};
    AnchorStore *anchors = NULL;
    AnchorStore *second;

    (void)state;
    assert_true(X509_get_ex_new_index(0, NULL, NULL, NULL, count_free) >= 0);
    assert_int_equal(anchors_of(pkis, 1, false, &anchors, &reason), 0);
    second = anchor_store_ref(anchors);
    certificates_freed = 0;
    anchor_store_unref(anchors);
    assert_int_equal(certificates_freed, 0);
    assert_int_equal(sk_X509_num(second->certificates), 1);
    anchor_store_unref(second);
    assert_int_equal(certificates_freed, 1);
    pki_deinit(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ca_of_a_file_is_taken_once),
        cmocka_unit_test(those_that_are_named_count_alone),
        cmocka_unit_test(the_hash_is_sha1_of_the_whole_subject_public_key_info),
        cmocka_unit_test(a_renewed_root_is_a_second_anchor_with_the_same_hash),
        cmocka_unit_test(what_is_no_fit_ca_is_named_by_position_and_subject),
        cmocka_unit_test(an_absent_file_is_told_apart),
        cmocka_unit_test(a_store_lives_as_long_as_someone_refers_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

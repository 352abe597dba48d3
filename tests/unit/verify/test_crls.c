/* Is every list of a file read, or none of it, and what is wrong told? */
#include "pki_fixture.h"
#include "temporary.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "verify/crls.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static Pki root;
static X509_CRL *list;

static int setup(void **state)
{
    (void)state;
    root = pki_root("Root");
    list = pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    X509_CRL_free(list);
    pki_deinit(&root);
    return 0;
}

/* How many lists are in a file of that PEM text, a list twice and `before`, `between` and `after`
 * around them; or -errno. */
static int decode(const char *before, const char *between, const char *after, const char *why)
{
    BIO *file = BIO_new(BIO_s_mem());
    Reason reason = {0};
    CrlStore store;
    char *data = NULL;
    int r;

    assert_true(BIO_puts(file, before) >= 0 && PEM_write_bio_X509_CRL(file, list) == 1);
    assert_true(BIO_puts(file, between) >= 0 && PEM_write_bio_X509_CRL(file, list) == 1);
    assert_true(BIO_puts(file, after) >= 0);
    const long size = BIO_get_mem_data(file, &data);
    assert_int_equal(crl_store_init(&store), 0);
    r = crl_store_decode(&store, (Bytes){(uint8_t *)data, (size_t)size}, "file", &reason);
    if (r == 0)
        r = sk_X509_CRL_num(store.crls);
    else
        assert_int_equal(sk_X509_CRL_num(store.crls) + sk_X509_num(store.issuers), 0);
    if (!strstr(reason.text, why))
        fail_msg("'%s' lacks '%s'", reason.text, why);
    crl_store_deinit(&store);
    BIO_free(file);
    return r;
}

static void no_list_is_passed_over_for_the_form_of_its_lines(void **state)
{
    (void)state;
    assert_int_equal(decode("", "", "", ""), 2);
    assert_int_equal(decode("\xef\xbb\xbf", "", "", ""), 2);
    assert_int_equal(decode(" ", "\t", "", ""), 2);
    assert_int_equal(decode("a note\r", "\r\n", "another", ""), 2);
}

static void of_a_file_with_a_flaw_nothing_is_taken(void **state)
{
    (void)state;
    assert_int_equal(decode("", "", "-----BEGIN X509 CRL-----\nMII", "damaged"), -EINVAL);
    assert_int_equal(decode("", "-----BEGIN X", "", "damaged"), -EINVAL);
    assert_int_equal(decode("", "", "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
                            "neither CRL nor certificate"),
                     -EINVAL);
}

/* DER of the list, or of its issuer's certificate; the caller's to OPENSSL_free(). */
static Bytes der_of(bool is_issuer)
{
    unsigned char *der = NULL;
    const int size = is_issuer ? i2d_X509(root.certificate, &der) : i2d_X509_CRL(list, &der);

    assert_true(size > 0);
    return (Bytes){der, (size_t)size};
}

/* The one list in PEM, and blanks up to `size` octets; the caller's to free(). */
static char *padded(size_t size)
{
    BIO *file = BIO_new(BIO_s_mem());
    char *data = NULL, *ret = malloc(size);

    assert_non_null(ret);
    assert_int_equal(PEM_write_bio_X509_CRL(file, list), 1);
    const long written = BIO_get_mem_data(file, &data);
    assert_true(written > 0 && (size_t)written <= size);
    memset(ret, '\n', size);
    memcpy(ret, data, (size_t)written);
    BIO_free(file);
    return ret;
}

static void a_file_is_read_up_to_its_largest_size_and_no_further(void **state)
{
    const size_t too_large = CRL_FILE_SIZE_MAX + 1;
    char *data = padded(too_large);
    Reason reason = {0};
    CrlStore store;

    (void)state;
    assert_int_equal(crl_store_init(&store), 0);
    assert_int_equal(crl_store_decode(&store, (Bytes){(uint8_t *)data, too_large}, "f", &reason),
                     -EINVAL);
    assert_non_null(strstr(reason.text, "larger than 8 MiB"));
    assert_int_equal(crl_store_decode(&store, (Bytes){0}, "f", &reason), -EINVAL);
    assert_int_equal(sk_X509_CRL_num(store.crls), 0);
    assert_int_equal(
        crl_store_decode(&store, (Bytes){(uint8_t *)data, too_large - 1}, "f", &reason), 0);
    assert_int_equal(sk_X509_CRL_num(store.crls), 1);
    crl_store_deinit(&store);
    free(data);
}

static void der_is_one_list_or_one_certificate_and_nothing_more(void **state)
{
    (void)state;
    for (int is_issuer = 0; is_issuer <= 1; is_issuer++) {
        const Bytes der = der_of(is_issuer);
        uint8_t *longer = malloc(der.size + 1);
        Reason reason = {0};
        CrlStore store;

        assert_non_null(longer);
        memcpy(longer, der.data, der.size);
        longer[der.size] = 0;
        assert_int_equal(crl_store_init(&store), 0);
        assert_int_equal(crl_store_decode(&store, (Bytes){longer, der.size + 1}, "f", &reason),
                         -EINVAL);
        assert_non_null(strstr(reason.text, "something after it"));
        assert_int_equal(crl_store_decode(&store, (Bytes){longer, der.size - 1}, "f", &reason),
                         -EINVAL);
        assert_int_equal(sk_X509_CRL_num(store.crls) + sk_X509_num(store.issuers), 0);
        assert_int_equal(crl_store_decode(&store, (Bytes){longer, der.size}, "f", &reason), 0);
        assert_int_equal(sk_X509_CRL_num(store.crls), !is_issuer);
        assert_int_equal(sk_X509_num(store.issuers), is_issuer);
        crl_store_deinit(&store);
        free(longer);
        OPENSSL_free((void *)(uintptr_t)der.data);
    }
}

static void a_list_that_does_not_say_until_when_it_holds_is_refused(void **state)
{
    X509_CRL *endless = X509_CRL_new();
    unsigned char *der = NULL;
    Reason reason = {0};
    CrlStore store;

    (void)state;
    assert_int_equal(X509_CRL_set_version(endless, X509_CRL_VERSION_2), 1);
    assert_int_equal(X509_CRL_set_issuer_name(endless, X509_CRL_get_issuer(list)), 1);
    assert_int_equal(X509_CRL_set1_lastUpdate(endless, X509_CRL_get0_lastUpdate(list)), 1);
    assert_true(X509_CRL_sign(endless, root.key, EVP_sha256()) > 0);
    const int size = i2d_X509_CRL(endless, &der);
    assert_int_equal(crl_store_init(&store), 0);
    assert_int_equal(crl_store_decode(&store, (Bytes){der, (size_t)size}, "f", &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "has no nextUpdate"));
    assert_int_equal(sk_X509_CRL_num(store.crls), 0);
    crl_store_deinit(&store);
    OPENSSL_free(der);
    X509_CRL_free(endless);
}

static void there_is_room_for_so_many_lists_and_certificates_and_no_more(void **state)
{
    static const int room[] = {CRLS_MAX, CRL_ISSUERS_MAX};

    (void)state;
    for (int is_issuer = 0; is_issuer <= 1; is_issuer++) {
        const Bytes der = der_of(is_issuer);
        Reason reason = {0};
        CrlStore store;

        assert_int_equal(crl_store_init(&store), 0);
        for (int i = 0; i < room[is_issuer]; i++)
            assert_int_equal(crl_store_decode(&store, der, "f", &reason), 0);
        assert_int_equal(crl_store_decode(&store, der, "f", &reason), -EINVAL);
        assert_non_null(strstr(reason.text, "than are looked at"));
        assert_int_equal(sk_X509_CRL_num(store.crls) + sk_X509_num(store.issuers), room[is_issuer]);
        crl_store_deinit(&store);
        OPENSSL_free((void *)(uintptr_t)der.data);
    }
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[2 * TEMPORARY_PATH_SIZE];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    if (text)
        assert_true(fputs(text, file) >= 0);
    else
        assert_int_equal(PEM_write_X509_CRL(file, list), 1);
    assert_int_equal(fclose(file), 0);
}

static void take_away(const char *folder, const char *name)
{
    char path[2 * TEMPORARY_PATH_SIZE];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static void a_directory_gives_what_is_good_in_it_and_the_name_of_what_is_not(void **state)
{
    char folder[TEMPORARY_PATH_SIZE];
    Reason reason = {.text = "of before"};
    CrlStore store;

    (void)state;
    temporary_path("test-crls", folder);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(crl_store_init(&store), 0);
    assert_int_equal(crl_store_read(&store, folder, &reason), 0);
    assert_int_equal(sk_X509_CRL_num(store.crls), 0);
    assert_string_equal(reason.text, "");
    put(folder, "good.crl", NULL);
    put(folder, ".hidden", "no list");
    assert_int_equal(crl_store_read(&store, folder, &reason), 0);
    assert_int_equal(sk_X509_CRL_num(store.crls), 1);
    assert_string_equal(reason.text, "");
    put(folder, "bad.crl", "no list");
    assert_int_equal(crl_store_read(&store, folder, &reason), 0);
    assert_int_equal(sk_X509_CRL_num(store.crls), 2);
    assert_non_null(strstr(reason.text, "bad.crl"));
    take_away(folder, "good.crl");
    take_away(folder, ".hidden");
    take_away(folder, "bad.crl");
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(crl_store_read(&store, folder, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, folder));
    crl_store_deinit(&store);
}

/* The first file of a directory, as it is read; `ret` has TEMPORARY_PATH_SIZE octets. */
static void first_of(const char *folder, char *ret)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    assert_non_null(directory);
    do {
        entry = readdir(directory);
        assert_non_null(entry);
    } while (entry->d_name[0] == '.');
    (void)snprintf(ret, TEMPORARY_PATH_SIZE, "%.60s", entry->d_name);
    (void)closedir(directory);
}

static void of_two_bad_files_of_a_directory_the_first_is_named(void **state)
{
    char folder[TEMPORARY_PATH_SIZE], first[TEMPORARY_PATH_SIZE];
    Reason reason;
    CrlStore store;

    (void)state;
    temporary_path("test-crls", folder);
    assert_non_null(mkdtemp(folder));
    put(folder, "a.crl", "no list");
    put(folder, "b.crl", "no list");
    first_of(folder, first);
    assert_int_equal(crl_store_init(&store), 0);
    assert_int_equal(crl_store_read(&store, folder, &reason), 0);
    assert_non_null(strstr(reason.text, first));
    crl_store_deinit(&store);
    take_away(folder, "a.crl");
    take_away(folder, "b.crl");
    assert_int_equal(rmdir(folder), 0);
}

static void a_single_file_is_read_too(void **state)
{
    char folder[TEMPORARY_PATH_SIZE], path[2 * TEMPORARY_PATH_SIZE];
    Reason reason;
    CrlStore store;

    (void)state;
    temporary_path("test-crls", folder);
    assert_non_null(mkdtemp(folder));
    put(folder, "good.crl", NULL);
    (void)snprintf(path, sizeof(path), "%s/good.crl", folder);
    assert_int_equal(crl_store_init(&store), 0);
    assert_int_equal(crl_store_read(&store, path, &reason), 0);
    assert_int_equal(sk_X509_CRL_num(store.crls), 1);
    assert_string_equal(reason.text, "");
    crl_store_deinit(&store);
    take_away(folder, "good.crl");
    assert_int_equal(rmdir(folder), 0);
}

/* A list with that extension at that place; -1: without. */
static X509_CRL *scoped(int place, const char *url)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    X509V3_CTX context;

    assert_non_null(crl);
    assert_non_null(number);
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, NULL, NULL, NULL, crl, 0);
    if (place == 1)
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0), 1);
    if (place >= 0) {
        char value[128];
        (void)snprintf(value, sizeof(value), "critical,fullname:URI:%s", url);
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, &context, NID_issuing_distribution_point, value);
        assert_non_null(extension);
        assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
    assert_int_equal(X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1), place);
    ASN1_INTEGER_free(number);
    return crl;
}

/* RFC 5280 5.2.5. Wherever the extension stands among the others. */
static void lists_have_one_scope_with_the_same_distribution_point_or_both_with_none(void **state)
{
    X509_CRL *crls[] = {scoped(-1, ""), scoped(0, "http://a.example/"),
                        scoped(1, "http://a.example/"), scoped(0, "http://b.example/")};
    static const int scopes[] = {0, 1, 1, 2};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(crls); i++) {
        for (size_t j = 0; j < ELEMENTS(crls); j++)
            assert_int_equal(crl_has_scope_of(crls[i], crls[j]), scopes[i] == scopes[j]);
    }
    for (size_t i = 0; i < ELEMENTS(crls); i++)
        X509_CRL_free(crls[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_list_is_passed_over_for_the_form_of_its_lines),
        cmocka_unit_test(of_a_file_with_a_flaw_nothing_is_taken),
        cmocka_unit_test(a_file_is_read_up_to_its_largest_size_and_no_further),
        cmocka_unit_test(der_is_one_list_or_one_certificate_and_nothing_more),
        cmocka_unit_test(a_list_that_does_not_say_until_when_it_holds_is_refused),
        cmocka_unit_test(there_is_room_for_so_many_lists_and_certificates_and_no_more),
        cmocka_unit_test(lists_have_one_scope_with_the_same_distribution_point_or_both_with_none),
        cmocka_unit_test(a_directory_gives_what_is_good_in_it_and_the_name_of_what_is_not),
        cmocka_unit_test(of_two_bad_files_of_a_directory_the_first_is_named),
        cmocka_unit_test(a_single_file_is_read_too),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

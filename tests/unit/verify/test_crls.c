/* Is every list of a file read, or none of it, and what is wrong told? */
#include "pki_fixture.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "verify/crls.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_list_is_passed_over_for_the_form_of_its_lines),
        cmocka_unit_test(of_a_file_with_a_flaw_nothing_is_taken),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

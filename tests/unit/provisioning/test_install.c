/* Are only fitting certificates and real CAs installed, and the old files kept otherwise? */
#include "provision_fixture.h"

#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "pki_fixture.h"
#include "policy/tss2key.h"
#include "tpm/publickey.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    ProvisionBench *device;
    EVP_PKEY *key; /* the device key's public part */
    Pki root, intermediate;
    char file[96];
} Bench;

static int installer_init(void **state)
{
    Bench *bench = calloc(1, sizeof(*bench));
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    void *device = NULL;
    Tss2Key key;

    *state = bench;
    if (!bench || bench_init(&device) < 0)
        return -1;
    bench->device = device;
    bench->root = pki_root("Root");
    bench->intermediate = pki_intermediate("Intermediate", &bench->root);
    (void)snprintf(bench->file, sizeof(bench->file), "%.40s/given", bench->device->swtpm.folder);
    bench->device->options.file = bench->file;
    if (provision_init(&bench->device->options) < 0 ||
        state_path(&bench->device->options, STATE_KEY, &path) < 0 ||
        tss2key_read(path, &key, &reason) < 0)
        return -1;
    return tpm_public_to_pkey(&key.public, &bench->key);
}

static int installer_deinit(void **state)
{
    Bench *bench = *state;
    void *device = bench->device;

    pki_deinit(&bench->root);
    pki_deinit(&bench->intermediate);
    EVP_PKEY_free(bench->key);
    (void)bench_deinit(&device);
    free(bench);
    return 0;
}

/* Writes the file that install-… is given. */
static void give(const Bench *bench, const Pki *const *pkis, size_t count)
{
    BIO *file = BIO_new_file(bench->file, "w");

    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(PEM_write_bio_X509(file, pkis[i]->certificate), 1);
    BIO_free(file);
}

static PkiSpec device_spec(const Bench *bench)
{
    return (PkiSpec){
        .common_name = "HeNB",
        .subject_alt_name = "DNS:henb-1.example",
        .key_usage = "critical,digitalSignature",
        .public_key = bench->key,
    };
}

static STACK_OF(X509) *installed(const Bench *bench, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    STACK_OF(X509) *certificates = NULL;
    Reason reason = {0};

    assert_int_equal(state_path(&bench->device->options, name, &path), 0);
    assert_int_equal(certificates_read(path, &certificates, &reason), 0);
    return certificates;
}

static void a_chain_is_stored_in_order_whatever_order_it_came_in(void **state)
{
    Bench *bench = *state;
    const PkiSpec spec = device_spec(bench);
    Pki leaf = pki_issue(&spec, &bench->intermediate);
    const Pki *const given[] = {&bench->root, &bench->intermediate, &leaf};
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;

    give(bench, given, 3);
    assert_int_equal(provision_install_cert(&bench->device->options), 0);
    chain = installed(bench, STATE_CERTIFICATES);
    assert_int_equal(sk_X509_num(chain), 2);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), leaf.certificate), 0);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 1), bench->intermediate.certificate), 0);
    assert_int_equal(state_mode(bench->device, STATE_CERTIFICATES), 0644);
    pki_deinit(&leaf);
}

/* The good certificate is installed before, and must still be there after. */
static void assert_cert_refused(Bench *bench, const PkiSpec *spec)
{
    const PkiSpec good_spec = device_spec(bench);
    Pki good = pki_issue(&good_spec, &bench->root);
    Pki bad = pki_issue(spec, &bench->root);
    const Pki *const good_file[] = {&good};
    const Pki *const bad_file[] = {&bad};
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;

    give(bench, good_file, 1);
    assert_int_equal(provision_install_cert(&bench->device->options), 0);
    before = state_text(bench->device, STATE_CERTIFICATES);
    give(bench, bad_file, 1);
    assert_true(provision_install_cert(&bench->device->options) < 0);
    after = state_text(bench->device, STATE_CERTIFICATES);
    assert_string_equal(before, after);
    pki_deinit(&good);
    pki_deinit(&bad);
}

static void a_certificate_for_another_key_is_refused(void **state)
{
    PkiSpec spec = device_spec(*state);

    spec.public_key = NULL;
    assert_cert_refused(*state, &spec);
}

static void a_certificate_without_an_fqdn_is_refused(void **state)
{
    PkiSpec spec = device_spec(*state);

    spec.subject_alt_name = NULL;
    assert_cert_refused(*state, &spec);
    spec.subject_alt_name = "DNS:*.example";
    assert_cert_refused(*state, &spec);
}

static void a_certificate_that_is_not_for_signing_is_refused(void **state)
{
    PkiSpec spec = device_spec(*state);

    spec.key_usage = "critical,keyAgreement";
    assert_cert_refused(*state, &spec);
    spec.key_usage = "critical,digitalSignature,keyCertSign";
    spec.basic_constraints = "critical,CA:TRUE";
    assert_cert_refused(*state, &spec);
}

static void a_certificate_signed_with_sha1_or_ending_before_it_begins_is_refused(void **state)
{
    PkiSpec spec = device_spec(*state);

    spec.digest = "SHA1";
    assert_cert_refused(*state, &spec);
    spec.digest = NULL;
    spec.valid_from = 2L * PKI_DAY;
    assert_cert_refused(*state, &spec);
}

static void an_expired_certificate_is_stored_with_a_warning(void **state)
{
    Bench *bench = *state;
    PkiSpec spec = device_spec(bench);
    const Pki *given[1];
    Pki leaf;

    spec.valid_from = -3L * PKI_DAY;
    spec.valid_until = -2L * PKI_DAY;
    leaf = pki_issue(&spec, &bench->root);
    given[0] = &leaf;
    give(bench, given, 1);
    assert_int_equal(provision_install_cert(&bench->device->options), 0);
    pki_deinit(&leaf);
}

/* Each would lay its file over the other's, half written. */
static void nothing_is_installed_while_another_is_at_work_in_the_folder(void **state)
{
    Bench *bench = *state;
    const ProvisionOptions *options = &bench->device->options;
    const PkiSpec spec = device_spec(bench);
    Pki leaf = pki_issue(&spec, &bench->root);
    const Pki *given[1] = {&leaf};
    int lock = -1;

    give(bench, given, 1);
    assert_int_equal(state_lock(options, &lock), 0);
    assert_int_equal(provision_install_cert(options), -EBUSY);
    given[0] = &bench->root;
    give(bench, given, 1);
    assert_int_equal(provision_install_anchors(options), -EBUSY);
    assert_int_equal(close(lock), 0);
    assert_int_equal(provision_install_anchors(options), 0);
    pki_deinit(&leaf);
}

static void a_certificate_before_any_key_is_refused(void **state)
{
    Bench *bench = *state;
    _cleanup_(free_charp) char *path = NULL;

    assert_int_equal(state_path(&bench->device->options, STATE_KEY, &path), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(provision_install_cert(&bench->device->options), -ENOENT);
}

static void anchors_are_stored_and_replace_those_before(void **state)
{
    Bench *bench = *state;
    Pki other = pki_root("Other");
    const Pki *const two[] = {&bench->root, &other};
    const Pki *const one[] = {&other};
    _cleanup_(certificates_freep) STACK_OF(X509) *first = NULL;
    _cleanup_(certificates_freep) STACK_OF(X509) *second = NULL;

    give(bench, two, 2);
    assert_int_equal(provision_install_anchors(&bench->device->options), 0);
    first = installed(bench, STATE_ANCHORS);
    assert_int_equal(sk_X509_num(first), 2);
    give(bench, one, 1);
    assert_int_equal(provision_install_anchors(&bench->device->options), 0);
    second = installed(bench, STATE_ANCHORS);
    assert_int_equal(sk_X509_num(second), 1);
    assert_int_equal(state_count(bench->device),
                     4); /* srk.name, key, CSR, anchors: nothing left over */
    pki_deinit(&other);
}

static void one_anchor_that_is_no_ca_stops_them_all(void **state)
{
    Bench *bench = *state;
    const PkiSpec spec = device_spec(bench);
    Pki leaf = pki_issue(&spec, &bench->root);
    const Pki *const given[] = {&bench->root, &leaf};

    give(bench, given, 2);
    assert_int_equal(provision_install_anchors(&bench->device->options), -EINVAL);
    assert_null(state_text(bench->device, STATE_ANCHORS));
    pki_deinit(&leaf);
}

static void a_file_that_is_absent_or_no_certificate_is_refused(void **state)
{
    Bench *bench = *state;
    static const uint8_t junk[] = {'n', 'o'};

    assert_int_equal(provision_install_anchors(&bench->device->options), -ENOENT);
    assert_int_equal(provision_install_cert(&bench->device->options), -ENOENT);
    assert_int_equal(file_write_atomic(bench->file, BYTES_OF(junk), 0600), 0);
    assert_int_equal(provision_install_anchors(&bench->device->options), -EINVAL);
    assert_int_equal(provision_install_cert(&bench->device->options), -EINVAL);
}

#define INSTALLER_TEST(name) cmocka_unit_test_setup_teardown(name, installer_init, installer_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSTALLER_TEST(a_chain_is_stored_in_order_whatever_order_it_came_in),
        INSTALLER_TEST(a_certificate_for_another_key_is_refused),
        INSTALLER_TEST(a_certificate_without_an_fqdn_is_refused),
        INSTALLER_TEST(a_certificate_that_is_not_for_signing_is_refused),
        INSTALLER_TEST(a_certificate_signed_with_sha1_or_ending_before_it_begins_is_refused),
        INSTALLER_TEST(an_expired_certificate_is_stored_with_a_warning),
        INSTALLER_TEST(nothing_is_installed_while_another_is_at_work_in_the_folder),
        INSTALLER_TEST(a_certificate_before_any_key_is_refused),
        INSTALLER_TEST(anchors_are_stored_and_replace_those_before),
        INSTALLER_TEST(one_anchor_that_is_no_ca_stops_them_all),
        INSTALLER_TEST(a_file_that_is_absent_or_no_certificate_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

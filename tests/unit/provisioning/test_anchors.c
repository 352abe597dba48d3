/* Are anchors signed and installed as the operator and the TPM want it, and in no other way? */
#include "provision_fixture.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "pki_fixture.h"
#include "policy/anchorbundle.h"
#include "provisioning/anchors.h"
#include "provisioning/devicetpm.h"
#include "tpm/open.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PATH_SIZE = 128 };

typedef struct Bench {
    ProvisionBench *device;
    char bundle[PATH_SIZE];   /* what the operator has */
    char approval[PATH_SIZE]; /* beside it */
    char key[PATH_SIZE];
    char state[PATH_SIZE]; /* segw-anchors.pem */
    PolicyKey operator_key;
} Bench;

static void key_write(const char *path)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    BIO *file = BIO_new_file(path, "w");

    assert_int_equal(PEM_write_bio_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    BIO_free(file);
    EVP_PKEY_free(pkey);
}

/* A TPM of the test's own for as long as it is open: the simulator takes one connection. */
static Tpm *tpm_get(const Bench *bench)
{
    Reason reason = {0};
    Tpm *tpm = NULL;

    if (tpm_open(bench->device->options.tcti, &tpm, &reason) < 0)
        fail_msg("%s", reason.text);
    return tpm;
}

static int operator_init(void **state)
{
    Bench *bench = calloc(1, sizeof(*bench));
    Reason reason = {0};
    void *device = NULL;

    *state = bench;
    if (!bench || bench_init(&device) < 0)
        return -1;
    bench->device = device;
    (void)snprintf(bench->bundle, PATH_SIZE, "%.64s/roots.pem", bench->device->swtpm.folder);
    (void)snprintf(bench->approval, PATH_SIZE, "%.64s/roots.pem.sig", bench->device->swtpm.folder);
    (void)snprintf(bench->key, PATH_SIZE, "%.64s/operator.pem", bench->device->swtpm.folder);
    (void)snprintf(bench->state, PATH_SIZE, "%.64s/" STATE_ANCHORS, bench->device->state_dir);
    bench->device->options.file = bench->bundle;
    bench->device->options.key = bench->key;
    key_write(bench->key);
    return policy_key_read(bench->key, true, &bench->operator_key, &reason);
}

static int operator_deinit(void **state)
{
    Bench *bench = *state;
    void *device = bench->device;

    policy_key_deinit(&bench->operator_key);
    (void)bench_deinit(&device);
    free(bench);
    return 0;
}

static void guard_define(const Bench *bench)
{
    _cleanup_(tpm_closep) Tpm *tpm = tpm_get(bench);
    Reason reason = {0};

    if (anchor_guard_define(tpm, &bench->operator_key, &reason) < 0)
        fail_msg("%s", reason.text);
}

static uint64_t guard_version(const Bench *bench)
{
    _cleanup_(tpm_closep) Tpm *tpm = tpm_get(bench);
    Reason reason = {0};
    AnchorGuard guard;

    if (anchor_guard_read(tpm, &guard, &reason) < 0)
        fail_msg("%s", reason.text);
    return guard.record.version;
}

/* A new root in the operator's bundle. */
static void bundle_write(const Bench *bench, const char *name)
{
    Pki root = pki_root(name);
    BIO *file = BIO_new_file(bench->bundle, "w");

    (void)unlink(bench->approval);
    assert_int_equal(PEM_write_bio_X509(file, root.certificate), 1);
    BIO_free(file);
    pki_deinit(&root);
}

static int sign(const Bench *bench, uint64_t version, bool first)
{
    ProvisionOptions options = bench->device->options;

    options.anchors_version = version;
    options.first = first;
    return provision_sign_anchors(&options);
}

static int install(const Bench *bench)
{
    return provision_install_anchors(&bench->device->options);
}

static void assert_same_file(const char *a, const char *b)
{
    _cleanup_(free_bytesp) uint8_t *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;

    assert_int_equal(file_read(a, 1 << 20, &first, &first_size), 0);
    assert_int_equal(file_read(b, 1 << 20, &second, &second_size), 0);
    assert_true(bytes_equal((Bytes){first, first_size}, (Bytes){second, second_size}));
}

static void a_first_bundle_and_a_newer_one_are_installed_octet_by_octet(void **state)
{
    Bench *bench = *state;
    char approval[PATH_SIZE];

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, true), 0);
    assert_int_equal(install(bench), 0);
    assert_int_equal(guard_version(bench), 1);
    bundle_write(bench, "Two");
    assert_int_equal(sign(bench, 2, false), 0);
    assert_int_equal(install(bench), 0);
    assert_int_equal(guard_version(bench), 2);
    assert_same_file(bench->bundle, bench->state);
    (void)snprintf(approval, sizeof(approval), "%.100s.sig", bench->state);
    assert_same_file(bench->approval, approval);
    assert_int_equal(state_count(bench->device), 2);
}

static void an_older_bundle_is_refused_and_changes_nothing(void **state)
{
    Bench *bench = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;

    guard_define(bench);
    bundle_write(bench, "New");
    assert_int_equal(sign(bench, 7, true), 0);
    assert_int_equal(install(bench), 0);
    before = state_text(bench->device, STATE_ANCHORS);
    bundle_write(bench, "Old");
    assert_int_equal(sign(bench, 6, true), 0);
    assert_int_equal(install(bench), -EKEYREJECTED);
    assert_int_equal(sign(bench, 7, true), 0);
    assert_int_equal(install(bench), -EKEYREJECTED);
    after = state_text(bench->device, STATE_ANCHORS);
    assert_string_equal(before, after);
    assert_int_equal(guard_version(bench), 7);
    assert_int_equal(state_count(bench->device), 2);
}

static void the_first_bundle_needs_an_approval_for_that(void **state)
{
    Bench *bench = *state;

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, false), 0);
    assert_int_equal(install(bench), -EKEYREJECTED);
    assert_int_equal(state_count(bench->device), 0);
}

static void another_operator_and_a_changed_bundle_are_refused(void **state)
{
    Bench *bench = *state;

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, true), 0);
    assert_int_equal(install(bench), 0);

    bundle_write(bench, "Two");
    key_write(bench->key);
    assert_int_equal(sign(bench, 2, true), 0);
    assert_int_equal(install(bench), -EKEYREJECTED);

    {
        _cleanup_(free_bytesp) uint8_t *approval = NULL;
        size_t size = 0;

        assert_int_equal(file_read(bench->approval, 1 << 16, &approval, &size), 0);
        bundle_write(bench, "Three");
        assert_int_equal(file_write_atomic(bench->approval, (Bytes){approval, size}, 0600), 0);
    }
    assert_int_equal(install(bench), -EKEYREJECTED);
    assert_int_equal(guard_version(bench), 1);
}

static void without_approval_a_guarded_device_takes_nothing(void **state)
{
    Bench *bench = *state;

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(install(bench), -EKEYREJECTED);
    assert_int_equal(state_count(bench->device), 0);
}

static void with_an_approval_a_device_without_guard_takes_nothing(void **state)
{
    Bench *bench = *state;

    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, true), 0);
    assert_int_equal(install(bench), -EKEYREJECTED);
    assert_int_equal(state_count(bench->device), 0);
}

static void what_is_in_force_is_put_right_when_its_file_was_changed(void **state)
{
    Bench *bench = *state;
    static const uint8_t junk[] = {'n', 'o'};
    Tpm *tpm;

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, true), 0);
    assert_int_equal(install(bench), 0);
    tpm = tpm_get(bench);
    assert_int_equal(anchors_in_force(&bench->device->options, tpm), 1);
    assert_int_equal(file_write_atomic(bench->state, BYTES_OF(junk), 0600), 0);
    assert_int_equal(anchors_in_force(&bench->device->options, tpm), 0);
    assert_int_equal(anchors_install_direct(&bench->device->options, tpm), 0);
    assert_int_equal(anchors_in_force(&bench->device->options, tpm), 1);
    tpm_close(tpm);
    assert_same_file(bench->bundle, bench->state);
}

static void an_installation_killed_after_the_tpm_was_written_is_taken_up_again(void **state)
{
    Bench *bench = *state;
    char next[PATH_SIZE];
    Tpm *tpm;

    guard_define(bench);
    bundle_write(bench, "One");
    assert_int_equal(sign(bench, 1, true), 0);
    assert_int_equal(install(bench), 0);
    /* As if it had not come to the renaming. */
    (void)snprintf(next, sizeof(next), "%.100s.next", bench->state);
    assert_int_equal(rename(bench->state, next), 0);
    tpm = tpm_get(bench);
    assert_int_equal(anchors_in_force(&bench->device->options, tpm), 1);
    tpm_close(tpm);
    assert_same_file(bench->bundle, bench->state);
    assert_int_equal(state_count(bench->device), 2);
}

#define OPERATOR_TEST(name) cmocka_unit_test_setup_teardown(name, operator_init, operator_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPERATOR_TEST(a_first_bundle_and_a_newer_one_are_installed_octet_by_octet),
        OPERATOR_TEST(an_older_bundle_is_refused_and_changes_nothing),
        OPERATOR_TEST(the_first_bundle_needs_an_approval_for_that),
        OPERATOR_TEST(another_operator_and_a_changed_bundle_are_refused),
        OPERATOR_TEST(without_approval_a_guarded_device_takes_nothing),
        OPERATOR_TEST(with_an_approval_a_device_without_guard_takes_nothing),
        OPERATOR_TEST(what_is_in_force_is_put_right_when_its_file_was_changed),
        OPERATOR_TEST(an_installation_killed_after_the_tpm_was_written_is_taken_up_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

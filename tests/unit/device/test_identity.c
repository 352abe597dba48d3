/* What is made of each file, of the TPM's key and of the TPM when one of them is not as it should
 * be? Files and TPM are played: the linker puts these functions in the place of the real ones (ld
 * --wrap). */
#include "device/identity_internal.h"

#include "base/file.h"
#include "policy/keypolicy.h"
#include "policy/tpmsigningkey.h"
#include "policy/tss2key.h"
#include "tpm/open.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    int file_result; /* of the certificates' or anchors' */
    int digest_result;
    int key_file_result, public_result, policy_result;
    int srk_result, open_result, profile_result, salt_result;
    int device_result, signing_result;
    bool policy_says, key_file_says;
    uint16_t srk_size;
    bool breaks; /* the TPM that is looked at */
    unsigned opened, closed, disconnected, salted, looked;
    unsigned keys_freed, policies_freed, signing_keys_freed;
    TpmKeyAlgorithm looked_for;
} Bench;

static Bench bench;

static Tpm tpm, other_tpm;
static KeyPolicy policy;

int __real_anchor_record_make(Bytes bundle, uint64_t version, AnchorRecord *ret);
int __wrap_anchor_record_make(Bytes bundle, uint64_t version, AnchorRecord *ret);
int __wrap_file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_size);
int __wrap_tss2key_read(const char *path, Tss2Key *ret, Reason *reason);
int __wrap_tpm_public_to_pkey(const TPM2B_PUBLIC *public, EVP_PKEY **ret);
int __wrap_key_policy_read(const TPMT_PUBLIC *public, const char *key_path, const char *states_path,
                           KeyPolicy **ret, Reason *reason);
void __wrap_key_policy_free(KeyPolicy *freed);
int __wrap_srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason);
void __wrap_tpm_trust_srk(Tpm *trusting, const TPM2B_NAME *name);
int __wrap_tpm_profile_check(Tpm *checked, TpmKeyAlgorithm algorithm, Reason *reason);
int __wrap_tpm_open_in_loop(const char *tcti, TpmLoop *loop, Tpm **ret, Reason *reason);
int __wrap_tpm_salt_key_open(Tpm *salted, Reason *reason);
void __wrap_tpm_disconnect(Tpm *disconnected);
void __wrap_tpm_close(Tpm *closed);
int __wrap_device_key_load(Tpm *into, const Tss2Key *key, KeyPolicy *with, DeviceKey **ret,
                           Reason *reason);
void __wrap_device_key_free(DeviceKey *key);
int __wrap_tpm_signing_key_new(DeviceKey *device, KeyPolicy *with, SigningKey **ret,
                               Reason *reason);

int __wrap_file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_size)
{
    (void)path;
    assert_int_equal(limit, 1024 * 1024); /* of certificates and of anchors */
    if (bench.file_result < 0)
        return bench.file_result;
    *ret = (uint8_t *)strdup("octets");
    *ret_size = 6;
    return 0;
}

int __wrap_anchor_record_make(Bytes bundle, uint64_t version, AnchorRecord *ret)
{
    return bench.digest_result < 0 ? bench.digest_result
                                   : __real_anchor_record_make(bundle, version, ret);
}

int __wrap_tss2key_read(const char *path, Tss2Key *ret, Reason *reason)
{
    (void)path;
    ret->public.publicArea.type = TPM2_ALG_RSA;
    ret->public.publicArea.parameters.rsaDetail.keyBits = 2048;
    return reason_set(reason, bench.key_file_result, "%s",
                      bench.key_file_says ? "of the key file" : "");
}

int __wrap_tpm_public_to_pkey(const TPM2B_PUBLIC *public, EVP_PKEY **ret)
{
    (void)public;
    if (bench.public_result == 0)
        *ret = EVP_PKEY_new();
    return bench.public_result;
}

int __wrap_key_policy_read(const TPMT_PUBLIC *public, const char *key_path, const char *states_path,
                           KeyPolicy **ret, Reason *reason)
{
    (void)public, (void)key_path, (void)states_path;
    if (bench.policy_result == 0)
        *ret = &policy;
    return reason_set(reason, bench.policy_result, "of the policy");
}

void __wrap_key_policy_free(KeyPolicy *freed)
{
    bench.policies_freed += freed != NULL;
}

int __wrap_srk_name_read(const char *path, TPM2B_NAME *ret, Reason *reason)
{
    (void)path;
    ret->size = bench.srk_size;
    return reason_set(reason, bench.srk_result, "of the name");
}

void __wrap_tpm_trust_srk(Tpm *trusting, const TPM2B_NAME *name)
{
    trusting->srk_name = *name;
}

int __wrap_tpm_profile_check(Tpm *checked, TpmKeyAlgorithm algorithm, Reason *reason)
{
    bench.looked++;
    bench.looked_for = algorithm;
    if (checked == &tpm && bench.breaks)
        checked->broken = true;
    /* One that was opened anew is whole. */
    return checked == &tpm ? reason_set(reason, bench.profile_result, "of the profile") : 0;
}

int __wrap_tpm_open_in_loop(const char *tcti, TpmLoop *loop, Tpm **ret, Reason *reason)
{
    (void)tcti, (void)loop;
    bench.opened++;
    if (bench.open_result == 0)
        *ret = &other_tpm;
    return reason_set(reason, bench.open_result, "of the connection");
}

int __wrap_tpm_salt_key_open(Tpm *salted, Reason *reason)
{
    (void)salted;
    bench.salted++;
    return reason_set(reason, bench.salt_result, "of the storage root key");
}

void __wrap_tpm_disconnect(Tpm *disconnected)
{
    assert_ptr_equal(disconnected, &tpm);
    bench.disconnected++;
}

void __wrap_tpm_close(Tpm *closed)
{
    bench.closed += closed != NULL;
}

int __wrap_device_key_load(Tpm *into, const Tss2Key *key, KeyPolicy *with, DeviceKey **ret,
                           Reason *reason)
{
    (void)into, (void)key;
    assert_ptr_equal(with, &policy);
    *ret = NULL;
    return reason_set(reason, bench.device_result, "of the key");
}

void __wrap_device_key_free(DeviceKey *key)
{
    (void)key;
    bench.keys_freed++;
}

static void signing_key_gone(SigningKey *key)
{
    (void)key;
    bench.signing_keys_freed++;
}

static const SigningKeyClass signing_class = {.free = signing_key_gone};
static SigningKey signing_key = {.class = &signing_class};

int __wrap_tpm_signing_key_new(DeviceKey *device, KeyPolicy *with, SigningKey **ret, Reason *reason)
{
    (void)device, (void)with;
    if (bench.signing_result == 0)
        *ret = &signing_key;
    return reason_set(reason, bench.signing_result, "of signing");
}

static const DeviceFiles files = {.srk_name = "srk.name",
                                  .key = "device.key",
                                  .certificates = "device.crt",
                                  .anchors = "anchors"};

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    memset(&tpm, 0, sizeof(tpm));
    memset(&other_tpm, 0, sizeof(other_tpm));
    policy = (KeyPolicy){.kind = KEY_POLICY_SIGNED};
    bench.srk_size = 34;
    return 0;
}

/* With the parts before `part`. */
static DeviceIdentity *identity_before(IdentityPart part)
{
    DeviceIdentity *identity = calloc(1, sizeof(*identity));
    Reason reason = {0};

    assert_non_null(identity);
    for (int before = 0; before < (int)part; before++) {
        assert_int_equal(device_identity_load_part(&files, (IdentityPart)before, identity, &reason),
                         0);
    }
    return identity;
}

static void assert_part(IdentityPart part, DeviceIdentity *identity, int result, const char *words)
{
    Reason reason = {0};

    assert_int_equal(device_identity_load_part(&files, part, identity, &reason), result);
    if (!strstr(reason.text, words))
        fail_msg("'%s' lacks '%s'", reason.text, words);
}

/* The same of a new identity, which has the parts before. */
static void assert_new(IdentityPart part, int result, const char *words)
{
    const Bench wanted = bench;

    (void)bench_init(NULL); /* the parts before are as they should be */
    DeviceIdentity *identity = identity_before(part);
    bench = wanted;
    assert_part(part, identity, result, words);
    device_identity_free(identity);
}

static void a_file_that_is_unfit_is_named_with_its_remedy(void **state)
{
    static const struct {
        int found, result;
        const char *words;
    } cases[] = {{-ENOENT, IDENTITY_UNPROVISIONED, "does not exist"},
                 {-EACCES, IDENTITY_UNPROVISIONED, "no permission"},
                 {-EPERM, IDENTITY_UNPROVISIONED, "no permission"},
                 {-EFBIG, IDENTITY_UNPROVISIONED, "File too large"},
                 {-ENOMEM, -ENOMEM, ""}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.file_result = cases[i].found;
        assert_new(IDENTITY_CERTIFICATES, cases[i].result, cases[i].words);
        assert_new(IDENTITY_ANCHORS, cases[i].result, cases[i].words);
        bench.file_result = 0;
        bench.key_file_result = cases[i].found;
        assert_new(IDENTITY_KEY_FILE, cases[i].result, cases[i].words);
    }
    /* The reader's own sentence goes before what errno says. */
    bench.key_file_result = -EINVAL;
    assert_new(IDENTITY_KEY_FILE, IDENTITY_UNPROVISIONED, "device.key: Invalid argument");
    bench.key_file_says = true;
    assert_new(IDENTITY_KEY_FILE, IDENTITY_UNPROVISIONED, "of the key file");
}

static void a_key_outside_the_profile_is_refused(void **state)
{
    (void)state;
    bench.public_result = -EINVAL;
    assert_new(IDENTITY_KEY_FILE, IDENTITY_UNPROVISIONED, "ECDSA P-256, P-384 or RSA-2048");
}

static void what_needs_the_key_is_not_read_without_it(void **state)
{
    DeviceIdentity *identity = identity_before(IDENTITY_KEY_FILE);

    (void)state;
    assert_part(IDENTITY_KEY_POLICY, identity, IDENTITY_UNPROVISIONED, "without the device key");
    assert_null(identity->policy);
    assert_part(IDENTITY_CERTIFICATES, identity, IDENTITY_UNPROVISIONED, "Mend that first");
    device_identity_free(identity);
}

static void a_policy_that_can_not_be_read_is_no_policy(void **state)
{
    (void)state;
    bench.policy_result = -EINVAL;
    assert_new(IDENTITY_KEY_POLICY, IDENTITY_UNPROVISIONED, "of the policy");
    bench.policy_result = -ENOMEM;
    assert_new(IDENTITY_KEY_POLICY, -ENOMEM, "");
}

static void anchors_are_kept_with_the_digest_that_the_tpm_guards(void **state)
{
    static const uint8_t none[ANCHOR_DIGEST_SIZE];
    DeviceIdentity *identity = identity_before(IDENTITY_TPM);

    (void)state;
    assert_int_equal(identity->anchors.size, 6);
    assert_memory_not_equal(identity->anchors_digest, none, sizeof(none));
    device_identity_free(identity);
    bench.digest_result = -EIO;
    assert_new(IDENTITY_ANCHORS, -EIO, "");
}

static void a_key_under_a_policy_wants_the_name_of_its_storage_root_key(void **state)
{
    (void)state;
    bench.srk_result = -ENOENT;
    assert_new(IDENTITY_TPM, IDENTITY_UNPROVISIONED, "any storage root key would be trusted");
    assert_int_equal(bench.opened, 0);
    bench.srk_result = -EINVAL;
    assert_new(IDENTITY_TPM, IDENTITY_UNPROVISIONED, "of the name");
    assert_int_equal(bench.opened, 0);
}

static void a_key_under_no_policy_trusts_any_storage_root_key(void **state)
{
    DeviceIdentity *identity = identity_before(IDENTITY_TPM);

    (void)state;
    bench.srk_result = -ENOENT;
    bench.srk_size = 0;
    policy.kind = KEY_POLICY_NONE;
    assert_part(IDENTITY_TPM, identity, 0, "");
    assert_int_equal(bench.salted, 0);
    assert_int_equal(identity->tpm->srk_name.size, 0);
    device_identity_free(identity);
    /* So it is where the policy is not known: what is wrong with the TPM is said all the same. */
    identity = identity_before(IDENTITY_TPM);
    identity->policy = NULL;
    assert_part(IDENTITY_TPM, identity, 0, "");
    device_identity_free(identity);
    /* What is there and can't be read is refused for it, too. */
    identity = identity_before(IDENTITY_TPM);
    bench.srk_result = -EINVAL;
    assert_part(IDENTITY_TPM, identity, IDENTITY_UNPROVISIONED, "of the name");
    device_identity_free(identity);
}

static void the_storage_root_key_of_that_name_salts_all_sessions(void **state)
{
    DeviceIdentity *identity = identity_before(IDENTITY_TPM);

    (void)state;
    assert_part(IDENTITY_TPM, identity, 0, "");
    assert_int_equal(bench.salted, 1);
    assert_int_equal(identity->tpm->srk_name.size, 34);
    assert_int_equal(bench.looked_for, TPM_KEY_RSA_2048);
    device_identity_free(identity);
    bench.salt_result = -ESTALE;
    assert_new(IDENTITY_TPM, IDENTITY_UNPROVISIONED, "Provision the device anew");
    bench.salt_result = -EIO;
    assert_new(IDENTITY_TPM, IDENTITY_TPM_UNAVAILABLE, "of the storage root key");
    bench.salt_result = -ENOMEM;
    assert_new(IDENTITY_TPM, -ENOMEM, "");
}

static void a_tpm_that_does_not_open_is_unavailable(void **state)
{
    (void)state;
    bench.open_result = -EACCES;
    assert_new(IDENTITY_TPM, IDENTITY_TPM_UNAVAILABLE, "of the connection");
    assert_int_equal(bench.looked, 0);
    assert_int_equal(bench.salted, 0);
}

/* With a connection that another identity was loaded with. */
static DeviceIdentity *identity_connected(void)
{
    DeviceIdentity *identity = identity_before(IDENTITY_TPM);

    identity->tpm = &tpm;
    return identity;
}

static void a_connection_that_works_is_used_again(void **state)
{
    DeviceIdentity *identity = identity_connected();

    (void)state;
    assert_part(IDENTITY_TPM, identity, 0, "");
    assert_int_equal(bench.opened, 0);
    assert_ptr_equal(identity->tpm, &tpm);
    assert_int_equal(tpm.srk_name.size, 34);
    device_identity_free(identity);
    assert_int_equal(bench.closed, 1);
}

static void a_tpm_that_does_not_fit_is_not_opened_anew(void **state)
{
    DeviceIdentity *identity = identity_connected();

    (void)state;
    bench.profile_result = -EOPNOTSUPP;
    assert_part(IDENTITY_TPM, identity, IDENTITY_TPM_UNAVAILABLE, "of the profile");
    assert_int_equal(bench.opened, 0);
    assert_int_equal(bench.salted, 0);
    device_identity_free(identity);
}

static void a_connection_that_has_broken_is_made_anew(void **state)
{
    DeviceIdentity *identity = identity_connected();

    (void)state;
    bench.profile_result = -EIO;
    bench.breaks = true;
    assert_part(IDENTITY_TPM, identity, 0, "");
    assert_int_equal(bench.disconnected, 1);
    assert_int_equal(bench.closed, 1);
    assert_int_equal(bench.opened, 1);
    assert_ptr_equal(identity->tpm, &other_tpm);
    assert_int_equal(other_tpm.srk_name.size, 34);
    device_identity_free(identity);
}

static void without_policy_or_tpm_the_key_is_not_loaded(void **state)
{
    (void)state;
    for (int part = 0; part < 2; part++) {
        DeviceIdentity *identity = identity_before(IDENTITY_KEY);

        if (part == 0)
            identity->policy = NULL;
        if (part == 1)
            identity->tpm = NULL;
        assert_part(IDENTITY_KEY, identity, IDENTITY_UNPROVISIONED, "Mend these first");
        assert_null(identity->key);
        device_identity_free(identity);
    }
}

static void why_the_key_does_not_load_says_what_to_do(void **state)
{
    static const struct {
        int found, result;
        const char *words;
    } cases[] = {{-EKEYREJECTED, IDENTITY_INTEGRITY_FAILED, "of the key"},
                 {-EINVAL, IDENTITY_UNPROVISIONED, "device.key: of the key"},
                 {-ESTALE, IDENTITY_UNPROVISIONED, "Provision the device anew"},
                 {-EIO, IDENTITY_TPM_UNAVAILABLE, "device.key: of the key"},
                 {-ENOMEM, -ENOMEM, ""}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.device_result = cases[i].found;
        assert_new(IDENTITY_KEY, cases[i].result, cases[i].words);
        assert_int_equal(bench.keys_freed, 0);
    }
}

static void a_key_that_does_not_become_one_to_sign_with_is_let_go(void **state)
{
    (void)state;
    bench.signing_result = -EIO;
    assert_new(IDENTITY_KEY, IDENTITY_TPM_UNAVAILABLE, "of signing");
    assert_int_equal(bench.keys_freed, 1);
    assert_int_equal(bench.policies_freed, 1);
}

static void the_policy_goes_with_the_key_that_is_under_it(void **state)
{
    DeviceIdentity *identity = identity_before(IDENTITY_KEY);

    (void)state;
    assert_part(IDENTITY_KEY, identity, 0, "");
    assert_ptr_equal(identity->key, &signing_key);
    device_identity_free(identity);
    assert_int_equal(bench.policies_freed, 0);
    assert_int_equal(bench.signing_keys_freed, 1);
    assert_int_equal(bench.keys_freed, 0);
}

static void the_first_part_that_fails_ends_the_loading(void **state)
{
    DeviceIdentity *identity = identity_before(IDENTITY_KEY_FILE);
    Reason reason = {0};

    (void)state;
    bench.policy_result = -EINVAL;
    assert_int_equal(device_identity_load(&files, identity, &reason), IDENTITY_UNPROVISIONED);
    assert_null(identity->certificates.data);
    assert_int_equal(bench.opened, 0);
    device_identity_free(identity);
    device_identity_free(NULL);
}

static void what_is_for_development_says_why(void **state)
{
    DeviceIdentity identity = {.policy = &policy, .guard_locked = true};

    (void)state;
    assert_null(device_identity_development(&identity));
    identity.guard_locked = false;
    assert_non_null(strstr(device_identity_development(&identity), "owner hierarchy"));
    policy.kind = KEY_POLICY_NONE;
    identity.guard_locked = true;
    assert_non_null(strstr(device_identity_development(&identity), "no TPM policy"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_file_that_is_unfit_is_named_with_its_remedy, bench_init),
        cmocka_unit_test_setup(a_key_outside_the_profile_is_refused, bench_init),
        cmocka_unit_test_setup(what_needs_the_key_is_not_read_without_it, bench_init),
        cmocka_unit_test_setup(a_policy_that_can_not_be_read_is_no_policy, bench_init),
        cmocka_unit_test_setup(anchors_are_kept_with_the_digest_that_the_tpm_guards, bench_init),
        cmocka_unit_test_setup(a_key_under_a_policy_wants_the_name_of_its_storage_root_key,
                               bench_init),
        cmocka_unit_test_setup(a_key_under_no_policy_trusts_any_storage_root_key, bench_init),
        cmocka_unit_test_setup(the_storage_root_key_of_that_name_salts_all_sessions, bench_init),
        cmocka_unit_test_setup(a_tpm_that_does_not_open_is_unavailable, bench_init),
        cmocka_unit_test_setup(a_connection_that_works_is_used_again, bench_init),
        cmocka_unit_test_setup(a_tpm_that_does_not_fit_is_not_opened_anew, bench_init),
        cmocka_unit_test_setup(a_connection_that_has_broken_is_made_anew, bench_init),
        cmocka_unit_test_setup(without_policy_or_tpm_the_key_is_not_loaded, bench_init),
        cmocka_unit_test_setup(why_the_key_does_not_load_says_what_to_do, bench_init),
        cmocka_unit_test_setup(a_key_that_does_not_become_one_to_sign_with_is_let_go, bench_init),
        cmocka_unit_test_setup(the_policy_goes_with_the_key_that_is_under_it, bench_init),
        cmocka_unit_test_setup(the_first_part_that_fails_ends_the_loading, bench_init),
        cmocka_unit_test_setup(what_is_for_development_says_why, bench_init),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}

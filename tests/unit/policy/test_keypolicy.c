/* Does the TPM let the device key sign in the states approved of, and in no other? */
#include "base/reason.h"
#include "policy/devicekey_internal.h"
#include "tpm/commands.h"
#include "vendor_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PCRS = 0x000890 }; /* 4, 7 and 11 */

/* A device key under the vendor's policy. */
static Tss2Key signed_key(const PolicyKey *vendor, TpmKeyAlgorithm algorithm)
{
    Reason reason = {0};
    PolicyDigest digest;
    Tss2Key file;

    assert_int_equal(policy_key_authorize_digest(vendor, (Bytes){0}, &digest), 0);
    if (device_key_create(bench.tpm, algorithm, &digest, &file, &reason) < 0)
        fail_msg("%s", reason.text);
    return file;
}

static DeviceKey *load(const Tss2Key *file, KeyPolicy *policy)
{
    Reason reason = {0};
    DeviceKey *key = NULL;

    if (device_key_load(bench.tpm, file, policy, &key, &reason) < 0)
        fail_msg("%s", reason.text);
    return key;
}

static void sign_for(PcrSignatures *states, const PolicyKey *vendor, uint32_t mask)
{
    const PcrState now = platform_state(mask);
    PcrSignature entry;

    assert_int_equal(pcr_signature_make(&now, vendor, &entry), 0);
    assert_int_equal(pcr_signatures_add(states, &entry), 0);
}

/* A P-256 key in use, in the one state that its vendor has signed for. */
typedef struct Device {
    KeyPolicy *policy;
    DeviceKey *key;
} Device;

static Device device_new(void)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    PcrSignatures states = {0};
    Device device;

    sign_for(&states, &vendor, PCRS);
    device.policy = vendor_policy(&vendor, &states, &file.public.publicArea);
    device.key = load(&file, device.policy);
    return device;
}

static void device_deinit(Device *device)
{
    device_key_free(device->key);
    key_policy_free(device->policy);
}

static int try_to_sign(DeviceKey *key, Reason *reason)
{
    const uint8_t digest[32] = {1};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size;

    return device_key_sign(key, "SHA256", false, BYTES_OF(digest), signature, &size, reason);
}

static void every_algorithm_signs_in_a_state_that_the_vendor_signed_for(void **state)
{
    static const char *const vendors[] = {"RSA", "P-256"};

    (void)state;
    for (size_t v = 0; v < ELEMENTS(vendors); v++) {
        _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new(vendors[v]);
        PcrSignatures states = {0};

        sign_for(&states, &vendor, PCRS);
        for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
            const Tss2Key file = signed_key(&vendor, (TpmKeyAlgorithm)i);
            _cleanup_(key_policy_freep) KeyPolicy *policy =
                vendor_policy(&vendor, &states, &file.public.publicArea);
            _cleanup_(device_key_freep) DeviceKey *key = load(&file, policy);
            const bool p384 = i == TPM_KEY_ECDSA_P384;

            assert_int_equal(policy->kind, KEY_POLICY_SIGNED);
            assert_signs(key, p384 ? "SHA384" : "SHA256", p384 ? 48 : 32, false);
            assert_signs(key, p384 ? "SHA384" : "SHA256", p384 ? 48 : 32, false);
            if (i == TPM_KEY_RSA_2048)
                assert_signs(key, "SHA256", 32, true);
        }
    }
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void without_the_policy_the_key_does_not_sign_even_for_who_has_its_file(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA,
                                    .details.any.hashAlg = TPM2_ALG_SHA256};
    const TPM2B_DIGEST digest = {.size = 32};
    Reason reason = {0};
    TpmObject parent = {0}, object = {0};
    TPMT_SIGNATURE signature = {0};
    DeviceKey *key = NULL;

    (void)state;
    assert_int_equal(device_key_load(bench.tpm, &file, NULL, &key, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "policy"));
    /* Nor for who asks the TPM directly, with the key's empty password. */
    assert_int_equal(tpm_parent_open(bench.tpm, TPM_SRK_HANDLE, &parent, &reason), 0);
    assert_int_equal(tpm2_load(bench.tpm, &parent, NULL, &file.private, &file.public, &object),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm_rc_base(tpm2_sign(bench.tpm, &object, NULL, &digest, &scheme, &signature)),
                     TPM2_RC_AUTH_UNAVAILABLE);
    tpm_object_release(bench.tpm, &object);
    tpm_object_release(bench.tpm, &parent);
}

static void a_state_not_signed_for_is_refused_and_the_pcr_named(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    PcrSignatures states = {0};
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    Reason reason = {0};
    DeviceKey *key = NULL;

    (void)state;
    sign_for(&states, &vendor, PCRS);
    platform_extend(7);
    policy = vendor_policy(&vendor, &states, &file.public.publicArea);
    assert_int_equal(device_key_load(bench.tpm, &file, policy, &key, &reason), -EKEYREJECTED);
    assert_int_equal(policy->mismatch.mask, 1 << 7);
    assert_non_null(strstr(reason.text, "PCR 7: expected "));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void of_several_states_the_one_that_fits_is_taken(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    PcrSignatures states = {0};
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;

    (void)state;
    sign_for(&states, &vendor, PCRS); /* the old firmware */
    platform_extend(11);
    sign_for(&states, &vendor, PCRS); /* the new one */
    sign_for(&states, &vendor, 1);
    states.entries[2].policy.octets[0] ^= 1; /* and one whose signature is not good */
    states.entries[2].has_expected = false;
    policy = vendor_policy(&vendor, &states, &file.public.publicArea);
    assert_int_equal(policy->states->count, 2);
    key = load(&file, policy);
    assert_ptr_equal(policy->fit, &policy->states->entries[1]);
    assert_signs(key, "SHA256", 32, false);
}

static void a_state_over_a_bank_that_the_tpm_lacks_hides_no_other(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    PcrSignatures states = {0};
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    Reason reason = {0};

    (void)state;
    sign_for(&states, &vendor, 1);
    sign_for(&states, &vendor, PCRS);
    policy = vendor_policy(&vendor, &states, &file.public.publicArea);
    policy->states->entries[0].expected.bank = TPM2_ALG_SM3_256;
    assert_int_equal(key_policy_fit(bench.tpm, policy, &reason), 0);
    assert_ptr_equal(policy->fit, &policy->states->entries[1]);
    policy->states->count = 1;
    assert_int_equal(key_policy_fit(bench.tpm, policy, &reason), -EKEYREJECTED);
    assert_non_null(strstr(reason.text, "bank was switched off"));
}

static void
a_pcr_extended_after_preparation_is_retried_once_where_the_policy_still_fits(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_key_prepare(device.key, &reason), 0);
    platform_extend(3); /* none of the policy's, but the TPM has one counter for all */
    assert_signs(device.key, "SHA256", 32, false);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1);
}

static void a_pcr_of_the_policy_extended_after_preparation_stops_the_signature(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_key_prepare(device.key, &reason), 0);
    platform_extend(4);
    assert_int_equal(try_to_sign(device.key, &reason), -EKEYREJECTED);
    assert_int_equal(device.policy->mismatch.mask, 1 << 4);
    assert_int_equal(try_to_sign(device.key, &reason), -EKEYREJECTED);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void a_plain_pcr_policy_binds_the_key_to_one_state(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    PcrSignatures states = {0};
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    Reason reason = {0};
    Tss2Key file;

    (void)state;
    sign_for(&states, NULL, PCRS);
    assert_int_equal(
        device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, &states.entries[0].policy, &file, &reason),
        0);
    policy = vendor_policy(&vendor, &states, &file.public.publicArea);
    assert_int_equal(policy->kind, KEY_POLICY_PCR);
    key = load(&file, policy);
    assert_signs(key, "SHA256", 32, false);
    platform_extend(7);
    assert_int_equal(try_to_sign(key, &reason), -EKEYREJECTED);
    assert_non_null(strstr(reason.text, "PCR 7"));
}

static void a_key_without_policy_is_known_as_one_for_development(void **state)
{
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    Reason reason = {0};
    Tss2Key file;

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason), 0);
    assert_int_equal(
        key_policy_read(&file.public.publicArea, "/nonexistent", "/nonexistent", &policy, &reason),
        0);
    assert_int_equal(policy->kind, KEY_POLICY_NONE);
}

static void files_that_do_not_belong_to_the_key_are_refused(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    _cleanup_(policy_key_deinit) PolicyKey other = vendor_key_new("P-256");
    const Tss2Key file = signed_key(&vendor, TPM_KEY_ECDSA_P256);
    _cleanup_(free_charp) char *vendor_pem = vendor_key_pem(&vendor, false);
    _cleanup_(free_charp) char *other_pem = vendor_key_pem(&other, false);
    _cleanup_(free_charp) char *text = NULL;
    char key_path[128], other_path[128], states_path[128];
    Reason reason = {0};
    PcrSignatures states = {0};
    KeyPolicy *policy = NULL;

    (void)state;
    sign_for(&states, &other, PCRS);
    assert_int_equal(pcr_signatures_encode(&states, &text), 0);
    file_put("vendor.pem", vendor_pem, key_path);
    file_put("other.pem", other_pem, other_path);
    file_put("states", text, states_path);
    /* States that another vendor signed for. */
    assert_int_equal(
        key_policy_read(&file.public.publicArea, key_path, states_path, &policy, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "states"));
    /* Another vendor's key. */
    assert_int_equal(
        key_policy_read(&file.public.publicArea, other_path, states_path, &policy, &reason),
        -EINVAL);
    assert_non_null(strstr(reason.text, "other.pem"));
    assert_int_equal(
        key_policy_read(&file.public.publicArea, key_path, "/nonexistent", &policy, &reason),
        -ENOENT);
}

static void a_kept_session_that_somebody_flushed_is_replaced(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(try_to_sign(device.key, &reason), 0);
    assert_int_equal(tpm2_flush_context(bench.tpm, device.key->session->object.handle), 0);
    assert_int_equal(device_key_prepare(device.key, &reason), 0);
    assert_int_equal(try_to_sign(device.key, &reason), 0);
    assert_int_equal(device_key_prepare(device.key, &reason), 0);
    assert_int_equal(tpm2_flush_context(bench.tpm, device.key->session->object.handle), 0);
    assert_int_equal(try_to_sign(device.key, &reason), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1);
}

static void a_policy_has_to_be_satisfied_for_each_signature_in_a_kept_session(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(try_to_sign(device.key, &reason), 0);
    platform_extend(4);
    assert_int_equal(device_key_prepare(device.key, &reason), -EKEYREJECTED);
    assert_int_equal(try_to_sign(device.key, &reason), -EKEYREJECTED);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void signing_many_times_takes_no_handle_for_good(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    for (int i = 0; i < 300; i++) {
        assert_int_equal(device_key_prepare(device.key, &reason), 0);
        if (i % 3 == 0)
            device_key_rest(device.key);
        if (i % 50 == 0)
            platform_extend(3);
        assert_int_equal(try_to_sign(device.key, &reason), 0);
    }
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1); /* the key */
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1);
    device_key_rest(device.key);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    assert_int_equal(handle_count(TPM2_ACTIVE_SESSION_FIRST), 0);
}

static void a_mismatch_that_does_not_fit_is_cut_and_says_so(void **state)
{
    static const char whole[] = "PCR 1: expected ";
    PcrMismatch mismatch = {
        .mask = 1U << 1,
        .expected = {.bank = TPM2_ALG_SHA256},
        .found = {.bank = TPM2_ALG_SHA256},
    };
    char text[256], room[256];
    size_t size;

    (void)state;
    pcr_mismatch_print(&mismatch, text, sizeof(text));
    assert_memory_equal(text, whole, strlen(whole));
    size = strlen(text) + 1;
    pcr_mismatch_print(&mismatch, room, size);
    assert_string_equal(room, text);
    for (size_t cut = PCR_MISMATCH_TEXT_LEAST; cut < size; cut++) {
        memset(room, 'x', sizeof(room));
        pcr_mismatch_print(&mismatch, room, cut);
        assert_true(strlen(room) < cut);
        assert_int_equal(room[cut], 'x');
        assert_string_equal(room + cut - 4, "...");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_signs_in_a_state_that_the_vendor_signed_for),
        cmocka_unit_test(without_the_policy_the_key_does_not_sign_even_for_who_has_its_file),
        cmocka_unit_test(a_state_not_signed_for_is_refused_and_the_pcr_named),
        cmocka_unit_test(of_several_states_the_one_that_fits_is_taken),
        cmocka_unit_test(a_state_over_a_bank_that_the_tpm_lacks_hides_no_other),
        cmocka_unit_test(
            a_pcr_extended_after_preparation_is_retried_once_where_the_policy_still_fits),
        cmocka_unit_test(a_pcr_of_the_policy_extended_after_preparation_stops_the_signature),
        cmocka_unit_test(a_plain_pcr_policy_binds_the_key_to_one_state),
        cmocka_unit_test(a_key_without_policy_is_known_as_one_for_development),
        cmocka_unit_test(files_that_do_not_belong_to_the_key_are_refused),
        cmocka_unit_test(a_kept_session_that_somebody_flushed_is_replaced),
        cmocka_unit_test(a_policy_has_to_be_satisfied_for_each_signature_in_a_kept_session),
        cmocka_unit_test(signing_many_times_takes_no_handle_for_good),
        cmocka_unit_test(a_mismatch_that_does_not_fit_is_cut_and_says_so),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

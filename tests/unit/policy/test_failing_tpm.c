/* What becomes of a TPM that does once what it should not, over a line that nobody changed? The
 * linker puts these functions in the place of tpm/'s own (ld --wrap). */
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"
#include "provisioning/approval.h"
#include "provisioning/devicetpm.h"
#include "vendor_fixture.h"

#include "key_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PCRS = 1U << 7, NOW = 1790000000 };

/* How often each is still to go wrong. */
static struct {
    unsigned tickets, reads, signatures, sessions;
} failures;

static bool fails(unsigned *count)
{
    if (*count == 0)
        return false;
    --*count;
    return true;
}

TSS2_RC __real_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket);
TSS2_RC __wrap_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket);
TSS2_RC __wrap_tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy,
                                     const TPM2B_DIGEST *approved, const TPM2B_NONCE *policy_ref,
                                     const TPM2B_NAME *key, const TPMT_TK_VERIFIED *ticket)
{
    return fails(&failures.tickets)
               ? TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_4
               : __real_tpm2_policy_authorize(tpm, policy, approved, policy_ref, key, ticket);
}

TSS2_RC __real_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC __wrap_tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                            TpmSession *session, uint16_t size, uint16_t offset,
                            TPM2B_MAX_NV_BUFFER *ret)
{
    TSS2_RC rc = __real_tpm2_nv_read(tpm, authorizes, index, session, size, offset, ret);

    if (fails(&failures.reads))
        ret->size--;
    return rc;
}

TSS2_RC __real_tpm2_sign(Tpm *tpm, const TpmObject *key, TpmSession *session,
                         const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                         TPMT_SIGNATURE *ret);
TSS2_RC __wrap_tpm2_sign(Tpm *tpm, const TpmObject *key, TpmSession *session,
                         const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                         TPMT_SIGNATURE *ret);
TSS2_RC __wrap_tpm2_sign(Tpm *tpm, const TpmObject *key, TpmSession *session,
                         const TPM2B_DIGEST *digest, const TPMT_SIG_SCHEME *scheme,
                         TPMT_SIGNATURE *ret)
{
    TSS2_RC rc = __real_tpm2_sign(tpm, key, session, digest, scheme, ret);

    if (fails(&failures.signatures))
        ret->signature.ecdsa.signatureS.buffer[0] ^= 1;
    return rc;
}

int __real_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason)
{
    return fails(&failures.sessions) ? reason_set(reason, -EIO, "no session is left")
                                     : __real_tpm_session_start(tpm, type, ret, reason);
}

typedef struct Device {
    Tss2Key file;
    KeyPolicy *policy;
    DeviceKey *key;
} Device;

/* A key under its vendor's policy, in the state that the vendor signed for; not loaded yet. */
static Device device_new(void)
{
    _cleanup_(policy_key_deinit) PolicyKey vendor = vendor_key_new("P-256");
    const PcrState now = platform_state(PCRS);
    PcrSignatures states = {0};
    PcrSignature entry;
    PolicyDigest digest;
    Device device = {0};
    Reason reason = {0};

    assert_int_equal(policy_key_authorize_digest(&vendor, (Bytes){0}, &digest), 0);
    if (device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, &digest, &device.file, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(pcr_signature_make(&now, &vendor, &entry), 0);
    assert_int_equal(pcr_signatures_add(&states, &entry), 0);
    device.policy = vendor_policy(&vendor, &states, &device.file.public.publicArea);
    return device;
}

static int device_load(Device *device, Reason *reason)
{
    return device_key_load(bench.tpm, &device->file, device->policy, &device->key, reason);
}

static void device_deinit(Device *device)
{
    device_key_free(device->key);
    key_policy_free(device->policy);
}

static void a_ticket_that_is_refused_once_is_got_anew(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    TPMT_TK_VERIFIED before;
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_load(&device, &reason), 0);
    device_key_rest(device.key);
    before = device.policy->ticket;
    failures.tickets = 1;
    if (device_key_prepare(device.key, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(failures.tickets, 0);
    assert_signs(device.key, "SHA256", 32, false);
    /* One that the TPM will never take again: its proof has changed since. */
    device_key_rest(device.key);
    device.policy->ticket.digest.buffer[0] ^= 1;
    assert_signs(device.key, "SHA256", 32, false);
    assert_memory_equal(&device.policy->ticket, &before, sizeof(before));
}

static void a_ticket_that_is_refused_again_and_again_is_no_state_approved_of(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_load(&device, &reason), 0);
    device_key_rest(device.key);
    failures.tickets = 100;
    assert_int_equal(device_key_prepare(device.key, &reason), -EKEYREJECTED);
    assert_true(failures.tickets > 90); /* it does not try for ever */
    failures.tickets = 0;
    assert_signs(device.key, "SHA256", 32, false);
}

static void a_self_test_with_a_wrong_signature_loads_no_key(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    failures.signatures = 1;
    assert_int_equal(device_load(&device, &reason), -EIO);
    assert_non_null(strstr(reason.text, "test signature"));
    assert_null(device.key);
    assert_int_equal(device_load(&device, &reason), 0);
    assert_signs(device.key, "SHA256", 32, false);
}

static void without_a_session_there_is_no_ticket(void **state)
{
    _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new("P-256");
    const PolicyDigest approved = {.octets = {1}};
    uint8_t signature[POLICY_SIGNATURE_MAX];
    const TPMT_TK_VERIFIED none = {0};
    TPMT_TK_VERIFIED ticket = {0};
    Reason reason = {0};
    size_t size = 0;

    (void)state;
    assert_int_equal(policy_key_approve(&key, &approved, (Bytes){0}, signature, &size), 0);
    failures.sessions = 1;
    assert_int_equal(policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0},
                                       (Bytes){signature, size}, &ticket, &reason),
                     -EIO);
    assert_string_equal(reason.text, "no session is left");
    assert_memory_equal(&ticket, &none, sizeof(none));
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
    assert_int_equal(policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0},
                                       (Bytes){signature, size}, &ticket, &reason),
                     0);
}

static void an_nv_read_that_comes_short_tells_no_time(void **state)
{
    Reason reason = {0};
    time_t time = 77;

    (void)state;
    if (last_known_time_define(bench.tpm, NOW, &reason) < 0)
        fail_msg("%s", reason.text);
    for (unsigned nth = 1; nth <= 2; nth++) { /* of the base, of the counter */
        failures.reads = nth;
        assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -EIO);
        assert_non_null(strstr(reason.text, "octets where 8 were asked for"));
        failures.reads = 0;
    }
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), 0);
    assert_int_equal(time, NOW / LAST_KNOWN_DAY * LAST_KNOWN_DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_that_is_refused_once_is_got_anew),
        cmocka_unit_test(a_ticket_that_is_refused_again_and_again_is_no_state_approved_of),
        cmocka_unit_test(a_self_test_with_a_wrong_signature_loads_no_key),
        cmocka_unit_test(without_a_session_there_is_no_ticket),
        cmocka_unit_test(an_nv_read_that_comes_short_tells_no_time),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

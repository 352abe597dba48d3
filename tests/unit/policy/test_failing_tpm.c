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

/* Which one to come is to fail, counted from 1; 0: none. */
static struct {
    unsigned session, allocation;
} nth;

/* What the TPM was asked for. */
static struct {
    unsigned authorizations, loads, external_loads;
} asked;

/* What a signature is made of instead; NULL: of what the TPM says. */
static const TPMT_SIGNATURE *instead;

static bool is_due(unsigned *left)
{
    return *left > 0 && --*left == 0;
}

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
    asked.authorizations++;
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
    if (instead)
        *ret = *instead;
    return rc;
}

int __real_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);
int __wrap_tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason)
{
    return fails(&failures.sessions) || is_due(&nth.session)
               ? reason_set(reason, -EIO, "no session is left")
               : __real_tpm_session_start(tpm, type, ret, reason);
}

TSS2_RC __real_tpm2_load(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                         const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public, TpmObject *ret);
TSS2_RC __wrap_tpm2_load(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                         const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public, TpmObject *ret);
TSS2_RC __wrap_tpm2_load(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                         const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public, TpmObject *ret)
{
    asked.loads++;
    return __real_tpm2_load(tpm, parent, session, private, public, ret);
}

TSS2_RC __real_tpm2_load_external(Tpm *tpm, const TPM2B_PUBLIC *public, TPM2_HANDLE hierarchy,
                                  TpmObject *ret);
TSS2_RC __wrap_tpm2_load_external(Tpm *tpm, const TPM2B_PUBLIC *public, TPM2_HANDLE hierarchy,
                                  TpmObject *ret);
TSS2_RC __wrap_tpm2_load_external(Tpm *tpm, const TPM2B_PUBLIC *public, TPM2_HANDLE hierarchy,
                                  TpmObject *ret)
{
    asked.external_loads++;
    return __real_tpm2_load_external(tpm, public, hierarchy, ret);
}

void *__real_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size)
{
    return is_due(&nth.allocation) ? NULL : __real_calloc(count, size);
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

/* That which has the ticket checked, that which loads, and the key's own. */
static void without_one_of_its_three_sessions_no_key_is_loaded(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        device.policy->fit = NULL;
        nth.session = i;
        assert_int_equal(device_load(&device, &reason), -EIO);
        assert_string_equal(reason.text, "no session is left");
        assert_int_equal(nth.session, 0);
        assert_null(device.key);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
        assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    }
    assert_int_equal(device_load(&device, &reason), 0);
}

static void without_a_session_no_key_is_made(void **state)
{
    Reason reason = {0};
    Tss2Key file;

    (void)state;
    nth.session = 1;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason), -EIO);
    assert_string_equal(reason.text, "no session is left");
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason), 0);
}

static void without_memory_no_key_is_loaded(void **state)
{
    enum { ALLOCATIONS_MAX = 200 };
    _cleanup_(device_deinit) Device device = device_new();
    unsigned allocations = 0;
    Reason reason = {0};
    int r;

    (void)state;
    do {
        device.policy->fit = NULL;
        nth.allocation = ++allocations;
        r = device_load(&device, &reason);
        if (r < 0) {
            assert_int_equal(r, -EIO);
            assert_null(device.key);
        }
    } while (r < 0 && allocations < ALLOCATIONS_MAX);
    assert_true(allocations > 3);
    nth.allocation = 0;
    assert_int_equal(r, 0);
    assert_signs(device.key, "SHA256", 32, false);
}

static void in_a_state_that_nobody_approved_of_the_key_is_not_even_loaded(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    platform_extend(7);
    asked.loads = 0;
    assert_int_equal(device_load(&device, &reason), -EKEYREJECTED);
    assert_int_equal(asked.loads, 0);
}

static void what_is_ready_or_was_kept_is_satisfied_once(void **state)
{
    _cleanup_(device_deinit) Device device = device_new();
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_load(&device, &reason), 0);
    for (int i = 0; i < 2; i++) { /* the session is kept for the second time */
        asked.authorizations = 0;
        assert_int_equal(device_key_prepare(device.key, &reason), 0);
        assert_int_equal(asked.authorizations, 1);
        assert_int_equal(device_key_prepare(device.key, &reason), 0);
        assert_int_equal(asked.authorizations, 1);
        assert_signs(device.key, "SHA256", 32, false);
    }
    /* A new one that fails is not tried again. */
    device_key_rest(device.key);
    nth.session = 1;
    assert_int_equal(device_key_prepare(device.key, &reason), -EIO);
    assert_string_equal(reason.text, "no session is left");
}

static void a_signature_that_is_longer_than_its_key_is_none(void **state)
{
    static const TPMT_SIGNATURE
        r = {.sigAlg = TPM2_ALG_ECDSA,
             .signature.ecdsa = {.signatureR = {.size = 33, .buffer = {1}},
                                 .signatureS = {.size = 32, .buffer = {1}}}},
        s = {.sigAlg = TPM2_ALG_ECDSA,
             .signature.ecdsa = {.signatureR = {.size = 32, .buffer = {1}},
                                 .signatureS = {.size = 33, .buffer = {1}}}},
        rsa = {.sigAlg = TPM2_ALG_RSASSA, .signature.rsassa.sig = {.size = 257, .buffer = {1}}};
    static const struct {
        TpmKeyAlgorithm algorithm;
        const TPMT_SIGNATURE *signature;
    } cases[] = {{TPM_KEY_ECDSA_P256, &r}, {TPM_KEY_ECDSA_P256, &s}, {TPM_KEY_RSA_2048, &rsa}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(device_key_freep) DeviceKey *key = key_new(cases[i].algorithm);
        uint8_t digest[32] = {1}, signature[DEVICE_KEY_SIGNATURE_MAX];
        Reason reason = {0};
        size_t size = 0;

        instead = cases[i].signature;
        assert_int_equal(
            device_key_sign(key, "SHA256", false, BYTES_OF(digest), signature, &size, &reason),
            -EIO);
        instead = NULL;
        assert_non_null(strstr(reason.text, "too long for its key"));
    }
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

static void what_is_no_signature_is_not_shown_to_the_tpm(void **state)
{
    static const uint8_t none[] = {0x30, 0x03, 0x02, 0x01, 0x01}; /* r, without s */
    static const uint8_t large[POLICY_SIGNATURE_MAX + 1] = {1};
    static const char *const types[] = {"P-256", "RSA"};
    const Bytes signatures[] = {BYTES_OF(none), BYTES_OF(large)};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        _cleanup_(policy_key_deinit) PolicyKey key = vendor_key_new(types[i]);
        const PolicyDigest approved = {.octets = {1}};
        TPMT_TK_VERIFIED ticket;
        Reason reason = {0};

        asked.external_loads = 0;
        assert_int_equal(policy_key_ticket(bench.tpm, &key, &approved, (Bytes){0}, signatures[i],
                                           &ticket, &reason),
                         -EKEYREJECTED);
        assert_int_equal(asked.external_loads, 0);
    }
}

static void an_nv_read_that_comes_short_tells_no_time(void **state)
{
    Reason reason = {0};
    time_t time = 77;

    (void)state;
    if (last_known_time_define(bench.tpm, NOW, &reason) < 0)
        fail_msg("%s", reason.text);
    for (unsigned which = 1; which <= 2; which++) { /* of the base, of the counter */
        failures.reads = which;
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
        cmocka_unit_test(without_one_of_its_three_sessions_no_key_is_loaded),
        cmocka_unit_test(without_a_session_no_key_is_made),
        cmocka_unit_test(without_memory_no_key_is_loaded),
        cmocka_unit_test(in_a_state_that_nobody_approved_of_the_key_is_not_even_loaded),
        cmocka_unit_test(what_is_ready_or_was_kept_is_satisfied_once),
        cmocka_unit_test(a_signature_that_is_longer_than_its_key_is_none),
        cmocka_unit_test(without_a_session_there_is_no_ticket),
        cmocka_unit_test(what_is_no_signature_is_not_shown_to_the_tpm),
        cmocka_unit_test(an_nv_read_that_comes_short_tells_no_time),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}

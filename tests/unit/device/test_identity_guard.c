/* What the TPM vouches for, and what lacks a TPM, a policy or anchors to be held against it. TPM
 * and files are played: the linker puts these functions in the place of policy/'s own (ld --wrap).
 */
#include "device/identity_internal.h"

#include "policy/anchorinstall.h"
#include "policy/keypolicy.h"
#include "policy/lastknowntime.h"
#include "tpm/tpm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct {
    AnchorGuard guard;
    int guard_result, locked_result, recover_result, time_result;
    bool locked;
    time_t last_known;
    unsigned asked; /* of the TPM and the files */
    unsigned loaded;
    uint8_t loaded_digest[ANCHOR_DIGEST_SIZE];
} bench;

int __wrap_anchor_guard_read(Tpm *tpm, AnchorGuard *ret, Reason *reason);
int __wrap_anchor_guard_is_locked(Tpm *tpm, bool *ret, Reason *reason);
int __wrap_anchor_files_recover(const char *path, const AnchorRecord *record);
int __wrap_last_known_time_read(Tpm *tpm, time_t *ret, Reason *reason);
int __wrap_identity_anchors_load(const DeviceFiles *files, DeviceIdentity *identity,
                                 Reason *reason);

int __wrap_anchor_guard_read(Tpm *tpm, AnchorGuard *ret, Reason *reason)
{
    (void)tpm;
    bench.asked++;
    *ret = bench.guard;
    return reason_set(reason, bench.guard_result, "of the guard");
}

int __wrap_anchor_guard_is_locked(Tpm *tpm, bool *ret, Reason *reason)
{
    (void)tpm;
    bench.asked++;
    *ret = bench.locked;
    return reason_set(reason, bench.locked_result, "of the lock");
}

int __wrap_anchor_files_recover(const char *path, const AnchorRecord *record)
{
    assert_string_equal(path, "anchors");
    assert_int_equal(record->version, bench.guard.record.version);
    bench.asked++;
    return bench.recover_result;
}

int __wrap_last_known_time_read(Tpm *tpm, time_t *ret, Reason *reason)
{
    (void)tpm;
    bench.asked++;
    *ret = bench.last_known;
    return reason_set(reason, bench.time_result, "of the time");
}

int __wrap_identity_anchors_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    (void)files, (void)reason;
    bench.loaded++;
    memcpy(identity->anchors_digest, bench.loaded_digest, sizeof(bench.loaded_digest));
    return 0;
}

static Tpm tpm;
static KeyPolicy policy;
static uint8_t octets[] = "bundle";
static const DeviceFiles files = {.anchors = "anchors"};

/* One with all that is looked at, which the TPM vouches for. */
static DeviceIdentity identity_new(void)
{
    DeviceIdentity identity = {.tpm = &tpm,
                               .policy = &policy,
                               .anchors = {.data = octets, .size = sizeof(octets)},
                               .anchors_digest = {1, 2, 3}};

    memset(&bench, 0, sizeof(bench));
    policy.kind = KEY_POLICY_SIGNED;
    bench.guard = (AnchorGuard){.written = true, .record = {.version = 4, .digest = {1, 2, 3}}};
    bench.locked = true;
    bench.last_known = 77;
    return identity;
}

static void assert_guard(DeviceIdentity *identity, int result, const char *words)
{
    Reason reason = {0};

    assert_int_equal(identity_guard_load(&files, identity, &reason), result);
    if (!strstr(reason.text, words))
        fail_msg("'%s' lacks '%s'", reason.text, words);
    if (result == 0)
        assert_true(identity->anchors_guarded);
}

static void assert_time(DeviceIdentity *identity, int result, const char *words)
{
    Reason reason = {0};

    assert_int_equal(identity_last_known_load(&files, identity, &reason), result);
    if (!strstr(reason.text, words))
        fail_msg("'%s' lacks '%s'", reason.text, words);
}

static void anchors_that_the_tpm_guards_are_vouched_for(void **state)
{
    DeviceIdentity identity = identity_new();

    (void)state;
    assert_guard(&identity, 0, "");
    assert_int_equal(identity.anchors_version, 4);
    assert_true(identity.guard_locked);
    assert_int_equal(bench.loaded, 0);
}

static void without_tpm_policy_or_anchors_nothing_is_asked(void **state)
{
    static const char mend[] = "Mend these first";

    (void)state;
    for (int part = 0; part < 3; part++) {
        DeviceIdentity identity = identity_new();

        if (part == 0)
            identity.tpm = NULL;
        if (part == 1)
            identity.policy = NULL;
        if (part == 2)
            identity.anchors.data = NULL;
        assert_guard(&identity, IDENTITY_UNPROVISIONED, mend);
        assert_int_equal(bench.asked, 0);
        if (part < 2)
            assert_time(&identity, IDENTITY_UNPROVISIONED, mend);
        assert_int_equal(bench.asked, 0);
    }
}

static void anchors_that_differ_in_any_octet_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANCHOR_DIGEST_SIZE; i++) {
        DeviceIdentity identity = identity_new();

        identity.anchors_digest[i] ^= 1;
        assert_guard(&identity, IDENTITY_INTEGRITY_FAILED, "not those that the TPM guards");
        assert_false(identity.anchors_guarded);
    }
}

static void a_guard_that_was_never_written_vouches_for_nothing(void **state)
{
    DeviceIdentity identity = identity_new();

    (void)state;
    bench.guard.written = false;
    assert_guard(&identity, IDENTITY_UNPROVISIONED, "was never written");
    assert_false(identity.anchors_guarded);
}

static void without_a_guard_only_a_key_without_policy_serves(void **state)
{
    (void)state;
    DeviceIdentity identity = identity_new();
    bench.guard_result = -ENOENT;
    assert_guard(&identity, IDENTITY_UNPROVISIONED, "root could exchange them");
    Reason reason = {0};
    policy.kind = KEY_POLICY_NONE;
    assert_int_equal(identity_guard_load(&files, &identity, &reason), 0);
    assert_false(identity.anchors_guarded);
}

static void a_guard_that_is_none_is_told_apart_from_a_tpm_that_does_not_answer(void **state)
{
    (void)state;
    DeviceIdentity identity = identity_new();
    bench.guard_result = -EBADMSG;
    assert_guard(&identity, IDENTITY_UNPROVISIONED, "of the guard");
    bench.guard_result = -EIO;
    assert_guard(&identity, IDENTITY_TPM_UNAVAILABLE, "of the guard");
    bench.guard_result = 0;
    bench.locked_result = -EIO;
    assert_guard(&identity, IDENTITY_TPM_UNAVAILABLE, "of the lock");
}

static void a_new_pair_that_was_put_in_force_is_read_before_it_is_judged(void **state)
{
    (void)state;
    DeviceIdentity identity = identity_new();
    bench.recover_result = 1;
    bench.loaded_digest[0] = 9;
    bench.guard.record.digest[0] = 9;
    bench.guard.record.digest[1] = bench.guard.record.digest[2] = 0;
    assert_guard(&identity, 0, "");
    assert_int_equal(bench.loaded, 1);
    /* What can't be recovered is judged by what is in force. */
    identity = identity_new();
    bench.recover_result = -EROFS;
    assert_guard(&identity, 0, "");
    assert_int_equal(bench.loaded, 0);
    identity = identity_new();
    bench.recover_result = -ENOMEM;
    assert_guard(&identity, -ENOMEM, "");
}

static void only_a_key_without_policy_serves_without_a_last_known_time(void **state)
{
    (void)state;
    DeviceIdentity identity = identity_new();
    assert_time(&identity, 0, "");
    assert_int_equal(identity.last_known, 77);
    bench.time_result = -ENOENT;
    assert_time(&identity, IDENTITY_UNPROVISIONED, "keeps no last-known time");
    policy.kind = KEY_POLICY_NONE;
    assert_time(&identity, 0, "");
    /* One that is not what was defined does not, whatever the key is under. */
    bench.time_result = -EBADMSG;
    assert_time(&identity, IDENTITY_UNPROVISIONED, "keeps no last-known time");
    bench.time_result = -EIO;
    assert_time(&identity, IDENTITY_TPM_UNAVAILABLE, "of the time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_that_the_tpm_guards_are_vouched_for),
        cmocka_unit_test(without_tpm_policy_or_anchors_nothing_is_asked),
        cmocka_unit_test(anchors_that_differ_in_any_octet_are_refused),
        cmocka_unit_test(a_guard_that_was_never_written_vouches_for_nothing),
        cmocka_unit_test(without_a_guard_only_a_key_without_policy_serves),
        cmocka_unit_test(a_guard_that_is_none_is_told_apart_from_a_tpm_that_does_not_answer),
        cmocka_unit_test(a_new_pair_that_was_put_in_force_is_read_before_it_is_judged),
        cmocka_unit_test(only_a_key_without_policy_serves_without_a_last_known_time),
    };

    return cmocka_run_group_tests_name("identity guard", tests, NULL, NULL);
}

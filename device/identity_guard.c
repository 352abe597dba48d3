/* Holds the anchors against what the TPM vouches for, and reads the last-known time. */
#include "device/identity_internal.h"

#include "policy/anchorinstall.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "policy/lastknowntime.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { HEX_SIZE = 2 * ANCHOR_DIGEST_SIZE + 1 };

static int without_tpm(Reason *reason)
{
    return reason_set(reason, IDENTITY_UNPROVISIONED,
                      "It can't be looked at without the device key, the anchors and the TPM. "
                      "Mend these first");
}

static bool is_for_development(const DeviceIdentity *identity)
{
    return identity->policy->kind == KEY_POLICY_NONE;
}

static int anchors_differ(const DeviceFiles *files, const DeviceIdentity *identity,
                          const AnchorGuard *guard, Reason *reason)
{
    char found[HEX_SIZE], expected[HEX_SIZE];

    hex_encode(BYTES_OF(identity->anchors_digest), found);
    hex_encode(BYTES_OF(guard->record.digest), expected);
    return reason_set(
        reason, IDENTITY_INTEGRITY_FAILED,
        "The SeGW anchors are not those that the TPM guards: %.150s has the SHA-256 %s, expected "
        "is %s (version %" PRIu64 "). Find out who changed the file, and install that bundle, or a "
        "newer one, with tre-provision install-anchors",
        files->anchors, found, expected, guard->record.version);
}

/* A power cut may have come between the TPM and the files. */
static int files_recover(const DeviceFiles *files, DeviceIdentity *identity,
                         const AnchorGuard *guard, Reason *reason)
{
    int r = anchor_files_recover(files->anchors, &guard->record);

    if (r == -ENOMEM)
        return r;
    if (r <= 0) /* what can't be renamed is judged by what is in force, below */
        return 0;
    return identity_anchors_load(files, identity, reason);
}

static int guarded_load(const DeviceFiles *files, DeviceIdentity *identity,
                        const AnchorGuard *guard, Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!guard->written) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "The TPM's guard of the anchors was never written. Run tre-provision "
                          "install-anchors with a bundle approved of as a first one");
    }
    r = files_recover(files, identity, guard, reason);
    if (r != 0)
        return r;
    if (!bytes_equal(BYTES_OF(identity->anchors_digest), BYTES_OF(guard->record.digest)))
        return anchors_differ(files, identity, guard, reason);
    identity->anchors_guarded = true;
    identity->anchors_version = guard->record.version;
    r = anchor_guard_is_locked(identity->tpm, &identity->guard_locked, &cause);
    return r < 0 ? reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", cause.text) : 0;
}

int identity_guard_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    Reason cause = {0};
    AnchorGuard guard;
    int r;

    if (!identity->tpm || !identity->policy || !identity->anchors.data)
        return without_tpm(reason);
    r = anchor_guard_read(identity->tpm, &guard, &cause);
    if (r == 0)
        return guarded_load(files, identity, &guard, reason);
    if (r == -ENOENT) {
        return is_for_development(identity)
                   ? 0
                   : reason_set(reason, IDENTITY_UNPROVISIONED,
                                "The device key is under a policy, but the TPM does not guard "
                                "the anchors (NV index 0x%08x): root could exchange them. "
                                "Provision the device anew",
                                ANCHOR_GUARD_INDEX);
    }
    return reason_set(reason, r == -EBADMSG ? IDENTITY_UNPROVISIONED : IDENTITY_TPM_UNAVAILABLE,
                      "%s", cause.text);
}

int identity_last_known_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

    (void)files; /* it is in the TPM alone */
    if (!identity->tpm || !identity->policy)
        return without_tpm(reason);
    r = last_known_time_read(identity->tpm, &identity->last_known, &cause);
    if (r == -ENOENT && is_for_development(identity))
        return 0;
    if (r == -ENOENT || r == -EBADMSG) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "The device key is under a policy, but the TPM keeps no last-known "
                          "time, so that a clock set back would bring expired certificates to "
                          "life: %s. Provision the device anew",
                          cause.text);
    }
    return r < 0 ? reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", cause.text) : 0;
}

/* Holds the anchors against what the TPM vouches for, and reads the last-known time. */
#include "tred/identity_internal.h"

#include "policy/anchorinstall.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "policy/lastknowntime.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { HEX_SIZE = 2 * ANCHOR_DIGEST_SIZE + 1 };

/* A clock that is wrong is commoner than a certificate that is: said, not judged. The SeGW decides.
 */
void identity_validity_check(const TredConfig *config, Identity *identity)
{
    const char *path = config->certificates;
    time_t now = time(NULL);

    if (now < identity->last_known)
        now = identity->last_known;
    identity->validity_problem.text[0] = '\0';
    if (identity->not_before > now) {
        reason_set(&identity->validity_problem, 0,
                   "%s is not valid yet by this machine's clock. Set the clock (timedatectl)",
                   path);
    } else if (identity->not_after < now) {
        reason_set(&identity->validity_problem, 0,
                   "%s has expired%s. Have a new certificate issued for the key%s", path,
                   now == identity->last_known ? " by the TPM's last-known time" : "",
                   now == identity->last_known ? "" : ", or set the clock");
    }
}

static int without_tpm(Reason *reason)
{
    return reason_set(reason, IDENTITY_UNPROVISIONED,
                      "It can't be looked at without the device key, the anchors and the TPM. "
                      "Mend these first");
}

static bool is_for_development(const Identity *identity)
{
    return identity->policy->kind == KEY_POLICY_NONE;
}

static int anchors_differ(const TredConfig *config, const Identity *identity,
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
        config->anchors, found, expected, guard->record.version);
}

/* A power cut may have come between the TPM and the files. */
static int files_recover(const TredConfig *config, Identity *identity, const AnchorGuard *guard,
                         Reason *reason)
{
    int r = anchor_files_recover(config->anchors, &guard->record);

    if (r == -ENOMEM)
        return r;
    if (r <= 0) /* what can't be renamed is judged by what is in force, below */
        return 0;
    return identity_anchors_load(config, identity, reason);
}

static int guarded_load(const TredConfig *config, Identity *identity, const AnchorGuard *guard,
                        Reason *reason)
{
    Reason cause = {0};
    int r;

    if (!guard->written) {
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "The TPM's guard of the anchors was never written. Run tre-provision "
                          "install-anchors with a bundle approved of as a first one");
    }
    r = files_recover(config, identity, guard, reason);
    if (r != 0)
        return r;
    if (!bytes_equal(BYTES_OF(identity->anchors_digest), BYTES_OF(guard->record.digest)))
        return anchors_differ(config, identity, guard, reason);
    identity->anchors_guarded = true;
    identity->anchors_version = guard->record.version;
    r = anchor_guard_is_locked(identity->tpm, &identity->guard_locked, &cause);
    return r < 0 ? reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", cause.text) : 0;
}

int identity_guard_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    AnchorGuard guard;
    int r;

    if (!identity->tpm || !identity->policy || !identity->has_anchors)
        return without_tpm(reason);
    r = anchor_guard_read(identity->tpm, &guard, &cause);
    if (r == 0)
        return guarded_load(config, identity, &guard, reason);
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

int identity_last_known_load(const TredConfig *config, Identity *identity, Reason *reason)
{
    Reason cause = {0};
    int r;

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
    if (r < 0)
        return reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", cause.text);
    /* Of anchors that the TPM does not guard the line is anybody's. */
    if (!identity->anchors_guarded)
        identity->correction_days = 0;
    identity->last_known -= (time_t)identity->correction_days * LAST_KNOWN_DAY;
    if (identity->n_certificates > 0)
        identity_validity_check(config, identity);
    return 0;
}

/* Are the anchors on disk those that the TPM guards, and is the clock not behind what it knows? */
#include "provisioning/verification.h"

#include "base/file.h"
#include "base/reason.h"
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"
#include "policy/timecorrection.h"
#include "verify/dates.h"
#include "verify/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SUBJECT_SIZE = 160, BUNDLE_SIZE_MAX = 1024 * 1024 };

static const char remedy[] = "run 'tre-provision install-anchors FILE'";

/* False if it has told what is wrong with them. */
static bool certificates_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;

    if (files->anchors_r < 0) {
        verification_misfits(verification, "anchors", remedy, "%s", files->anchors_reason.text);
        return false;
    }
    for (int i = 0; i < sk_X509_num(files->anchors); i++) {
        X509 *anchor = sk_X509_value(files->anchors, i);
        const char *flaw = profile_anchor_flaw(anchor);
        char subject[SUBJECT_SIZE] = "";

        if (!flaw && !date_is_from(X509_get0_notAfter(anchor), time(NULL)))
            flaw = "has expired";
        if (flaw) {
            certificate_subject(anchor, subject, sizeof(subject));
            verification_misfits(verification, "anchors", remedy, "certificate %d (%s) %s", i + 1,
                                 subject, flaw);
            return false;
        }
    }
    return true;
}

/* A device whose key signs only in an approved state is to have its anchors guarded too, and so is
 * one whose profile names the operator's key. */
static bool guard_is_due(const Verification *verification)
{
    const ProvisionProfile *profile = verification->options->profile;

    return (verification->files.key_r == 0 &&
            verification->files.key.public.publicArea.authPolicy.size > 0) ||
           (profile && profile->operator_key);
}

/* True if the octets of the file are those of the record; the file was read well before. */
static bool bundle_fits(const Verification *verification, const AnchorRecord *record)
{
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    AnchorRecord found;
    size_t size = 0;

    return state_path(verification->options, STATE_ANCHORS, &path) == 0 &&
           file_read(path, BUNDLE_SIZE_MAX, &bundle, &size) == 0 &&
           anchor_record_make((Bytes){bundle, size}, record->version, &found) == 0 &&
           anchor_record_equal(&found, record);
}

static bool operator_fits(const Verification *verification, const AnchorGuard *guard)
{
    const ProvisionProfile *profile = verification->options->profile;
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    Reason reason = {0};

    return !profile || !profile->operator_key ||
           (policy_key_read(profile->operator_key, false, &key, &reason) == 0 &&
            anchor_guard_obeys(guard, &key));
}

static void guard_verify(Verification *verification)
{
    Reason reason = {0};
    char fit[96];
    AnchorGuard guard;
    int r = anchor_guard_read(verification->tpm, &guard, &reason);

    if (r == -ENOENT && !guard_is_due(verification)) {
        verification_fits(verification, "anchors",
                          "each is a CA's; NOTHING GUARDS THEM (development only)");
    } else if (r < 0) {
        verification_misfits(verification, "anchors",
                             "run 'tre-provision run' with a profile that "
                             "names the operator's key",
                             "%s", reason.text);
    } else if (!operator_fits(verification, &guard)) {
        verification_misfits(verification, "anchors",
                             "use this operator's key, or clear the TPM "
                             "and provision anew",
                             "the TPM guards them for another operator than the profile's");
    } else if (!guard.written || !bundle_fits(verification, &guard.record)) {
        verification_misfits(verification, "anchors", remedy,
                             "the file is not the bundle that the TPM's guard holds");
    } else {
        (void)snprintf(fit, sizeof(fit), "each is a CA's, and version %llu is what the TPM guards",
                       (unsigned long long)guard.record.version);
        verification_fits(verification, "anchors", fit);
    }
}

void verification_anchors(Verification *verification)
{
    if (!certificates_verify(verification))
        return;
    if (verification->tpm) {
        guard_verify(verification);
    } else {
        verification_fits(verification, "anchors", "each is a CA's");
    }
}

/* The operator's, in the file that the guard was held against before. */
static unsigned correction_days(const Verification *verification)
{
    const X509 *certificate = sk_X509_value(verification->files.certificates, 0);
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    char fqdn[FQDN_SIZE_MAX];
    unsigned days = 0;
    size_t size = 0;

    if (!certificate || certificate_fqdn(certificate, fqdn) < 0 ||
        state_path(verification->options, STATE_ANCHORS, &path) < 0 ||
        file_read(path, BUNDLE_SIZE_MAX, &bundle, &size) < 0 ||
        time_correction_read((Bytes){bundle, size}, fqdn, &days, NULL) < 0)
        return 0;
    return days;
}

void verification_time(Verification *verification)
{
    Reason reason = {0};
    time_t known = 0;
    int r = -ENOENT;

    if (!verification->tpm)
        return;
    r = last_known_time_read(verification->tpm, &known, &reason);
    if (r == -ENOENT && !guard_is_due(verification))
        return;
    if (r < 0) {
        verification_misfits(verification, "last-known-time",
                             "run 'tre-provision step last-known-time --profile FILE'", "%s",
                             reason.text);
    } else if (time(NULL) < known - (time_t)correction_days(verification) * LAST_KNOWN_DAY) {
        verification_misfits(verification, "last-known-time",
                             "set the clock; if it is right, have the operator correct the "
                             "last-known time (tred-nv(7))",
                             "the system clock is behind the time that the TPM knows was reached");
    } else {
        verification_fits(verification, "last-known-time", "the clock is not behind it");
    }
}

/* tre-provision verify: whether what is there fits together and, if not, what to do. */
#include "base/file.h"
#include "base/reason.h"
#include "base/timecorrection.h"
#include "crypto/openssl.h"
#include "policy/anchorguard.h"
#include "policy/devicekey.h"
#include "policy/lastknowntime.h"
#include "policy/tss2key.h"
#include "provisioning/certificatefile.h"
#include "provisioning/command.h"
#include "provisioning/csr.h"
#include "provisioning/devicefiles.h"
#include "provisioning/devicetpm.h"
#include "provisioning/inventory.h"
#include "tpm/storagekey.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SUBJECT_SIZE = 160, BUNDLE_SIZE_MAX = 1024 * 1024 };

/* What a run looks at, and what it has found so far. */
typedef struct Verification {
    const ProvisionOptions *options;
    DeviceFiles files;
    Tpm *tpm; /* NULL: it can't be reached */
    bool srk_good;
    Inventory inventory;
    bool flawed;
} Verification;

static void verification_free(Verification *verification)
{
    tpm_close(verification->tpm);
    device_files_deinit(&verification->files);
    free(verification);
}
DEFINE_POINTER_CLEANUP(Verification, verification_free);

/* Notes that `name` fits, and how far. */
static void verification_fits(Verification *verification, const char *name, const char *what)
{
    item_field(inventory_add(&verification->inventory, name, "fits"), "found", "%s", what);
}

/* Notes that `name` does not fit: what was found, and what to do about it (NULL where the sentence
 * of `format` says it). */
__attribute__((format(printf, 4, 5))) static void verification_misfits(Verification *verification,
                                                                       const char *name,
                                                                       const char *remedy,
                                                                       const char *format, ...)
{
    Item *item = inventory_add(&verification->inventory, name, "WRONG");
    char found[FIELD_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(found, sizeof(found), format, arguments);
    va_end(arguments);
    item_field(item, "found", "%s", found);
    if (remedy)
        item_field(item, "remedy", "%s", remedy);
    verification->flawed = true;
}

static const char anchors_remedy[] = "run 'tre-provision install-anchors FILE'";

/* False if it has told what is wrong with them. */
static bool certificates_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;

    if (files->anchors_r < 0) {
        verification_misfits(verification, "anchors", anchors_remedy, "%s",
                             files->anchors_reason.text);
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
            verification_misfits(verification, "anchors", anchors_remedy, "certificate %d (%s) %s",
                                 i + 1, subject, flaw);
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
        verification_misfits(verification, "anchors", anchors_remedy,
                             "the file is not the bundle that the TPM's guard holds");
    } else {
        (void)snprintf(fit, sizeof(fit), "each is a CA's, and version %llu is what the TPM guards",
                       (unsigned long long)guard.record.version);
        verification_fits(verification, "anchors", fit);
    }
}

static void anchors_verify(Verification *verification)
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

static void time_verify(Verification *verification)
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

/* tred trusts the storage root key of the Name in the file and no other, and without the file none
 * where the device key is under a policy. All that is asked after this is asked with that key. */
static int srk_trust(Verification *verification, Reason *reason)
{
    const DeviceFiles *files = &verification->files;
    _cleanup_(free_charp) char *path = NULL;
    TPM2B_NAME name;
    int r = state_path(verification->options, STATE_SRK_NAME, &path);

    if (r < 0)
        return reason_set(reason, r, "out of memory");
    r = srk_name_read(path, &name, reason);
    if (r == -ENOENT && files->key_r == 0 && files->key.public.publicArea.authPolicy.size == 0)
        return 0; /* for development */
    if (r == -ENOENT) {
        return reason_set(reason, r,
                          "%.200s does not exist, so that any storage root key would be trusted; "
                          "run 'tre-provision step storage-root-key'",
                          path);
    }
    if (r < 0)
        return r;
    tpm_trust_srk(verification->tpm, &name);
    return tpm_salt_key_open(verification->tpm, reason);
}

static void tpm_verify(Verification *verification)
{
    Reason reason = {0};
    TpmFacts facts; /* nothing of them is judged; a TPM that does not tell them is none */
    int r = provision_tpm_open(verification->options->tcti, NULL, &verification->tpm, &reason);

    if (r == 0)
        r = tpm_facts_read(verification->tpm, &facts, &reason);
    if (r < 0) {
        verification_misfits(verification, "tpm", NULL, "%s", reason.text);
        return;
    }
    verification_fits(verification, "tpm", "it answers");
    r = srk_fits(verification->tpm, &reason);
    if (r == 0)
        r = srk_trust(verification, &reason);
    verification->srk_good = r == 0;
    if (r < 0) {
        verification_misfits(verification, "storage-root-key", NULL, "%s", reason.text);
    } else {
        verification_fits(verification, "storage-root-key",
                          "it is a storage key that only this TPM can use");
    }
}

static void key_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    Reason reason = {0};

    if (files->key_r < 0) {
        verification_misfits(verification, "device-key", NULL, "%s", files->key_reason.text);
    } else if (!verification->tpm || !verification->srk_good) {
        verification_misfits(verification, "device-key", "mend that first",
                             "without the TPM and its storage root key it can't be tried");
    } else if (device_policy_read(verification->options, &files->key, &policy, &reason) < 0 ||
               device_key_load(verification->tpm, &files->key, policy, &key, &reason) < 0) {
        verification_misfits(verification, "device-key", NULL, "%s", reason.text);
    } else {
        verification_fits(
            verification, "device-key",
            policy && policy->kind != KEY_POLICY_NONE
                ? "it loads in this TPM, and signs under its policy"
                : "it loads in this TPM, and signs; IT IS UNDER NO POLICY (development only)");
    }
}

static void csr_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;
    const char *flaw;

    if (files->key_r < 0)
        return; /* told already */
    if (files->csr_r == -ENOENT && files->certificates_r == 0)
        return; /* it has done its service */
    if (files->csr_r < 0) {
        verification_misfits(verification, "csr", "make one with 'tre-provision step csr'", "%s",
                             files->csr_reason.text);
        return;
    }
    flaw = csr_flaw((Bytes){files->csr, files->csr_size}, files->public_key,
                    verification->options->fqdn);
    if (flaw) {
        verification_misfits(verification, "csr",
                             "make it anew with 'tre-provision step csr --fqdn NAME'", "the CSR %s",
                             flaw);
    } else {
        verification_fits(verification, "csr", "it is for the device key, and signed by it");
    }
}

/* Is each certificate signed by the one after it? */
static bool chain_holds(STACK_OF(X509) *chain)
{
    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        X509 *issuer = sk_X509_value(chain, i + 1);

        if (X509_check_issued(issuer, sk_X509_value(chain, i)) != X509_V_OK ||
            X509_verify(sk_X509_value(chain, i), X509_get0_pubkey(issuer)) != 1)
            return false;
    }
    return true;
}

static void certificate_verify(Verification *verification)
{
    static const char remedy[] = "have the CSR signed, and run 'tre-provision install-cert FILE'";
    const DeviceFiles *files = &verification->files;
    char subject[SUBJECT_SIZE] = "";
    const char *flaw;

    if (files->certificates_r < 0) {
        verification_misfits(verification, "certificate", remedy, "%s",
                             files->certificates_reason.text);
        return;
    }
    certificate_subject(sk_X509_value(files->certificates, 0), subject, sizeof(subject));
    flaw = device_certificate_flaw(sk_X509_value(files->certificates, 0), files->public_key,
                                   verification->options->fqdn);
    if (!flaw && !chain_holds(files->certificates))
        flaw = "is followed by certificates that are not its issuers'";
    if (flaw) {
        verification_misfits(verification, "certificate", remedy, "the certificate of %s %s",
                             subject, flaw);
    } else {
        verification_fits(verification, "certificate",
                          "it is for the device key and name, and valid");
    }
}

static void owner_auth_verify(Verification *verification)
{
    const ProvisionProfile *profile = verification->options->profile;
    Reason reason = {0};
    bool locked = false;
    int r;

    if (!profile || profile->owner_auth != OWNER_AUTH_DISCARD || !verification->tpm)
        return;
    r = anchor_guard_is_locked(verification->tpm, &locked, &reason);
    if (r < 0) {
        verification_misfits(verification, "owner-auth",
                             "mend that first, and run 'tre-provision verify' again", "%s",
                             reason.text);
    } else if (locked) {
        verification_fits(verification, "owner-auth",
                          "the owner hierarchy has an authorization value");
    } else {
        verification_misfits(verification, "owner-auth",
                             "run 'tre-provision step lock --profile FILE'",
                             "root can own the TPM: the owner hierarchy's authValue is empty");
    }
}

int provision_verify(const ProvisionOptions *options)
{
    _cleanup_(verification_freep) Verification *verification = calloc(1, sizeof(*verification));
    int r;

    if (!verification)
        return -ENOMEM;
    verification->options = options;
    r = device_files_read(options, &verification->files);
    if (r < 0)
        return r;
    tpm_verify(verification);
    key_verify(verification);
    csr_verify(verification);
    certificate_verify(verification);
    anchors_verify(verification);
    time_verify(verification);
    owner_auth_verify(verification);
    if (!options->json) {
        inventory_print(&verification->inventory, stdout);
    } else if (inventory_print_json(&verification->inventory, stdout) < 0) {
        return -ENOMEM;
    }
    return verification->flawed ? -EINVAL : 0;
}

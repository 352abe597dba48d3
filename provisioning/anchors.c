/* tre-provision install-anchors, and the steps "nv-index", "last-known-time" and "anchors": puts
 * anchors in force that all who have a say agree to, and makes what the TPM guards for the
 * operator. */
#include "provisioning/anchors.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "policy/anchorbundle.h"
#include "policy/anchorguard.h"
#include "policy/anchorinstall.h"
#include "policy/encoding.h"
#include "policy/lastknowntime.h"
#include "provisioning/certificatefile.h"
#include "provisioning/devicetpm.h"
#include "provisioning/step.h"
#include "verify/anchors.h"
#include "verify/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A bundle as it was handed in, and what goes with it. */
typedef struct Given {
    uint8_t *bundle, *approval; /* approval: NULL for a bundle without one */
    size_t bundle_size, approval_size;
    STACK_OF(X509) *certificates;
} Given;

static void given_deinit(Given *given)
{
    free(given->bundle);
    free(given->approval);
    sk_X509_pop_free(given->certificates, X509_free);
}

static int approval_read(const char *path, Given *given)
{
    _cleanup_(free_charp) char *name = NULL;
    int r;

    if (asprintf(&name, "%s" ANCHOR_APPROVAL_SUFFIX, path) < 0) {
        name = NULL;
        complain("out of memory");
        return -ENOMEM;
    }
    r = file_read(name, ANCHOR_APPROVAL_SIZE_MAX, &given->approval, &given->approval_size);
    if (r == 0 || r == -ENOENT)
        return 0;
    complain("%s can't be read: %s", name, strerror(-r));
    return r;
}

static int given_read(const char *path, Given *ret)
{
    Reason reason = {"out of memory"};
    int r = file_read(path, ANCHOR_BUNDLE_SIZE_MAX, &ret->bundle, &ret->bundle_size);

    if (r < 0) {
        complain("%s can't be read: %s", path, strerror(-r));
        return r;
    }
    r = anchors_decode((Bytes){ret->bundle, ret->bundle_size}, path, &ret->certificates, &reason);
    if (r < 0) {
        complain("%s; nothing was changed", reason.text);
        return r;
    }
    return approval_read(path, ret);
}

static void anchors_print(const Given *given)
{
    for (int i = 0; i < sk_X509_num(given->certificates); i++) {
        certificate_print("anchor", sk_X509_value(given->certificates, i));
        validity_warn(sk_X509_value(given->certificates, i));
    }
}

static void version_print(uint64_t version)
{
    (void)printf("%-18s %llu, guarded by the TPM\n", "anchors version",
                 (unsigned long long)version);
}

static int complain_guarded(const ProvisionOptions *options)
{
    complain("this device's anchors are guarded by the TPM, and %s" ANCHOR_APPROVAL_SUFFIX
             " is missing; get the approval from the operator, and lay it beside the bundle",
             options->file);
    return -EKEYREJECTED;
}

/* Without an approval: only where nothing guards the anchors, as tred would not take them. */
static int install_plain(const ProvisionOptions *options, const Given *given)
{
    int r = state_dir_make(options);

    if (r == 0)
        r = certificates_write(options, STATE_ANCHORS, given->certificates);
    if (r == 0) {
        complain("warning: these anchors are not guarded by the TPM: whoever is root can exchange "
                 "them; that is for development");
    }
    return r;
}

static int install_guarded(const ProvisionOptions *options, const Given *given, Tpm *tpm)
{
    const FileOwner owner = {.user = options->owner, .group = options->group};
    Reason reason = {0};
    _cleanup_(free_charp) char *path = NULL;
    AnchorRecord record;
    int r;

    r = state_dir_make(options);
    if (r == 0)
        r = state_path(options, STATE_ANCHORS, &path);
    if (r < 0)
        return r;
    r = anchors_install(tpm, path, (Bytes){given->bundle, given->bundle_size},
                        (Bytes){given->approval, given->approval_size}, owner, &record, &reason);
    if (r != 0) {
        /* What failed on the way, the next run takes up; what was refused changed nothing. */
        complain("%s: %s%s", options->file, reason.text, r > 0 ? "; nothing was changed" : "");
        return r < 0 ? r : -EKEYREJECTED;
    }
    version_print(record.version);
    return 0;
}

static int guard_look(Tpm *tpm, AnchorGuard *ret)
{
    Reason reason = {0};
    int r = anchor_guard_read(tpm, ret, &reason);

    if (r < 0 && r != -ENOENT)
        complain("%s", reason.text);
    return r;
}

static int install_with(const ProvisionOptions *options, const Given *given, Tpm *tpm)
{
    AnchorGuard guard;
    int r;

    if (given->approval)
        return install_guarded(options, given, tpm);
    r = guard_look(tpm, &guard);
    if (r == -ENOENT)
        return install_plain(options, given);
    return r < 0 ? r : complain_guarded(options);
}

int anchors_install_direct(const ProvisionOptions *options, Tpm *tpm)
{
    _cleanup_(given_deinit) Given given = {0};
    int r = given_read(options->file, &given);

    if (r == 0)
        r = install_with(options, &given, tpm);
    if (r == 0)
        anchors_print(&given);
    return r;
}

static int install_opening(const ProvisionOptions *options, const Given *given)
{
    _cleanup_(close_fdp) int lock = -1;
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    int r = state_dir_make(options);

    if (r == 0)
        r = state_lock(options, &lock);
    if (r < 0)
        return r;
    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0)
        return install_with(options, given, tpm);
    complain("%s", reason.text);
    return r;
}

/* The running tred is that of this device, unless another TPM or folder was named. */
static bool is_this_device(const ProvisionOptions *options)
{
    return strcmp(options->tcti, PROVISION_TCTI) == 0 &&
           strcmp(options->state_dir, PROVISION_STATE_DIR) == 0;
}

int provision_install_anchors(const ProvisionOptions *options)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(given_deinit) Given given = {0};
    uint64_t version = 0;
    int r = given_read(options->file, &given);

    if (r < 0)
        return r;
    if (!is_this_device(options) || tred_find(&bus) == 0) {
        r = install_opening(options, &given);
    } else if (given.approval) {
        r = tred_install_anchors(bus, (Bytes){given.bundle, given.bundle_size},
                                 (Bytes){given.approval, given.approval_size}, &version);
        if (r == 0)
            version_print(version);
    } else { /* whether they may go without is for the TPM to say: tred may not be ready */
        r = install_opening(options, &given);
        if (r == 0)
            r = tred_reload();
    }
    if (r == 0)
        anchors_print(&given);
    return r;
}

/* True if the file in the state folder is this bundle, octet by octet. */
static bool bundle_is_there(const char *path, const Given *given)
{
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    size_t size = 0;

    return file_read(path, ANCHOR_BUNDLE_SIZE_MAX, &bundle, &size) == 0 &&
           bytes_equal((Bytes){bundle, size}, (Bytes){given->bundle, given->bundle_size});
}

/* Without a guard what was stored is written anew from what was read, be it PEM or DER. */
static bool certificates_are_there(const char *path, const Given *given)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *there = NULL;
    Reason reason = {0};

    if (certificates_read(path, &there, &reason) < 0 ||
        sk_X509_num(there) != sk_X509_num(given->certificates))
        return false;
    for (int i = 0; i < sk_X509_num(there); i++) {
        if (X509_cmp(sk_X509_value(there, i), sk_X509_value(given->certificates, i)) != 0)
            return false;
    }
    return true;
}

static int guarded_in_force(const Given *given, const char *path, const AnchorGuard *guard)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    Reason reason = {"out of memory"};
    int r = anchor_approval_decode((Bytes){given->approval, given->approval_size}, "the approval",
                                   &approval, &reason);

    if (r == 0) {
        r = anchor_approval_fits(&approval, (Bytes){given->bundle, given->bundle_size},
                                 "the bundle", &reason);
    }
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    return guard->written && anchor_record_equal(&guard->record, &approval.record) &&
           bundle_is_there(path, given);
}

int anchors_in_force(const ProvisionOptions *options, Tpm *tpm)
{
    _cleanup_(given_deinit) Given given = {0};
    _cleanup_(free_charp) char *path = NULL;
    AnchorGuard guard;
    int r;

    r = given_read(options->file, &given);
    if (r == 0)
        r = state_path(options, STATE_ANCHORS, &path);
    if (r < 0)
        return r;
    r = guard_look(tpm, &guard);
    if (r == -ENOENT)
        return !given.approval && certificates_are_there(path, &given);
    if (r < 0)
        return r;
    r = anchor_files_recover(path, guard.written ? &guard.record : NULL);
    if (r < 0) {
        complain("%s can't be put right: %s", path, strerror(-r));
        return r;
    }
    return given.approval ? guarded_in_force(&given, path, &guard) : complain_guarded(options);
}

static int operator_key_read(const Provision *provision, PolicyKey *ret)
{
    Reason reason = {"out of memory"};
    int r = policy_key_read(provision->options->profile->operator_key, false, ret, &reason);

    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int step_nv_index_check(Provision *provision, char *note)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    Reason reason = {0};
    AnchorGuard guard;
    int r;

    r = operator_key_read(provision, &operator_key);
    if (r < 0)
        return r;
    (void)snprintf(note, STEP_NOTE_SIZE, "0x%08x, for the operator's key in %.200s",
                   ANCHOR_GUARD_INDEX, provision->options->profile->operator_key);
    r = anchor_guard_read(provision->tpm, &guard, &reason);
    if (r == 0 && anchor_guard_obeys(&guard, &operator_key))
        return 1;
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        reason_set(&reason, 0,
                   "the NV index 0x%08x guards the anchors of another operator than the one of "
                   "the key in %.200s; use that operator's, or clear the TPM and provision anew",
                   ANCHOR_GUARD_INDEX, provision->options->profile->operator_key);
        r = -EEXIST;
    }
    complain("%s", reason.text);
    return r;
}

int step_nv_index_make(Provision *provision, char *note)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    Reason reason = {0};
    int r;

    (void)note;
    r = operator_key_read(provision, &operator_key);
    if (r < 0)
        return r;
    r = anchor_guard_define(provision->tpm, &operator_key, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

static void time_note(time_t time, char *note)
{
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(note, STEP_NOTE_SIZE, "since %Y-%m-%d", &tm) == 0)
        note[0] = '\0';
}

int step_last_known_time_check(Provision *provision, char *note)
{
    Reason reason = {0};
    time_t time = 0;
    int r = last_known_time_read(provision->tpm, &time, &reason);

    if (r == 0) {
        time_note(time, note);
        return 1;
    }
    /* What was begun and not finished is taken up, and what is not ours refused, by the making. */
    if (r == -ENOENT || r == -EBADMSG)
        return 0;
    complain("%s", reason.text);
    return r;
}

int step_last_known_time_make(Provision *provision, char *note)
{
    const time_t now = time(NULL);
    Reason reason = {0};
    int r = last_known_time_define(provision->tpm, now, &reason);

    if (r < 0) {
        complain("%s", reason.text);
    } else {
        time_note(now, note);
    }
    return r;
}

static ProvisionOptions options_of(const Provision *provision)
{
    ProvisionOptions options = *provision->options;

    options.file = options.profile->anchors;
    return options;
}

int step_anchors_check(Provision *provision, char *note)
{
    const ProvisionOptions options = options_of(provision);
    int r;

    (void)snprintf(note, STEP_NOTE_SIZE, "%.200s", options.file);
    r = anchors_in_force(&options, provision->tpm);
    if (r <= 0)
        return r;
    r = state_give(&options, STATE_ANCHORS);
    return r < 0 ? r : 1;
}

int step_anchors_install(Provision *provision, char *note)
{
    const ProvisionOptions options = options_of(provision);

    (void)note;
    return anchors_install_direct(&options, provision->tpm);
}

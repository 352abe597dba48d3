/* Whether an anchor bundle may take the place of the anchors in force, and how: the files are
 * replaced around the TPM's write, which decides which ones are in force. */
#include "policy/anchorinstall.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "policy/anchorbundle.h"
#include "policy/encoding.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MODE = 0644 };

static int name_make(const char *path, const char *suffix, const char *second, char *ret)
{
    return snprintf(ret, PATH_MAX, "%s%s%s", path, suffix, second) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int anchor_files_stage(const char *path, Bytes bundle, Bytes approval, FileOwner owner)
{
    char name[PATH_MAX], approval_name[PATH_MAX];
    int r;

    if (name_make(path, ANCHOR_NEXT_SUFFIX, "", name) < 0 ||
        name_make(path, ANCHOR_NEXT_SUFFIX, ANCHOR_APPROVAL_SUFFIX, approval_name) < 0)
        return -ENAMETOOLONG;
    /* The approval first: where there is a new bundle, its approval is there, too. */
    r = file_lay(approval_name, approval, owner, FILE_MODE);
    if (r == 0)
        r = file_lay(name, bundle, owner, FILE_MODE);
    if (r == 0)
        r = file_sync_folder(path);
    if (r < 0)
        (void)anchor_files_discard(path);
    return r;
}

/* 0 as well if there is nothing to rename: it was done before a power cut. */
static int rename_next(const char *path, const char *suffix)
{
    char from[PATH_MAX], to[PATH_MAX];

    if (name_make(path, ANCHOR_NEXT_SUFFIX, suffix, from) < 0 ||
        name_make(path, suffix, "", to) < 0)
        return -ENAMETOOLONG;
    return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

int anchor_files_commit(const char *path)
{
    /* The bundle last: as long as it has its new name, the work can be taken up again. */
    int r = rename_next(path, ANCHOR_APPROVAL_SUFFIX);

    if (r == 0)
        r = rename_next(path, "");
    return r < 0 ? r : file_sync_folder(path);
}

static int file_remove(const char *path, const char *suffix, bool *removed)
{
    char name[PATH_MAX];

    if (name_make(path, ANCHOR_NEXT_SUFFIX, suffix, name) < 0)
        return -ENAMETOOLONG;
    if (unlink(name) < 0)
        return errno == ENOENT ? 0 : -errno;
    *removed = true;
    return 0;
}

int anchor_files_discard(const char *path)
{
    bool removed = false;
    int r = file_remove(path, "", &removed);

    if (r == 0)
        r = file_remove(path, ANCHOR_APPROVAL_SUFFIX, &removed);
    return r < 0 || !removed ? r : file_sync_folder(path);
}

/* Is there a new bundle, and is it the one that the TPM holds? */
static int next_fits(const char *path, const AnchorRecord *record, bool *ret)
{
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    char name[PATH_MAX];
    AnchorRecord found;
    size_t size = 0;
    int r;

    *ret = false;
    if (!record)
        return 0;
    if (name_make(path, ANCHOR_NEXT_SUFFIX, "", name) < 0)
        return -ENAMETOOLONG;
    r = file_read(name, ANCHOR_BUNDLE_SIZE_MAX, &bundle, &size);
    if (r == -ENOMEM)
        return r;
    if (r < 0) /* none, or nothing that was ever laid down whole */
        return 0;
    r = anchor_record_make((Bytes){bundle, size}, record->version, &found);
    *ret = r == 0 && anchor_record_equal(&found, record);
    return r;
}

int anchor_files_recover(const char *path, const AnchorRecord *record)
{
    bool fits = false;
    int r = next_fits(path, record, &fits);

    if (r < 0)
        return r;
    if (!fits)
        return anchor_files_discard(path);
    r = anchor_files_commit(path);
    return r < 0 ? r : 1;
}

#define BUNDLE_NAME "the anchor bundle"

/* Everything that can be known without the TPM. */
static int bundle_check(Bytes bundle, Bytes text, AnchorApproval *ret, Reason *reason)
{
    int r;

    if (bundle.size > ANCHOR_BUNDLE_SIZE_MAX) {
        return reason_set(reason, ANCHOR_E_REFUSED,
                          BUNDLE_NAME " has %zu octets, and at most %d are taken", bundle.size,
                          ANCHOR_BUNDLE_SIZE_MAX);
    }
    r = anchor_approval_decode(text, "its approval", ret, reason);
    if (r == 0)
        r = anchor_approval_fits(ret, bundle, BUNDLE_NAME, reason);
    return r == -EINVAL ? ANCHOR_E_REFUSED : r;
}

static int guard_get(Tpm *tpm, AnchorGuard *ret, Reason *reason)
{
    int r = anchor_guard_read(tpm, ret, reason);

    if (r == -ENOENT) {
        return reason_set(
            reason, ANCHOR_E_UNGUARDED,
            "this device's TPM has no guard for the anchors (NV index 0x%08x); provision "
            "the step nv-index, or install the file without an approval",
            ANCHOR_GUARD_INDEX);
    }
    return r == -EBADMSG ? ANCHOR_E_UNGUARDED : r;
}

/* Those that the TPM holds may be installed again, if it is their operator who says so: no other
 * approval gets a place beside them. */
static int operator_check(const AnchorGuard *guard, const AnchorApproval *approval, Reason *reason)
{
    if (!anchor_guard_obeys(guard, &approval->operator_key)) {
        return reason_set(
            reason, ANCHOR_E_REFUSED,
            "the approval is by a key that this device does not obey; get the bundle from "
            "the operator whose key the device was provisioned with");
    }
    return 0;
}

/* The TPM would say the same; this says it in words. */
static int write_check(const AnchorGuard *guard, const AnchorApproval *approval, Reason *reason)
{
    if (!guard->written && approval->signatures[ANCHOR_WRITE_FIRST].size == 0) {
        return reason_set(
            reason, ANCHOR_E_REFUSED,
            "the device has no anchors yet, and the approval is not for a first bundle; "
            "sign it with 'tre-provision sign-anchors --first'");
    }
    if (guard->written && approval->record.version <= guard->record.version) {
        return reason_set(
            reason, ANCHOR_E_OUTDATED,
            "the bundle has version %llu, but the TPM holds version %llu and takes newer "
            "ones only; get the operator's newest bundle",
            (unsigned long long)approval->record.version,
            (unsigned long long)guard->record.version);
    }
    return 0;
}

/* The TPM's answer, as the callers of anchors_install() know it. */
static int guard_write(Tpm *tpm, const AnchorGuard *guard, const AnchorApproval *approval,
                       Reason *reason)
{
    const AnchorWrite write = guard->written ? ANCHOR_WRITE_UPDATE : ANCHOR_WRITE_FIRST;
    int r = anchor_guard_write(tpm, &approval->operator_key, write, &approval->record,
                               &approval->signatures[write], reason);

    return r == -EKEYREJECTED || r == -EACCES ? ANCHOR_E_REFUSED : r;
}

/* After a failed write the TPM may have written all the same, as its answer was lost, or another
 * put in its place: nothing authenticates a refusal. So it is asked; what it holds is authentic. */
static int guard_write_or_not(Tpm *tpm, const char *path, const AnchorGuard *guard,
                              const AnchorApproval *approval, Reason *reason)
{
    Reason ignored;
    AnchorGuard after;
    int r = guard_write(tpm, guard, approval, reason);

    if (r == 0)
        return 0;
    if (anchor_guard_read(tpm, &after, &ignored) < 0)
        return r;
    if (after.written && anchor_record_equal(&after.record, &approval->record)) {
        *reason = (Reason){0};
        return 0;
    }
    (void)anchor_files_recover(path, after.written ? &after.record : NULL);
    return r;
}

static int files_fail(int r, const char *path, Reason *reason)
{
    return reason_set(reason, r,
                      "the anchors can't be written to %.200s: %s; mend that and try again", path,
                      strerror(-r));
}

int anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes text, FileOwner owner,
                    AnchorRecord *ret, Reason *reason)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    AnchorGuard guard = {0};
    int r;

    r = bundle_check(bundle, text, &approval, reason);
    if (r == 0)
        r = guard_get(tpm, &guard, reason);
    if (r != 0)
        return r;
    const bool again = guard.written && anchor_record_equal(&guard.record, &approval.record);
    r = operator_check(&guard, &approval, reason);
    if (r == 0 && !again)
        r = write_check(&guard, &approval, reason);
    if (r != 0)
        return r;
    r = anchor_files_stage(path, bundle, text, owner);
    if (r < 0)
        return files_fail(r, path, reason);
    r = again ? 0 : guard_write_or_not(tpm, path, &guard, &approval, reason);
    if (r != 0)
        return r;
    r = anchor_files_commit(path);
    if (r < 0)
        return files_fail(r, path, reason);
    *ret = approval.record;
    return 0;
}

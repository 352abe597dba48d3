/* May this bundle take the place of the anchors in force, and how does it? */
#include "policy/anchorinstall.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUNDLE_NAME "the anchor bundle"

__attribute__((format(printf, 3, 4))) static int refuse(int r, char *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error, ANCHOR_INSTALL_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return r;
}

/* Everything that can be known without the TPM. */
static int bundle_check(Bytes bundle, Bytes text, AnchorApproval *ret, char *error)
{
    int r;

    if (bundle.size > ANCHOR_BUNDLE_SIZE_MAX) {
        return refuse(ANCHOR_E_REFUSED, error,
                      BUNDLE_NAME " has %zu octets, and at most %d are taken", bundle.size,
                      ANCHOR_BUNDLE_SIZE_MAX);
    }
    r = anchor_approval_decode(text, "its approval", ret, error);
    if (r == 0)
        r = anchor_approval_fits(ret, bundle, BUNDLE_NAME, error);
    return r == -EINVAL ? ANCHOR_E_REFUSED : r;
}

static int guard_get(Tpm *tpm, AnchorGuard *ret, char *error)
{
    int r = anchor_guard_read(tpm, ret, error);

    if (r == -ENOENT) {
        return refuse(ANCHOR_E_UNGUARDED, error,
                      "this device's TPM has no guard for the anchors (NV index 0x%08x); provision "
                      "the step nv-index, or install the file without an approval",
                      ANCHOR_GUARD_INDEX);
    }
    return r == -EBADMSG ? ANCHOR_E_UNGUARDED : r;
}

/* Those that the TPM holds may be installed again, if it is their operator who says so: no other
 * approval gets a place beside them. */
static int operator_check(const AnchorGuard *guard, const AnchorApproval *approval, char *error)
{
    if (!anchor_guard_obeys(guard, &approval->operator_key)) {
        return refuse(
            ANCHOR_E_REFUSED, error,
            "the approval is by a key that this device does not obey; get the bundle from "
            "the operator whose key the device was provisioned with");
    }
    return 0;
}

/* The TPM would say the same; this says it in words. */
static int write_check(const AnchorGuard *guard, const AnchorApproval *approval, char *error)
{
    if (!guard->written && approval->signatures[ANCHOR_WRITE_FIRST].size == 0) {
        return refuse(ANCHOR_E_REFUSED, error,
                      "the device has no anchors yet, and the approval is not for a first bundle; "
                      "sign it with 'tre-provision sign-anchors --first'");
    }
    if (guard->written && approval->record.version <= guard->record.version) {
        return refuse(ANCHOR_E_OUTDATED, error,
                      "the bundle has version %llu, but the TPM holds version %llu and takes newer "
                      "ones only; get the operator's newest bundle",
                      (unsigned long long)approval->record.version,
                      (unsigned long long)guard->record.version);
    }
    return 0;
}

/* The TPM's answer, as the callers of anchors_install() know it. */
static int guard_write(Tpm *tpm, const AnchorGuard *guard, const AnchorApproval *approval,
                       char *error)
{
    const AnchorWrite write = guard->written ? ANCHOR_WRITE_UPDATE : ANCHOR_WRITE_FIRST;
    int r = anchor_guard_write(tpm, &approval->operator_key, write, &approval->record,
                               &approval->signatures[write], error);

    return r == -EKEYREJECTED || r == -EACCES ? ANCHOR_E_REFUSED : r;
}

/* After a failed write the TPM may have written all the same (its answer was lost): it is asked. */
static int guard_write_or_not(Tpm *tpm, const char *path, const AnchorGuard *guard,
                              const AnchorApproval *approval, char *error)
{
    char ignored[TPM_ERROR_SIZE];
    AnchorGuard after;
    int r = guard_write(tpm, guard, approval, error);

    if (r == 0)
        return 0;
    if (anchor_guard_read(tpm, &after, ignored) == 0)
        (void)anchor_files_recover(path, after.written ? &after.record : NULL);
    return r;
}

static int files_fail(int r, const char *path, char *error)
{
    return refuse(r, error, "the anchors can't be written to %.200s: %s; mend that and try again",
                  path, strerror(-r));
}

int anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes text, FileOwner owner,
                    AnchorRecord *ret, char *error)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    AnchorGuard guard = {0};
    int r;

    r = bundle_check(bundle, text, &approval, error);
    if (r == 0)
        r = guard_get(tpm, &guard, error);
    if (r != 0)
        return r;
    const bool again = guard.written && anchor_record_equal(&guard.record, &approval.record);
    r = operator_check(&guard, &approval, error);
    if (r == 0 && !again)
        r = write_check(&guard, &approval, error);
    if (r != 0)
        return r;
    r = anchor_files_stage(path, bundle, text, owner);
    if (r < 0)
        return files_fail(r, path, error);
    r = again ? 0 : guard_write_or_not(tpm, path, &guard, &approval, error);
    if (r != 0)
        return r;
    r = anchor_files_commit(path);
    if (r < 0)
        return files_fail(r, path, error);
    *ret = approval.record;
    return 0;
}

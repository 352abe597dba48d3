/* How are the anchors' files replaced, when the TPM decides which ones are in force? */
#include "policy/anchorfiles.h"

#include "base/cleanup.h"
#include "policy/anchorbundle.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
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

/* Replaces a file without it ever being half-written. */
#include "base/file_write.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int file_sync_folder(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= PATH_MAX)
        return -ENAMETOOLONG;

    _cleanup_(close_fdp) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int file_lay(const char *path, Bytes bytes, FileOwner owner, mode_t mode)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    _cleanup_(close_fdp) int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;

    int r = file_write_all(fd, bytes);
    if (r < 0)
        return r;
    /* A hardened service may not even ask for another owner. */
    if ((owner.user != (uid_t)-1 || owner.group != (gid_t)-1) &&
        fchown(fd, owner.user, owner.group) < 0)
        return -errno;
    return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_synced(int fd, Bytes bytes, mode_t mode)
{
    if (fchmod(fd, mode) < 0)
        return -errno;
    int r = file_write_all(fd, bytes);
    if (r < 0)
        return r;
    return fsync(fd) < 0 ? -errno : 0;
}

int file_write_atomic(const char *path, Bytes bytes, mode_t mode)
{
    _cleanup_(free_charp) char *temporary = NULL;
    _cleanup_(signals_releasep) sigset_t before;

    /* No signal ends us between the two, so that nothing is left beside the file. */
    signals_hold(&before);
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    _cleanup_(close_fdp) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;

    int r = write_synced(fd, bytes, mode);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(temporary);
        return r;
    }
    return file_sync_folder(path);
}

/* How do files get into the state folder, so that tred finds them whole and can read them, and so
 * that a process killed on the way leaves nothing that stays? */
#include "provisioning/command.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

void complain(const char *format, ...)
{
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    /* In one piece: several processes may share standard error. */
    (void)fprintf(stderr, "tre-provision: %s\n", line);
}

int state_path(const ProvisionOptions *options, const char *name, char **ret)
{
    if (asprintf(ret, "%s/%s", options->state_dir, name) < 0) {
        *ret = NULL;
        complain("out of memory");
        return -ENOMEM;
    }
    return 0;
}

/* What was made or renamed in a folder lasts over a power cut once the folder is on disk. */
static int folder_sync(const char *path)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int folder_above_sync(const char *path)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof(copy), "%s", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    return folder_sync(dirname(copy));
}

/* True if `status` has the owner asked for; what is not asked for fits. */
static bool owner_fits(const ProvisionOptions *options, const struct stat *status)
{
    return (options->owner == (uid_t)-1 || options->owner == status->st_uid) &&
           (options->group == (gid_t)-1 || options->group == status->st_gid);
}

static int complain_owner(const char *path, int error)
{
    complain("%s can't be given to its owner: %s; run as root, or choose an --owner", path,
             strerror(error));
    return -error;
}

int state_dir_make(const ProvisionOptions *options)
{
    struct stat status;
    int r;

    if (mkdir(options->state_dir, 0750) < 0 && errno != EEXIST) {
        const int error = errno;
        complain("%s can't be made: %s; make it, or choose another with --state-dir",
                 options->state_dir, strerror(error));
        return -error;
    }
    /* Who was killed after mkdir() has left it without its owner. */
    if (stat(options->state_dir, &status) < 0)
        return complain_owner(options->state_dir, errno);
    if (owner_fits(options, &status))
        return 0;
    if (chown(options->state_dir, options->owner, options->group) < 0)
        return complain_owner(options->state_dir, errno);
    r = folder_above_sync(options->state_dir);
    if (r < 0)
        complain("%s can't be put on disk: %s", options->state_dir, strerror(-r));
    return r;
}

/* Takes away what stands beside a file of ours under STATE_BESIDE: it never became whole. */
static int leftovers_remove(const ProvisionOptions *options, int folder)
{
    static const char *const names[] = {
        STATE_SRK_NAME, STATE_KEY,        STATE_CSR,           STATE_CERTIFICATES,
        STATE_ANCHORS,  STATE_POLICY_KEY, STATE_PCR_SIGNATURE,
    };
    char beside[NAME_MAX + 1];

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        (void)snprintf(beside, sizeof(beside), "%s" STATE_BESIDE, names[i]);
        if (unlinkat(folder, beside, 0) < 0 && errno != ENOENT) {
            const int error = errno;
            complain("%s/%s is left over and can't be removed: %s", options->state_dir, beside,
                     strerror(error));
            return -error;
        }
    }
    return 0;
}

int state_lock(const ProvisionOptions *options, int *ret)
{
    _cleanup_(close_fdp) int fd = open(options->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0) {
        r = -errno;
        complain("%s can't be opened: %s", options->state_dir, strerror(-r));
        return r;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        complain("another tre-provision is at work in %s; wait for it, and run this one again",
                 options->state_dir);
        return -EBUSY;
    }
    r = leftovers_remove(options, fd);
    if (r < 0)
        return r;
    *ret = steal_fd(&fd);
    return 0;
}

static int write_all(int fd, Bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = bytes_slice(bytes, (size_t)n, bytes.size);
    }
    return 0;
}

/* Written beside its place under a name that the next attempt finds again, and given to its owner
 * there, so that tred never meets a file that it can't read. O_EXCL: the folder is tred's, so a
 * link may have been laid there, and is not followed. */
static int write_beside(const ProvisionOptions *options, const char *beside, Bytes bytes,
                        mode_t mode)
{
    _cleanup_(close_fdp) int fd = -1;
    int r;

    if (unlink(beside) < 0 && errno != ENOENT)
        return -errno;
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = write_all(fd, bytes);
    if (r < 0)
        return r;
    if (fchown(fd, options->owner, options->group) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int state_write(const ProvisionOptions *options, const char *name, Bytes bytes, mode_t mode)
{
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_charp) char *beside = NULL;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (asprintf(&beside, "%s" STATE_BESIDE, path) < 0) {
        beside = NULL;
        return -ENOMEM;
    }
    r = write_beside(options, beside, bytes, mode);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r == 0)
        r = folder_sync(options->state_dir);
    if (r < 0) {
        (void)unlink(beside);
        complain("%s can't be written: %s; what was there before is unchanged", path, strerror(-r));
    }
    return r;
}

int state_give(const ProvisionOptions *options, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    struct stat status;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (lstat(path, &status) == 0 && owner_fits(options, &status))
        return 0;
    if (lchown(path, options->owner, options->group) < 0)
        return complain_owner(path, errno);
    return 0;
}

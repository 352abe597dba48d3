/* How do files get into the state folder, so that tred finds them whole and can read them? */
#include "provisioning/command.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "tre-provision: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
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

int state_dir_make(const ProvisionOptions *options)
{
    if (mkdir(options->state_dir, 0750) < 0) {
        if (errno == EEXIST)
            return 0;
        const int error = errno;
        complain("%s can't be made: %s; make it, or choose another with --state-dir",
                 options->state_dir, strerror(error));
        return -error;
    }
    if (chown(options->state_dir, options->owner, options->group) < 0) {
        const int error = errno;
        complain("%s can't be given to its owner: %s; run as root, or choose an --owner",
                 options->state_dir, strerror(error));
        return -error;
    }
    return 0;
}

/* A rename lasts over a power cut once the folder is on disk. */
static int folder_sync(const char *path)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Written beside its place and given to its owner there, so that tred never meets a file that it
 * can't read. */
static int write_and_rename(const ProvisionOptions *options, const char *path, const char *beside,
                            Bytes bytes, mode_t mode)
{
    int r = file_write_atomic(beside, bytes, mode);

    if (r < 0)
        return r;
    if (lchown(beside, options->owner, options->group) < 0 || rename(beside, path) < 0) {
        r = -errno;
        (void)unlink(beside);
        return r;
    }
    return folder_sync(options->state_dir);
}

int state_write(const ProvisionOptions *options, const char *name, Bytes bytes, mode_t mode)
{
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_charp) char *beside = NULL;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (asprintf(&beside, "%s.new", path) < 0) {
        beside = NULL;
        return -ENOMEM;
    }
    r = write_and_rename(options, path, beside, bytes, mode);
    if (r < 0)
        complain("%s can't be written: %s; what was there before is unchanged", path, strerror(-r));
    return r;
}

int state_give(const ProvisionOptions *options, const char *name)
{
    _cleanup_(free_charp) char *path = NULL;
    int r;

    r = state_path(options, name, &path);
    if (r < 0)
        return r;
    if (lchown(path, options->owner, options->group) < 0) {
        r = -errno;
        complain("%s can't be given to its owner: %s; run as root, or choose an --owner", path,
                 strerror(-r));
    }
    return r;
}

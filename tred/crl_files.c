/* Lists and opens the operator's CRLs. */
#include "tred/crl_files.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void close_dirp(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int refuse(int r, Reason *reason, const char *path, const char *what)
{
    return reason_set(reason, r, "%.300s: %s. Put X.509 CRLs there, PEM or DER, and nothing else",
                      path, what);
}

/* FNV-1a: no protection, which a file's owner needs none of to change it, but a mark to tell two
 * states of the directory apart. Its sum over the files is taken, as readdir() promises no order.
 */
static uint64_t file_mark(const char *path, const struct stat *status)
{
    const uint64_t basis = 0xcbf29ce484222325, prime = 0x100000001b3;
    const uint64_t facts[] = {
        (uint64_t)status->st_ino,         (uint64_t)status->st_size,
        (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec,
        (uint64_t)status->st_ctim.tv_sec, (uint64_t)status->st_ctim.tv_nsec,
    };
    uint64_t mark = basis;

    for (; *path; path++)
        mark = (mark ^ (unsigned char)*path) * prime;
    for (size_t i = 0; i < ELEMENTS(facts); i++)
        mark = (mark ^ facts[i]) * prime;
    return mark;
}

static int file_add(CrlFiles *files, const char *path, Reason *reason)
{
    struct stat status = {0};

    if (files->count == CRL_FILES_MAX)
        return refuse(-EINVAL, reason, path, "there are more files than are looked at");
    if (stat(path, &status) < 0)
        return refuse(-errno, reason, path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(-EINVAL, reason, path, "it is no regular file");
    files->paths[files->count] = strdup(path);
    if (!files->paths[files->count])
        return -ENOMEM;
    files->count++;
    files->mark += file_mark(path, &status);
    return 0;
}

int crl_files_list(const char *directory, CrlFiles *ret, Reason *reason)
{
    _cleanup_(close_dirp) DIR *stream = opendir(directory);
    const struct dirent *entry;

    *ret = (CrlFiles){0};
    if (!stream && errno == ENOENT)
        return 0;
    if (!stream)
        return refuse(-errno, reason, directory, strerror(errno));
    while ((entry = readdir(stream))) {
        _cleanup_(free_charp) char *path = NULL;

        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
            return -ENOMEM;
        int r = file_add(ret, path, reason);
        if (r < 0)
            return r;
    }
    return 0;
}

void crl_files_deinit(CrlFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    *files = (CrlFiles){0};
}

int crl_file_open(const char *path)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hold us. */
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) ? steal_fd(&fd) : -EINVAL;
}

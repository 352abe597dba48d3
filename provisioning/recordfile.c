/* What has the line done before, and how is it kept that nothing of it is lost? */
#include "provisioning/recordfile.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int complain_errno(const char *path, const char *what)
{
    const int error = errno;

    complain("%s can't be %s: %s", path, what, strerror(error));
    return -error;
}

/* Cuts off what stands after the last newline. */
static int torn_line_cut(int fd, const char *path)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    off_t end = size;
    char octet = '\n';

    while (end > 0 && pread(fd, &octet, 1, end - 1) == 1 && octet != '\n')
        end--;
    if (size < 0 || end == size)
        return 0;
    complain("warning: the last line of %s is not whole; it is cut off, and its device to be "
             "provisioned again",
             path);
    return ftruncate(fd, end) < 0 ? complain_errno(path, "cut") : 0;
}

static int earlier_take(const char *path, Roster *roster, DeviceList *list)
{
    const RosterEntry *conflict = NULL;
    unsigned bad = 0;
    int r = device_list_read(list, path, &bad);

    if (r == 0 && bad > 0) {
        complain("%s has lines that are no records of devices; choose another --output", path);
        return -EBADMSG;
    }
    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const DeviceListEntry *entry = &list->entries[i];

        r = roster_claim(roster, entry->serial, entry->fqdn, 0, &conflict);
        if (r == 0 && entry->ek_hash[0] != '\0')
            r = roster_tpm_set(roster, entry->ek_hash, entry->serial);
    }
    if (r == -EEXIST && conflict) {
        complain("%s has two devices under one name (%s); mend it first", path, conflict->fqdn);
    }
    return r;
}

int record_file_open(const char *path, Roster *roster, DeviceList *list, int *ret)
{
    _cleanup_(close_fdp) int fd = -1;
    struct stat status;
    int r = 0;

    if (!path) {
        *ret = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        return *ret < 0 ? -errno : 0;
    }
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0 || fstat(fd, &status) < 0)
        return complain_errno(path, "opened");
    if (S_ISREG(status.st_mode)) {
        r = torn_line_cut(fd, path);
        if (r == 0)
            r = earlier_take(path, roster, list);
    }
    if (r == 0)
        *ret = steal_fd(&fd);
    return r;
}

int record_file_add(int fd, const char *line)
{
    size_t left = strlen(line);

    while (left > 0) {
        ssize_t n = write(fd, line, left);

        if (n < 0 && errno != EINTR)
            return complain_errno("the record of a device", "written");
        if (n > 0) {
            line += n;
            left -= (size_t)n;
        }
    }
    /* EINVAL: a pipe or a terminal. */
    if (fdatasync(fd) < 0 && errno != EINVAL && errno != EROFS)
        return complain_errno("the record of a device", "put on disk");
    return 0;
}

/* What the line has done before, kept so that nothing of it is lost, and the list of devices for
 * the SeGW that comes of it. */
#include "provisioning/devicelist.h"

#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/reason.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static int complain_errno(const char *path, const char *what)
{
    const int error = errno;

    complain("%s can't be %s: %s", path, what, strerror(error));
    return -error;
}

/* Does what stands at `end` begin as a record does? Zero octets are those that never came to disk.
 */
static bool record_begins(int fd, off_t end)
{
    static const char beginning[] = "{\"serial\":";
    char found[sizeof(beginning)];
    const ssize_t size = pread(fd, found, sizeof(beginning) - 1, end);

    for (ssize_t i = 0; i < size; i++) {
        if (found[i] != beginning[i] && found[i] != '\0')
            return false;
    }
    return size > 0;
}

/* Cuts off what stands after the last newline, if that can be a record of ours: what was named by
 * mistake is left as it is. */
static int torn_line_cut(int fd, const char *path)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    off_t end = size;
    char octet = '\n';

    while (end > 0 && pread(fd, &octet, 1, end - 1) == 1 && octet != '\n')
        end--;
    if (size < 0 || end == size)
        return 0;
    if (!record_begins(fd, end)) {
        complain("the last line of %s is no record of a device; choose another --output", path);
        return -EBADMSG;
    }
    complain("warning: the last line of %s is not whole; it is cut off, and its device to be "
             "provisioned again",
             path);
    return ftruncate(fd, end) < 0 ? complain_errno(path, "cut") : 0;
}

static int list_read(DeviceList *list, const char *path, unsigned *ret_bad);

static int earlier_take(const char *path, Roster *roster, DeviceList *list)
{
    const RosterEntry *conflict = NULL;
    unsigned bad = 0;
    int r = list_read(list, path, &bad);

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

/* Two lines with one file would give a name away twice, and cut off each other's records. It is
 * locked until the last device of this line has ended. */
static int record_file_lock(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return complain_errno(path, "locked");
    complain("another tre-provision adds to %s; wait for it, or choose another --output", path);
    return -EBUSY;
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
        r = record_file_lock(fd, path);
        if (r == 0)
            r = torn_line_cut(fd, path);
        if (r == 0)
            r = earlier_take(path, roster, list);
    }
    if (r == 0)
        *ret = steal_fd(&fd);
    return r;
}

/* The rest of a record that did not fit would stand before the next one, in one line. The next one
 * goes to where it stood, also where nothing has it appended (standard output). */
static void record_take_back(int fd, size_t written)
{
    struct stat status;

    if (written == 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    const off_t end = lseek(fd, -(off_t)written, SEEK_CUR);
    if (end < 0 || ftruncate(fd, end) < 0)
        (void)complain_errno("the piece of a record", "cut off");
}

int record_file_add(int fd, const char *line)
{
    const size_t size = strlen(line);
    size_t left = size;

    while (left > 0) {
        ssize_t n = write(fd, line, left);

        if (n < 0 && errno != EINTR) {
            const int error = errno;

            record_take_back(fd, size - left); /* before a complaint, which may go there, too */
            errno = error;
            return complain_errno("the record of a device", "written");
        }
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

int device_list_format_from_name(const char *name, DeviceListFormat *ret)
{
    static const char *const names[DEVICE_LIST_FORMATS] = {
        [DEVICE_LIST_FQDNS] = "fqdn-list",
        [DEVICE_LIST_SWANCTL] = "swanctl",
    };

    for (unsigned i = 0; i < DEVICE_LIST_FORMATS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (DeviceListFormat)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int list_grow(DeviceList *list)
{
    const size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
    void *entries = reallocarray(list->entries, capacity, sizeof(*list->entries));

    if (!entries)
        return -ENOMEM;
    list->entries = entries;
    list->capacity = capacity;
    return 0;
}

int device_list_take(DeviceList *list, const DeviceRecord *record)
{
    _cleanup_(free_charp) char *serial = NULL;
    _cleanup_(free_charp) char *fqdn = NULL;

    if (!record->good)
        return 0;
    fqdn = strdup(record->fqdn);
    if (!fqdn)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].serial, record->serial) == 0) {
            free(list->entries[i].fqdn);
            list->entries[i].fqdn = steal_pointer(fqdn);
            if (record->ek_hash[0] != '\0')
                memcpy(list->entries[i].ek_hash, record->ek_hash, sizeof(record->ek_hash));
            return 0;
        }
    }
    serial = strdup(record->serial);
    if (!serial || (list->count == list->capacity && list_grow(list) < 0))
        return -ENOMEM;
    list->entries[list->count] =
        (DeviceListEntry){.serial = steal_pointer(serial), .fqdn = steal_pointer(fqdn)};
    memcpy(list->entries[list->count++].ek_hash, record->ek_hash, sizeof(record->ek_hash));
    return 0;
}

/* Takes in every line of a file of records. A line that is none is told by file and number, and
 * left out; *ret_bad counts them. 0, or -errno after a complaint. */
static int list_read(DeviceList *list, const char *path, unsigned *ret_bad)
{
    _cleanup_(close_filep) FILE *file = fopen(path, "re");
    _cleanup_(free_charp) char *line = NULL;
    size_t capacity = 0;
    unsigned number = 0;
    ssize_t size;

    if (!file) {
        const int error = errno;
        complain("%s can't be read: %s", path, strerror(error));
        return -error;
    }
    while ((errno = 0, size = getline(&line, &capacity, file)) >= 0) {
        Reason reason = {0};
        DeviceRecord record;

        number++;
        if (size > 0 && line[size - 1] == '\n')
            size--;
        if (device_record_decode((Bytes){(const uint8_t *)line, (size_t)size}, &record, &reason) <
            0) {
            complain("%s:%u: left out: %s", path, number, reason.text);
            (*ret_bad)++;
        } else if (device_list_take(list, &record) < 0) {
            complain("out of memory");
            return -ENOMEM;
        }
    }
    if (!feof(file)) { /* a folder, for one, can be opened */
        const int error = errno != 0 ? errno : EIO;
        complain("%s can't be read: %s", path, strerror(error));
        return -error;
    }
    return 0;
}

static void fqdns_print(const DeviceList *list, FILE *stream)
{
    for (size_t i = 0; i < list->count; i++)
        (void)fprintf(stream, "%s\n", list->entries[i].fqdn);
}

/* strongSwan's section names hold no '.', which is what its references are taken apart at. */
static void section_print(const char *serial, FILE *stream)
{
    for (const char *letter = serial; *letter; letter++)
        (void)fputc(isalnum((unsigned char)*letter) || *letter == '-' ? *letter : '_', stream);
}

/* Each connection takes everything but the peer's identity from the operator's section "henb". The
 * number in its name keeps apart serial numbers that differ in their punctuation only. */
static void swanctl_print(const DeviceList *list, FILE *stream)
{
    (void)fputs("# The HeNBs that may connect. To be included by swanctl.conf, after a section\n"
                "# \"henb\" at its top level that holds what all of these connections have in\n"
                "# common: version, proposals, pools, local, remote { auth = pubkey }, children.\n"
                "connections {\n",
                stream);
    for (size_t i = 0; i < list->count; i++) {
        (void)fprintf(stream, "  henb-%zu-", i + 1);
        section_print(list->entries[i].serial, stream);
        (void)fprintf(stream, " : henb {\n    remote {\n      id = fqdn:%s\n    }\n  }\n",
                      list->entries[i].fqdn);
    }
    (void)fputs("}\n", stream);
}

int device_list_print(const DeviceList *list, DeviceListFormat format, char **ret)
{
    _cleanup_(free_charp) char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return -ENOMEM;
    if (format == DEVICE_LIST_SWANCTL) {
        swanctl_print(list, stream);
    } else {
        fqdns_print(list, stream);
    }
    if (fclose(stream) != 0)
        return -ENOMEM;
    *ret = steal_pointer(text);
    return 0;
}

void device_list_deinit(DeviceList *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].serial);
        free(list->entries[i].fqdn);
    }
    free(list->entries);
    *list = (DeviceList){0};
}

int device_list_write(const DeviceList *list, DeviceListFormat format, const char *path)
{
    _cleanup_(free_charp) char *text = NULL;
    int r = device_list_print(list, format, &text);

    if (r == 0 && path) {
        r = file_write_atomic(path, (Bytes){(const uint8_t *)text, strlen(text)}, 0644);
    } else if (r == 0 && (fputs(text, stdout) < 0 || fflush(stdout) != 0)) {
        r = -EIO;
    }
    if (r < 0)
        complain("%s can't be written: %s", path ? path : "the list", strerror(-r));
    return r;
}

int provision_export(const ProvisionOptions *options)
{
    _cleanup_(device_list_deinit) DeviceList list = {0};
    DeviceListFormat format;
    unsigned bad = 0;
    int r = device_list_format_from_name(options->format, &format);

    for (unsigned i = 0; r == 0 && i < options->n_files; i++)
        r = list_read(&list, options->files[i], &bad);
    if (r == 0)
        r = device_list_write(&list, format, options->output);
    return r < 0 ? r : bad > 0 ? -EBADMSG : 0;
}

/* Are files read within their limit, and replaced whole or not at all? */
#include "base/file.h"

#include "base/cleanup.h"
#include "base/file_write.h"
#include "tests/unit/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t octets[] = {'o', 0, 'n', 'e'};

/* Each test runs in an empty folder of its own. */
static int enter_folder(void **state)
{
    char *folder = malloc(TEMPORARY_PATH_SIZE);

    *state = folder;
    if (!folder)
        return -1;
    temporary_path("test_file", folder);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    _cleanup_(free_charp) char *folder = *state;
    static const char *const names[] = {"file", "fifo"};

    for (size_t i = 0; i < ELEMENTS(names); i++)
        (void)unlink(names[i]);
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1; /* rmdir: nothing was left over */
}

static int read_within(const char *path, size_t limit)
{
    uint8_t *data = NULL;
    size_t size = 0;

    int r = file_read(path, limit, &data, &size);
    free(data);
    return r;
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;

    assert_int_equal(file_write_atomic("file", BYTES_OF(octets), 0600), 0);
    assert_int_equal(file_read("file", 100, &data, &size), 0);
    assert_true(bytes_equal((Bytes){data, size}, BYTES_OF(octets)));
    assert_int_equal(data[size], 0);
}

static void an_empty_file_is_read(void **state)
{
    (void)state;
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 1;

    assert_int_equal(file_write_atomic("file", (Bytes){NULL, 0}, 0600), 0);
    assert_int_equal(file_read("file", 0, &data, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(data[0], 0);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic("file", BYTES_OF(octets), 0600), 0);
    assert_int_equal(read_within("file", sizeof(octets)), 0);
    assert_int_equal(read_within("file", sizeof(octets) - 1), -EFBIG);
}

static void only_regular_files_are_read(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(read_within("fifo", 10), -EINVAL);
    assert_int_equal(read_within(".", 10), -EISDIR);
    assert_int_equal(read_within("/dev/zero", 10), -EINVAL);
    assert_int_equal(read_within("absent", 10), -ENOENT);
}

/* In the place of the C library's (--wrap). */
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __real_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap___read_chk(int fd, void *data, size_t size, size_t room);
ssize_t __wrap___pread64_chk(int fd, void *data, size_t size, off_t offset, size_t room);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

/* What befalls each other call, if anything; all others do one octet. */
static int disturbance;
static unsigned calls;

static bool is_disturbed(void)
{
    errno = disturbance;
    return disturbance && calls++ % 2 == 0;
}

static size_t some_of(size_t size)
{
    return disturbance && size > 1 ? 1 : size;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    return is_disturbed() ? -1 : __real_read(fd, data, some_of(size));
}

ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset)
{
    return is_disturbed() ? -1 : __real_pread64(fd, data, some_of(size), offset);
}

ssize_t __wrap___read_chk(int fd, void *data, size_t size, size_t room)
{
    assert_true(size <= room);
    return __wrap_read(fd, data, size);
}

ssize_t __wrap___pread64_chk(int fd, void *data, size_t size, off_t offset, size_t room)
{
    assert_true(size <= room);
    return __wrap_pread64(fd, data, size, offset);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return is_disturbed() ? -1 : __real_write(fd, data, some_of(size));
}

/* Writes the octets into "file" and reads them by either way; the first error. */
static int write_and_read(int error)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL, *again = NULL;
    size_t size = 0, size_again = 0;

    disturbance = error;
    calls = 0;
    int r = file_write_atomic("file", BYTES_OF(octets), 0600);
    if (r == 0)
        r = file_read("file", 100, &data, &size);
    if (r == 0) {
        _cleanup_(close_fdp) int fd = open("file", O_RDONLY | O_CLOEXEC);
        r = file_read_descriptor(fd, 100, &again, &size_again);
    }
    disturbance = 0;
    assert_true(r < 0 || (bytes_equal((Bytes){data, size}, BYTES_OF(octets)) &&
                          bytes_equal((Bytes){again, size_again}, BYTES_OF(octets))));
    return r;
}

static void a_signal_in_between_or_an_octet_at_a_time_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(write_and_read(EINTR), 0);
}

static void what_can_not_be_read_or_written_to_its_end_is_told(void **state)
{
    (void)state;
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;

    assert_int_equal(write_and_read(ENOSPC), -ENOSPC);
    assert_int_equal(read_within("file", 100), -ENOENT);
    assert_int_equal(write_and_read(0), 0);
    _cleanup_(close_fdp) int fd = open("file", O_RDONLY | O_CLOEXEC);
    disturbance = EIO;
    calls = 0;
    assert_int_equal(read_within("file", 100), -EIO);
    calls = 0;
    assert_int_equal(file_read_descriptor(fd, 100, &data, &size), -EIO);
    disturbance = 0;
}

static void a_stream_is_read_to_its_end_and_within_its_limit(void **state)
{
    (void)state;
    for (size_t limit = sizeof(octets); limit >= sizeof(octets) - 1; limit--) {
        _cleanup_(free_bytesp) uint8_t *data = NULL;
        size_t size = 0;
        char path[32];
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], octets, sizeof(octets)), sizeof(octets));
        assert_int_equal(close(ends[1]), 0);
        assert_true(snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]) > 0);
        if (limit < sizeof(octets)) {
            assert_int_equal(file_read_stream(path, limit, &data, &size), -EFBIG);
        } else {
            assert_int_equal(file_read_stream(path, limit, &data, &size), 0);
            assert_true(bytes_equal((Bytes){data, size}, BYTES_OF(octets)));
        }
        assert_int_equal(close(ends[0]), 0);
    }
}

/* What no block that is freed may begin with. */
static struct {
    Bytes octets;
    bool seen;
} freed;

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    if (block && freed.octets.size > 0 && malloc_usable_size(block) >= freed.octets.size &&
        memcmp(block, freed.octets.data, freed.octets.size) == 0)
        freed.seen = true;
    __real_free(block);
}

/* What file_read() says, and *ret_seen whether octets of the file stood in memory that was freed.
 */
static int read_watched(Bytes secret, size_t limit, int error, bool *ret_seen)
{
    freed.seen = false;
    freed.octets = secret;
    disturbance = error;
    calls = 1; /* one octet is read before it fails */
    int r = read_within("file", limit);
    disturbance = 0;
    freed.octets = (Bytes){0};
    *ret_seen = freed.seen;
    return r;
}

static void of_what_is_not_handed_over_no_octet_is_left_in_memory(void **state)
{
    static const uint8_t key[] = "\xa7 private key";
    bool seen;

    (void)state;
    assert_int_equal(file_write_atomic("file", BYTES_OF(key), 0600), 0);
    assert_int_equal(read_watched(BYTES_OF(key), sizeof(key), 0, &seen), 0);
    assert_true(seen); /* the caller's to wipe */
    assert_int_equal(read_watched(BYTES_OF(key), sizeof(key) - 1, 0, &seen), -EFBIG);
    assert_false(seen);
    assert_int_equal(read_watched((Bytes){key, 1}, sizeof(key), EIO, &seen), -EIO);
    assert_false(seen);
}

static void the_mode_is_set_whatever_the_umask_says(void **state)
{
    (void)state;
    struct stat status;
    mode_t umask_before = umask(077);

    assert_int_equal(file_write_atomic("file", BYTES_OF(octets), 0644), 0);
    (void)umask(umask_before);
    assert_int_equal(stat("file", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
}

static void a_reader_of_the_old_file_keeps_it(void **state)
{
    (void)state;
    char old[8] = "";

    assert_int_equal(file_write_atomic("file", (Bytes){octets, 1}, 0600), 0);
    _cleanup_(close_fdp) int fd = open("file", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(file_write_atomic("file", BYTES_OF(octets), 0600), 0);
    assert_int_equal(read(fd, old, sizeof(old)), 1);
    assert_int_equal(read_within("file", sizeof(octets)), 0);
}

static void a_failed_write_leaves_the_folder_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(file_write_atomic("absent/file", BYTES_OF(octets), 0600), -ENOENT);
    /* A folder can't be replaced by a file; what was written beside it must go (see leave_folder).
     */
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(file_write_atomic("folder", BYTES_OF(octets), 0600), -EISDIR);
    assert_int_equal(rmdir("folder"), 0);
}

static void what_is_laid_down_takes_the_place_of_a_link_and_not_of_what_it_names(void **state)
{
    static const FileOwner mine = {(uid_t)-1, (gid_t)-1};
    _cleanup_(free_bytesp) uint8_t *found = NULL;
    struct stat status;
    size_t size = 0;

    (void)state;
    assert_int_equal(file_write_atomic("file", BYTES_OF(octets), 0600), 0);
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(file_lay("link", (Bytes){octets, 1}, mine, 0640), 0);
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(status.st_size, 1);
    assert_int_equal(file_read("file", 100, &found, &size), 0);
    assert_int_equal(size, sizeof(octets));
    assert_int_equal(unlink("link"), 0);
    assert_int_equal(file_sync_folder("file"), 0);
    assert_int_equal(file_sync_folder("nowhere/file"), -ENOENT);
}

/* What fails, and how often an owner was asked for. */
static struct {
    bool mode, sync;
    unsigned owners;
} lay;

int __wrap_fchown(int fd, uid_t user, gid_t group);
int __wrap_fchown(int fd, uid_t user, gid_t group)
{
    (void)fd, (void)user, (void)group;
    lay.owners++;
    errno = EPERM;
    return user == 9 ? -1 : 0;
}

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode)
{
    errno = EROFS;
    return lay.mode ? -1 : __real_fchmod(fd, mode);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    errno = EIO;
    return lay.sync ? -1 : __real_fsync(fd);
}

/* A hardened service may not even ask for another one. */
static void another_owner_is_asked_for_where_there_is_one(void **state)
{
    static const struct {
        FileOwner owner;
        unsigned asked;
    } cases[] = {
        {{(uid_t)-1, (gid_t)-1}, 0}, {{1, (gid_t)-1}, 1}, {{(uid_t)-1, 1}, 1}, {{1, 1}, 1}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        lay.owners = 0;
        assert_int_equal(file_lay("file", BYTES_OF(octets), cases[i].owner, 0600), 0);
        assert_int_equal(lay.owners, cases[i].asked);
    }
    assert_int_equal(file_lay("file", BYTES_OF(octets), (FileOwner){9, 9}, 0600), -EPERM);
}

static void what_cannot_be_laid_down_to_its_end_is_told(void **state)
{
    static const FileOwner mine = {(uid_t)-1, (gid_t)-1};

    (void)state;
    lay.mode = true;
    assert_int_equal(file_lay("file", BYTES_OF(octets), mine, 0600), -EROFS);
    lay.mode = false;
    lay.sync = true;
    assert_int_equal(file_lay("file", BYTES_OF(octets), mine, 0600), -EIO);
    lay.sync = false;
    disturbance = ENOSPC;
    calls = 0;
    assert_int_equal(file_lay("file", BYTES_OF(octets), mine, 0600), -ENOSPC);
    int fd = -1;
    calls = 0;
    assert_int_equal(file_seal(BYTES_OF(octets), "test", &fd), -ENOSPC);
    disturbance = 0;
    assert_int_equal(fd, -1);
}

/* So many dots, and the kernel takes the path. */
static void the_longest_path_has_a_folder_and_a_longer_one_has_none(void **state)
{
    char path[PATH_MAX + 1];

    (void)state;
    for (size_t i = 0; i < PATH_MAX; i++)
        path[i] = i % 2 ? '/' : '.';
    path[PATH_MAX] = '\0';
    assert_int_equal(file_sync_folder(path), -ENAMETOOLONG);
    path[PATH_MAX - 1] = '\0';
    assert_int_equal(file_sync_folder(path), 0);
}

static bool is_not_sealed; /* as the kernel says */
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);

int __wrap_fcntl64(int fd, int command, ...)
{
    va_list values;

    va_start(values, command);
    const int value = va_arg(values, int);
    va_end(values);
    if (is_not_sealed && command == F_ADD_SEALS) {
        errno = EPERM;
        return -1;
    }
    return __real_fcntl64(fd, command, value);
}

static void what_is_sealed_nobody_changes_and_what_can_not_be_is_not_handed_on(void **state)
{
    (void)state;
    _cleanup_(close_fdp) int fd = -1;
    uint8_t found[sizeof(octets) + 1];

    is_not_sealed = true;
    assert_int_equal(file_seal(BYTES_OF(octets), "test", &fd), -EPERM);
    assert_int_equal(fd, -1);
    is_not_sealed = false;
    assert_int_equal(file_seal(BYTES_OF(octets), "test", &fd), 0);
    assert_int_equal(pread(fd, found, sizeof(found), 0), sizeof(octets));
    assert_memory_equal(found, octets, sizeof(octets));
    assert_int_equal(pwrite(fd, found, 1, 0), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 100), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_again, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_is_read, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_file_above_the_limit_is_refused, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(only_regular_files_are_read, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_signal_in_between_or_an_octet_at_a_time_changes_nothing,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(what_can_not_be_read_or_written_to_its_end_is_told,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_stream_is_read_to_its_end_and_within_its_limit,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(of_what_is_not_handed_over_no_octet_is_left_in_memory,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(the_mode_is_set_whatever_the_umask_says, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_reader_of_the_old_file_keeps_it, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(another_owner_is_asked_for_where_there_is_one, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_laid_down_to_its_end_is_told, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(the_longest_path_has_a_folder_and_a_longer_one_has_none,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(
            what_is_laid_down_takes_the_place_of_a_link_and_not_of_what_it_names, enter_folder,
            leave_folder),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_folder_as_it_was, enter_folder,
                                        leave_folder),
        cmocka_unit_test(what_is_sealed_nobody_changes_and_what_can_not_be_is_not_handed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

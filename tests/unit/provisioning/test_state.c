/* Do files reach the state folder whole, with their owner, or leave the old one there? */
#include "provisioning/command.h"

#include "base/cleanup.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t octets[] = {'n', 'e', 'w'};

typedef struct Folder {
    char above[TEMPORARY_PATH_SIZE];
    char path[TEMPORARY_PATH_SIZE + 8];
    char file[TEMPORARY_PATH_SIZE + 16];
    ProvisionOptions options;
} Folder;

static int folder_init(void **state)
{
    static Folder folder;

    folder = (Folder){0};
    temporary_path("test_state", folder.above);
    *state = &folder;
    if (!mkdtemp(folder.above))
        return -1;
    (void)snprintf(folder.path, sizeof(folder.path), "%s/state", folder.above);
    (void)snprintf(folder.file, sizeof(folder.file), "%s/file", folder.path);
    folder.options = (ProvisionOptions){
        .state_dir = folder.path,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
    };
    return 0;
}

static int folder_deinit(void **state)
{
    Folder *folder = *state;

    (void)unlink(folder->file);
    (void)rmdir(folder->file);
    (void)rmdir(folder->path);
    return rmdir(folder->above);
}

static void a_file_gets_its_owner_and_mode(void **state)
{
    Folder *folder = *state;
    struct stat status;

    if (geteuid() != 0)
        skip(); /* giving files away takes root */
    folder->options.owner = 65534;
    folder->options.group = 65533;
    assert_int_equal(state_dir_make(&folder->options), 0);
    assert_int_equal(stat(folder->path, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(state_write(&folder->options, "file", BYTES_OF(octets), 0640), 0);
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_gid, 65533);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void a_folder_that_is_there_keeps_its_mode(void **state)
{
    Folder *folder = *state;
    struct stat status;

    assert_int_equal(mkdir(folder->path, 0700), 0);
    assert_int_equal(chmod(folder->path, 0711), 0);
    assert_int_equal(state_dir_make(&folder->options), 0);
    assert_int_equal(stat(folder->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0711);
}

static void what_can_not_be_written_leaves_nothing_behind(void **state)
{
    Folder *folder = *state;

    assert_int_equal(state_write(&folder->options, "file", BYTES_OF(octets), 0640), -ENOENT);
    assert_int_equal(state_dir_make(&folder->options), 0);
    assert_int_equal(mkdir(folder->file, 0700), 0); /* a folder stands in the file's place */
    assert_int_equal(state_write(&folder->options, "file", BYTES_OF(octets), 0640), -EISDIR);
    /* folder_deinit() finds nothing else in it, or fails. */
}

static void a_state_folder_that_can_not_be_made_is_an_error(void **state)
{
    Folder *folder = *state;

    folder->options.state_dir = "/nowhere/at/all";
    assert_int_equal(state_dir_make(&folder->options), -ENOENT);
}

/* A file from elsewhere is quoted there, and a terminal obeys what it is told. */
static void what_is_quoted_in_a_complaint_says_nothing_to_the_terminal(void **state)
{
    const int file = memfd_create("complaint", MFD_CLOEXEC), error = dup(STDERR_FILENO);
    char text[96] = "";

    (void)state;
    assert_true(file >= 0 && error >= 0 && dup2(file, STDERR_FILENO) >= 0);
    complain("'%s' is none", "a\x1b[2J\r\n\x7f\xc2\x9b"
                             "2J\xc3\xa4");
    assert_true(dup2(error, STDERR_FILENO) >= 0);
    assert_true(pread(file, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "tre-provision: 'a?[2J???\?\?2J\xc3\xa4' is none\n");
    (void)close(error);
    (void)close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_quoted_in_a_complaint_says_nothing_to_the_terminal),
        cmocka_unit_test_setup_teardown(a_file_gets_its_owner_and_mode, folder_init, folder_deinit),
        cmocka_unit_test_setup_teardown(a_folder_that_is_there_keeps_its_mode, folder_init,
                                        folder_deinit),
        cmocka_unit_test_setup_teardown(what_can_not_be_written_leaves_nothing_behind, folder_init,
                                        folder_deinit),
        cmocka_unit_test_setup_teardown(a_state_folder_that_can_not_be_made_is_an_error,
                                        folder_init, folder_deinit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Wherever a replacement of the anchors' files is cut off, are they right after the next load? */
#include "anchor_fixture.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "policy/anchorbundle.h"
#include "policy/anchorinstall.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const FileOwner keep = {(uid_t)-1, (gid_t)-1};

static char folder[TEMPORARY_PATH_SIZE];
static char path[TEMPORARY_PATH_SIZE + 32];

static Bytes text_bytes(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static AnchorRecord record_of(const char *bundle, uint64_t version)
{
    AnchorRecord record;

    assert_int_equal(anchor_record_make(text_bytes(bundle), version, &record), 0);
    return record;
}

static void put(const char *suffix, const char *text)
{
    char name[160];

    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    assert_int_equal(file_write_atomic(name, text_bytes(text), 0600), 0);
}

static int folder_init(void **state)
{
    *state = NULL;
    temporary_path("test-anchorfiles", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/segw-anchors.pem", folder);
    put("", "old");
    put(".sig", "old approval");
    return 0;
}

static int folder_deinit(void **state)
{
    static const char *const suffixes[] = {"", ".sig", ".next", ".next.sig"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(suffixes); i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    return rmdir(folder); /* fails if anything else is left there */
}

/* The file with that suffix holds `text`; NULL: there is none. */
static void assert_file(const char *suffix, const char *text)
{
    _cleanup_(free_bytesp) uint8_t *found = NULL;
    char name[160];
    size_t size = 0;
    int r;

    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    r = file_read(name, 1024, &found, &size);
    if (!text) {
        assert_int_equal(r, -ENOENT);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal((const char *)found, text);
}

static void assert_pair(const char *bundle, const char *approval)
{
    assert_file("", bundle);
    assert_file(".sig", approval);
    assert_file(".next", NULL);
    assert_file(".next.sig", NULL);
}

static void stage(void)
{
    assert_int_equal(anchor_files_stage(path, text_bytes("new"), text_bytes("new approval"), keep),
                     0);
    assert_file("", "old");
    assert_file(".next", "new");
}

static void a_new_pair_takes_the_place_of_the_old(void **state)
{
    struct stat status;

    (void)state;
    stage();
    errno = EACCES; /* of a call before */
    assert_int_equal(anchor_files_commit(path), 0);
    assert_pair("new", "new approval");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
}

static void cut_off_before_the_tpm_was_written_the_old_pair_stays(void **state)
{
    const AnchorRecord in_force = record_of("old", 1);

    (void)state;
    stage();
    assert_int_equal(anchor_files_recover(path, &in_force), 0);
    assert_pair("old", "old approval");
}

/* Of a call that succeeds nothing is read of what errno was before. */
static void a_new_pair_that_is_discarded_goes_and_the_old_one_stays(void **state)
{
    (void)state;
    stage();
    errno = EACCES;
    assert_int_equal(anchor_files_discard(path), 0);
    assert_pair("old", "old approval");
    errno = EACCES;
    assert_int_equal(anchor_files_discard(path), 0); /* there is none any more */
}

static void cut_off_before_a_first_write_nothing_new_stays(void **state)
{
    (void)state;
    stage();
    assert_int_equal(anchor_files_recover(path, NULL), 0);
    assert_pair("old", "old approval");
}

static void cut_off_after_the_tpm_was_written_the_new_pair_is_put_in_force(void **state)
{
    const AnchorRecord in_force = record_of("new", 2);

    (void)state;
    stage();
    assert_int_equal(anchor_files_recover(path, &in_force), 1);
    assert_pair("new", "new approval");
    assert_int_equal(anchor_files_recover(path, &in_force), 0);
    assert_pair("new", "new approval");
}

static void cut_off_between_both_renames_the_new_pair_is_put_in_force(void **state)
{
    const AnchorRecord in_force = record_of("new", 2);

    (void)state;
    put(".next", "new");
    put(".sig", "new approval"); /* this one was renamed */
    assert_int_equal(anchor_files_recover(path, &in_force), 1);
    assert_pair("new", "new approval");
}

static void cut_off_between_both_files_the_lone_approval_goes(void **state)
{
    const AnchorRecord in_force = record_of("old", 1);

    (void)state;
    put(".next.sig", "new approval");
    assert_int_equal(anchor_files_recover(path, &in_force), 0);
    assert_pair("old", "old approval");
}

/* Nobody approves of such, but what could not be read is no bundle of any kind. */
static void a_new_bundle_that_is_not_there_is_not_one_without_octets(void **state)
{
    const AnchorRecord in_force = record_of("", 2);

    (void)state;
    put(".next.sig", "new approval");
    assert_int_equal(anchor_files_recover(path, &in_force), 0);
    assert_pair("old", "old approval");
    put(".next", "");
    put(".next.sig", "new approval");
    assert_int_equal(anchor_files_recover(path, &in_force), 1);
    assert_pair("", "new approval");
}

static void a_half_written_bundle_goes(void **state)
{
    const AnchorRecord in_force = record_of("old", 1);

    (void)state;
    put(".next", "ne");
    put(".next.sig", "new approval");
    assert_int_equal(anchor_files_recover(path, &in_force), 0);
    assert_pair("old", "old approval");
}

static void a_link_in_the_place_of_the_new_bundle_is_not_followed(void **state)
{
    char next[160], victim[160];

    (void)state;
    (void)snprintf(next, sizeof(next), "%s.next", path);
    (void)snprintf(victim, sizeof(victim), "%s/victim", folder);
    assert_int_equal(file_write_atomic(victim, text_bytes("precious"), 0600), 0);
    assert_int_equal(symlink(victim, next), 0);
    stage();
    {
        _cleanup_(free_bytesp) uint8_t *found = NULL;
        size_t size = 0;

        assert_int_equal(file_read(victim, 1024, &found, &size), 0);
        assert_string_equal((const char *)found, "precious");
    }
    assert_int_equal(unlink(victim), 0);
}

static void a_folder_that_is_gone_is_an_error_and_no_crash(void **state)
{
    (void)state;
    assert_int_equal(anchor_files_stage("/nonexistent/folder/anchors", text_bytes("new"),
                                        text_bytes("approval"), keep),
                     -ENOENT);
    assert_int_equal(anchor_files_recover("/nonexistent/folder/anchors", NULL), 0);
    char longest[PATH_MAX] = "";
    memset(longest, 'a', sizeof(longest) - 1);
    assert_int_equal(anchor_files_recover(longest, &(AnchorRecord){.version = 1}), -ENAMETOOLONG);
}

/* `path`, with so many dots in it that it has `size` octets; the kernel takes it. */
static void path_lengthen(size_t size, char ret[PATH_MAX])
{
    const size_t start = strlen(folder), end = strlen(path) - start;

    memcpy(ret, folder, start);
    for (size_t i = start; i < size - end; i++)
        ret[i] = (i - start) % 2 ? '.' : '/';
    memcpy(ret + size - end, path + start, end + 1);
}

static void a_path_too_long_for_a_suffix_is_told_before_anything_is_done(void **state)
{
    const size_t too_long = PATH_MAX - strlen(".next.sig");
    char longer[PATH_MAX];

    (void)state;
    for (size_t size = too_long; size < PATH_MAX; size += 4) {
        path_lengthen(size, longer);
        assert_int_equal(anchor_files_stage(longer, text_bytes("new"), text_bytes("new"), keep),
                         -ENAMETOOLONG);
        assert_int_equal(anchor_files_commit(longer), -ENAMETOOLONG);
        assert_int_equal(anchor_files_discard(longer), -ENAMETOOLONG);
        assert_pair("old", "old approval");
    }
    path_lengthen(too_long - 1, longer);
    assert_int_equal(anchor_files_stage(longer, text_bytes("new"), text_bytes("new"), keep), 0);
    assert_int_equal(anchor_files_discard(longer), 0);
    assert_pair("old", "old approval");
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, folder_init, folder_deinit)

/* No TPM is asked: what is not too large is refused for its approval. */
static void a_bundle_has_a_largest_size(void **state)
{
    static uint8_t bundle[ANCHOR_BUNDLE_SIZE_MAX + 1];
    const Bytes none = text_bytes("no approval");
    AnchorRecord record;
    Reason reason = {0};

    (void)state;
    assert_int_equal(anchors_install(NULL, path, BYTES_OF(bundle), none, keep, &record, &reason),
                     ANCHOR_E_REFUSED);
    assert_string_equal(reason.text,
                        "the anchor bundle has 1048577 octets, and at most 1048576 are taken");
    assert_int_equal(anchors_install(NULL, path, (Bytes){bundle, ANCHOR_BUNDLE_SIZE_MAX}, none,
                                     keep, &record, &reason),
                     ANCHOR_E_REFUSED);
    assert_non_null(strstr(reason.text, "its approval"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES_TEST(a_new_pair_takes_the_place_of_the_old),
        FILES_TEST(cut_off_before_the_tpm_was_written_the_old_pair_stays),
        FILES_TEST(a_new_pair_that_is_discarded_goes_and_the_old_one_stays),
        FILES_TEST(cut_off_before_a_first_write_nothing_new_stays),
        FILES_TEST(cut_off_after_the_tpm_was_written_the_new_pair_is_put_in_force),
        FILES_TEST(cut_off_between_both_renames_the_new_pair_is_put_in_force),
        FILES_TEST(cut_off_between_both_files_the_lone_approval_goes),
        FILES_TEST(a_new_bundle_that_is_not_there_is_not_one_without_octets),
        FILES_TEST(a_half_written_bundle_goes),
        FILES_TEST(a_link_in_the_place_of_the_new_bundle_is_not_followed),
        FILES_TEST(a_bundle_has_a_largest_size),
        FILES_TEST(a_folder_that_is_gone_is_an_error_and_no_crash),
        FILES_TEST(a_path_too_long_for_a_suffix_is_told_before_anything_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

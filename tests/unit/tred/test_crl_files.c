/* Are the operator's CRLs seen as they are now, and is what was read never lost? */
#include "free_watch.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "tests/unit/temporary.h"
#include "tred/crl_files.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { LONG_AGO = 1000000000, LATER_USEC = 1000 };

static char folder[TEMPORARY_PATH_SIZE], *path;
static CrlFiles held;
static Reason problem;

static int setup(void **state)
{
    (void)state;
    temporary_path("crls", folder);
    held = (CrlFiles){0};
    return mkdtemp(folder) && asprintf(&path, "%s/a.crl", folder) > 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crl_files_deinit(&held);
    (void)unlink(path);
    free(path);
    (void)rmdir(folder);
    return 0;
}

/* Each in the place of the system's or of another file's function (ld --wrap). */
static struct {
    unsigned fstat_left;       /* until the call that fails; 0: none does */
    bool goes;                 /* the file, before it is looked at */
    bool no_memory;            /* for what a file holds */
    time_t now;                /* 0: it is now */
    unsigned usable, unusable; /* lines in the log */
} played;

int __real_fstat64(int fd, struct stat *ret);
int __wrap_fstat64(int fd, struct stat *ret);
int __real_stat64(const char *name, struct stat *ret);
int __wrap_stat64(const char *name, struct stat *ret);
int __real_file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size);
int __wrap_file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...);

int __wrap_fstat64(int fd, struct stat *ret)
{
    const int r = __real_fstat64(fd, ret);

    errno = EIO; /* which says nothing where it succeeds */
    return played.fstat_left > 0 && --played.fstat_left == 0 ? -1 : r;
}

int __wrap_stat64(const char *name, struct stat *ret)
{
    if (played.goes)
        (void)unlink(name);
    played.goes = false;
    return __real_stat64(name, ret);
}

int __wrap_file_read_descriptor(int fd, size_t limit, uint8_t **ret, size_t *ret_size)
{
    return played.no_memory ? -ENOMEM : __real_file_read_descriptor(fd, limit, ret, ret_size);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const int r = __real_clock_gettime(clock, ret);

    if (played.now != 0)
        ret->tv_sec = played.now;
    return r;
}

void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...)
{
    (void)level, (void)format;
    played.usable += strcmp(fields->message_id, MESSAGE_CRL_USABLE) == 0;
    played.unusable += strcmp(fields->message_id, MESSAGE_CRL_UNUSABLE) == 0;
}

/* Over what is there, with one and the same date. */
static void lay_over(const char *text)
{
    const struct timespec dates[] = {{.tv_sec = LONG_AGO}, {.tv_sec = LONG_AGO}};
    _cleanup_(close_fdp) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(futimens(fd, dates), 0);
}

static void look(bool again, uint64_t now)
{
    CrlFiles files;

    errno = EIO; /* of a call before: nothing is read of it where all succeed */
    assert_int_equal(crl_files_read(folder, &held, again, now, &files, &problem), 0);
    crl_files_replace(&held, &files);
    crl_files_deinit(&files);
}

static void assert_held(size_t at, const char *text, bool is_kept)
{
    const CrlFile *file = held.files[at];

    assert_true(at < held.count);
    assert_int_equal(file->size, strlen(text));
    assert_memory_equal(file->data, text, file->size);
    assert_int_equal(file->is_kept, is_kept);
}

/* What the next look would find as it was is marked as such, as it is after a while. */
static CrlFile *settled(size_t at)
{
    held.files[at]->mark.is_settled = true;
    return held.files[at];
}

static void a_file_that_has_not_changed_is_not_read_again(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    CrlFile *file = settled(0);
    memset(file->data, 'x', file->size);
    look(false, 0);
    assert_int_equal(held.count, 1);
    assert_held(0, "xxx", false);
    look(true, 0); /* but it is, where all are to be */
    assert_int_equal(held.count, 2);
    assert_held(0, "one", false);
    assert_held(1, "xxx", true);
}

/* The same size, the same date of modification, the same file: only ctime tells. */
static void a_file_that_was_written_over_is_read_again(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    (void)settled(0);
    const CrlMark before = held.files[0]->mark;
    struct stat now;
    do {
        lay_over("two");
        assert_int_equal(stat(path, &now), 0);
    } while (now.st_ctim.tv_sec == before.changed.tv_sec &&
             now.st_ctim.tv_nsec == before.changed.tv_nsec); /* a tick of the file system's clock */
    look(false, 0);
    assert_int_equal(held.count, 2);
    assert_held(0, "two", false);
    assert_held(1, "one", true);
    assert_int_equal(held.files[0]->mark.inode, before.inode);
    assert_int_equal(held.files[0]->mark.modified.tv_sec, before.modified.tv_sec);
}

/* Its times need not tell: a change within the clock's tick would leave them as they are. */
static void a_file_that_changed_a_moment_ago_is_read_again_whatever_its_times(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    CrlFile *file = held.files[0];
    assert_false(file->mark.is_settled);
    memcpy(file->data, "six", 3);
    look(false, 0);
    assert_int_equal(held.count, 2);
    assert_held(0, "one", false);
}

static void the_same_octets_under_new_times_are_the_same_copy(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    const CrlFile *file = held.files[0];
    assert_int_equal(unlink(path), 0);
    lay_over("one");
    look(true, 0);
    assert_int_equal(held.count, 1);
    assert_ptr_equal(held.files[0], file);
}

static void assert_kept_then_read_anew(void (*spoil)(void), void (*mend)(void), const char *why)
{
    lay_over("one");
    look(false, 0);
    assert_string_equal(problem.text, "");
    spoil();
    look(false, 0);
    assert_int_equal(held.count, 1);
    assert_held(0, "one", true);
    if (!strstr(problem.text, why))
        fail_msg("'%s' lacks '%s'", problem.text, why);
    mend();
    look(false, 0);
    assert_int_equal(held.count, 2);
    assert_held(0, "two", false);
    assert_held(1, "one", true);
    assert_string_equal(problem.text, "");
}

static struct rlimit descriptors;

static void exhaust_descriptors(void)
{
    struct rlimit none;

    lay_over("two");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = descriptors.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void give_descriptors_back(void)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
}

static void a_look_without_a_descriptor_left_loses_nothing_and_the_next_reads(void **state)
{
    (void)state;
    assert_kept_then_read_anew(exhaust_descriptors, give_descriptors_back, "Too many open files");
}

/* Before it is read, and after. */
static void fail_at_first(void)
{
    lay_over("two");
    played.fstat_left = 1;
}

static void fail_at_last(void)
{
    lay_over("two");
    played.fstat_left = 2;
}

static void fail_no_more(void)
{
    assert_int_equal(played.fstat_left, 0);
}

static void a_file_that_the_system_says_nothing_of_is_told(void **state)
{
    void (*const ways[])(void) = {fail_at_first, fail_at_last};

    for (size_t i = 0; i < ELEMENTS(ways); i++) {
        if (i > 0)
            assert_int_equal(setup(state), 0);
        assert_kept_then_read_anew(ways[i], fail_no_more, "Input/output error");
        if (i == 0)
            (void)teardown(state);
    }
}

/* It is no fault of the file's. */
static void without_memory_for_a_file_there_is_no_look(void **state)
{
    CrlFiles files;

    (void)state;
    lay_over("one");
    played.no_memory = true;
    assert_int_equal(crl_files_read(folder, &held, false, 0, &files, &problem), -ENOMEM);
    played.no_memory = false;
    crl_files_deinit(&files);
    assert_string_equal(problem.text, "");
}

/* A clock of whole seconds, as the coarsest file system has. */
static void a_change_is_settled_after_more_than_two_seconds(void **state)
{
    struct stat status;

    (void)state;
    lay_over("one");
    assert_int_equal(stat(path, &status), 0);
    for (int seconds = 1; seconds <= 3; seconds++) {
        played.now = status.st_ctim.tv_sec + seconds;
        look(true, 0);
        assert_int_equal(held.files[0]->mark.is_settled, seconds == 3);
    }
    played.now = 0;
}

static void a_copy_is_held_once_and_goes_with_who_holds_it_last(void **state)
{
    static const uint8_t text[] = "what a list says";
    CrlFiles others = {0};

    (void)state;
    lay_over((const char *)text);
    look(false, 0);
    assert_true(crl_files_add(&others, held.files[0]));
    assert_true(crl_files_add(&others, held.files[0]));
    assert_int_equal(others.count, 1);
    assert_int_equal(held.files[0]->n_references, 2);
    const Bytes octets = {text, sizeof(text) - 1};
    free_watch_begin(octets);
    crl_files_deinit(&held);
    assert_false(free_watch_end());
    free_watch_begin(octets);
    crl_files_deinit(&others);
    assert_true(free_watch_end());
}

static void no_more_copies_are_held_than_can_be(void **state)
{
    static CrlFile one, other;
    CrlFiles full = {0};

    (void)state;
    while (full.count < CRL_COPIES_MAX)
        full.files[full.count++] = &one;
    assert_false(crl_files_add(&full, &other));
    assert_int_equal(full.count, CRL_COPIES_MAX);
    assert_int_equal(other.n_references, 0);
    assert_true(crl_files_add(&full, &one));
    assert_int_equal(one.n_references, 0);
}

static void that_a_list_can_not_be_used_is_told_once_and_so_is_that_it_can(void **state)
{
    CrlsInForce crls = {0};
    const Reason flaw = {"a.crl is none"}, none = {""};

    (void)state;
    memset(&played, 0, sizeof(played));
    for (int i = 0; i < 2; i++)
        crls_in_force_set_problem(&crls, &flaw);
    assert_int_equal(played.unusable, 1);
    assert_int_equal(played.usable, 0);
    for (int i = 0; i < 2; i++)
        crls_in_force_set_problem(&crls, &none);
    assert_int_equal(played.unusable, 1);
    assert_int_equal(played.usable, 1);
}

static void put_a_folder_there(void)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void put_a_file_there(void)
{
    assert_int_equal(rmdir(path), 0);
    lay_over("two");
}

static void a_folder_in_the_place_of_a_file_is_told(void **state)
{
    (void)state;
    assert_kept_then_read_anew(put_a_folder_there, put_a_file_there, "no regular file");
}

static void link_to_nothing(void)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nothing", path), 0);
}

static void link_to_something(void)
{
    assert_int_equal(unlink(path), 0);
    lay_over("two");
}

static void a_link_to_nothing_is_told(void **state)
{
    (void)state;
    assert_kept_then_read_anew(link_to_nothing, link_to_something, "No such file");
}

static void make_it_huge(void)
{
    assert_int_equal(truncate(path, CRL_FILE_OCTETS_MAX + 1), 0);
}

static void make_it_small(void)
{
    lay_over("two");
}

static void a_file_that_is_too_large_is_told(void **state)
{
    (void)state;
    assert_kept_then_read_anew(make_it_huge, make_it_small, "larger than 8 MiB");
}

static void a_file_that_is_gone_is_kept_without_a_word(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    assert_int_equal(unlink(path), 0);
    look(false, 0);
    assert_held(0, "one", true);
    assert_string_equal(problem.text, "");
}

static void a_file_that_goes_once_it_was_listed_is_gone_without_a_word(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    played.goes = true;
    look(false, 0);
    assert_false(played.goes);
    assert_held(0, "one", true);
    assert_string_equal(problem.text, "");
}

static void a_257th_file_leaves_all_as_it_was(void **state)
{
    char *extra[CRL_FILES_MAX];

    (void)state;
    lay_over("one");
    look(false, 0);
    for (size_t i = 0; i < CRL_FILES_MAX; i++) {
        assert_true(asprintf(&extra[i], "%s/%zu", folder, i) > 0);
        const int fd = open(extra[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    look(false, 0);
    assert_int_equal(held.count, 1);
    assert_non_null(strstr(problem.text, "more CRLs than are looked at"));
    assert_int_equal(unlink(extra[0]), 0);
    look(false, 0);
    assert_int_equal(held.count, CRL_FILES_MAX);
    assert_string_equal(problem.text, "");
    for (size_t i = 0; i < CRL_FILES_MAX; i++) {
        (void)unlink(extra[i]);
        free(extra[i]);
    }
}

/* Of an issuer that nobody knows, say, whose lists are never said to be obsolete. */
static void a_file_that_is_written_over_ever_and_again_is_read_each_time(void **state)
{
    char text[16];

    (void)state;
    for (int i = 0; i < CRL_COPIES_MAX + 3; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        lay_over(text);
        look(false, 0);
        assert_held(0, text, false);
        assert_string_equal(problem.text, "");
    }
    assert_int_equal(held.count, CRL_COPIES_MAX);
    assert_held(1, "513", true);
    assert_held(CRL_COPIES_MAX - 1, "3", true); /* the oldest went */
}

/* Whatever else is written over as often. */
static void the_last_good_copy_of_a_file_is_not_let_go_for_want_of_room(void **state)
{
    char text[16], *other = path;

    (void)state;
    assert_true(asprintf(&path, "%s/gone", folder) > 0);
    lay_over("last");
    look(false, 0);
    assert_int_equal(unlink(path), 0);
    free(path);
    path = other;
    for (int i = 0; i < CRL_COPIES_MAX + 3; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        lay_over(text);
        look(false, 0);
    }
    assert_held(0, text, false);
    assert_held(1, "513", true);
    assert_held(2, "last", true);
}

static void copies_that_are_large_make_room_for_what_comes(void **state)
{
    enum { FITTING = CRL_COPIES_OCTETS_MAX / CRL_FILE_OCTETS_MAX };

    (void)state;
    for (int i = 0; i < FITTING + 2; i++) {
        const char text[] = {(char)('a' + i), '\0'};

        lay_over(text);
        assert_int_equal(truncate(path, CRL_FILE_OCTETS_MAX), 0);
        look(true, 0);
        assert_string_equal(problem.text, "");
        assert_int_equal(held.files[0]->data[0], text[0]);
    }
    assert_int_equal(held.count, FITTING);
}

static void a_flaw_is_remembered_until_the_file_changes_or_its_time_is_over(void **state)
{
    (void)state;
    lay_over("one");
    look(false, 0);
    CrlFile *file = settled(0);
    memcpy(file->flaw.text, "bad", sizeof("bad"));
    look(false, 0);
    assert_ptr_equal(held.files[0], file);
    file->flaw_until = LATER_USEC;
    look(false, LATER_USEC - 1);
    assert_ptr_equal(held.files[0], file);
    look(false, LATER_USEC);
    assert_int_equal(held.count, 1); /* what had a flaw is not kept */
    assert_held(0, "one", false);
    assert_string_equal(held.files[0]->flaw.text, "");
    memcpy(held.files[0]->flaw.text, "bad", sizeof("bad"));
    lay_over("better");
    look(false, 0);
    assert_int_equal(held.count, 1);
    assert_held(0, "better", false);
    assert_string_equal(held.files[0]->flaw.text, "");
}

/* Those with a flaw count for nothing: nobody was handed them. */
static void two_lots_are_equal_if_each_has_all_of_the_other_that_is_sound(void **state)
{
    CrlFiles none = {0}, one = {0}, other = {0}, both = {0};

    (void)state;
    lay_over("one");
    look(false, 0);
    lay_over("two");
    look(true, 0);
    assert_int_equal(held.count, 2);
    assert_true(crl_files_add(&one, held.files[0]) && crl_files_add(&other, held.files[1]));
    assert_true(crl_files_add(&both, held.files[1]) && crl_files_add(&both, held.files[0]));
    assert_true(crl_files_equal(&none, &none));
    assert_true(crl_files_equal(&one, &one));
    assert_true(crl_files_equal(&held, &both)); /* in any order */
    assert_false(crl_files_equal(&one, &none));
    assert_false(crl_files_equal(&none, &one));
    assert_false(crl_files_equal(&one, &other));
    assert_false(crl_files_equal(&one, &both));
    assert_false(crl_files_equal(&both, &one));
    memcpy(held.files[1]->flaw.text, "bad", sizeof("bad"));
    assert_true(crl_files_equal(&one, &both));
    assert_true(crl_files_equal(&both, &one));
    assert_true(crl_files_equal(&none, &other));
    crl_files_deinit(&one);
    crl_files_deinit(&other);
    crl_files_deinit(&both);
}

/* Each of them may be all that is known of an issuer. */
static void what_is_gone_and_does_not_fit_beside_what_has_come_leaves_all_as_it_was(void **state)
{
    enum { FITTING = CRL_COPIES_OCTETS_MAX / CRL_FILE_OCTETS_MAX };
    char *gone[FITTING], *other = path;

    (void)state;
    for (size_t i = 0; i < FITTING; i++) {
        assert_true(asprintf(&gone[i], "%s/%zu", folder, i) > 0);
        path = gone[i];
        lay_over("x");
        assert_int_equal(truncate(path, CRL_FILE_OCTETS_MAX), 0);
    }
    look(false, 0);
    assert_int_equal(held.count, FITTING);
    assert_string_equal(problem.text, "");
    path = other;
    lay_over("new");
    for (size_t i = 0; i < FITTING; i++) {
        assert_int_equal(unlink(gone[i]), 0);
        free(gone[i]);
    }
    look(false, 0);
    assert_int_equal(held.count, FITTING);
    assert_non_null(strstr(problem.text, "more CRLs than are looked at"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_has_not_changed_is_not_read_again),
        TEST(a_file_that_was_written_over_is_read_again),
        TEST(a_file_that_changed_a_moment_ago_is_read_again_whatever_its_times),
        TEST(the_same_octets_under_new_times_are_the_same_copy),
        TEST(a_look_without_a_descriptor_left_loses_nothing_and_the_next_reads),
        TEST(a_file_that_the_system_says_nothing_of_is_told),
        TEST(without_memory_for_a_file_there_is_no_look),
        TEST(a_change_is_settled_after_more_than_two_seconds),
        TEST(a_copy_is_held_once_and_goes_with_who_holds_it_last),
        TEST(no_more_copies_are_held_than_can_be),
        TEST(that_a_list_can_not_be_used_is_told_once_and_so_is_that_it_can),
        TEST(a_folder_in_the_place_of_a_file_is_told),
        TEST(a_link_to_nothing_is_told),
        TEST(a_file_that_is_too_large_is_told),
        TEST(a_file_that_is_gone_is_kept_without_a_word),
        TEST(a_file_that_goes_once_it_was_listed_is_gone_without_a_word),
        TEST(a_257th_file_leaves_all_as_it_was),
        TEST(two_lots_are_equal_if_each_has_all_of_the_other_that_is_sound),
        TEST(a_file_that_is_written_over_ever_and_again_is_read_each_time),
        TEST(the_last_good_copy_of_a_file_is_not_let_go_for_want_of_room),
        TEST(copies_that_are_large_make_room_for_what_comes),
        TEST(a_flaw_is_remembered_until_the_file_changes_or_its_time_is_over),
        TEST(what_is_gone_and_does_not_fit_beside_what_has_come_leaves_all_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

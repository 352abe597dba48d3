/* Does each thing worth saying become one line, and nothing else? */
#include "base/log.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/listen.h"

static char lines[LISTEN_SIZE];

static int outside_of_journal(void **state)
{
    (void)state;
    log_set_level(LOG_INFO);
    return unsetenv("JOURNAL_STREAM");
}

static void say_at_all_levels(void)
{
    log_error("error %d", 1);
    log_warning("warning %s", "2");
    log_notice("notice");
    log_info("info");
    log_debug("debug");
}

static void lines_above_the_level_are_dropped(void **state)
{
    (void)state;
    listen_to(say_at_all_levels, lines);
    assert_string_equal(lines, "error 1\nwarning 2\nnotice\ninfo\n");
    log_set_level(LOG_ERR);
    listen_to(say_at_all_levels, lines);
    assert_string_equal(lines, "error 1\n");
    log_set_level(LOG_DEBUG);
    listen_to(say_at_all_levels, lines);
    assert_string_equal(lines, "error 1\nwarning 2\nnotice\ninfo\ndebug\n");
}

/* $JOURNAL_STREAM, as systemd sets it, for what standard error is; with another device or inode. */
static void name_standard_error(uint64_t other_device, uint64_t other_inode)
{
    struct stat status;
    char stream[64];

    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    (void)snprintf(stream, sizeof(stream), "%" PRIu64 ":%" PRIu64,
                   (uint64_t)status.st_dev + other_device, (uint64_t)status.st_ino + other_inode);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void say_to_the_journal(void)
{
    name_standard_error(0, 0);
    say_at_all_levels();
}

static void say_elsewhere(void)
{
    name_standard_error(0, 1);
    log_error("another inode");
    name_standard_error(1, 0);
    log_error("another device");
    assert_int_equal(setenv("JOURNAL_STREAM", "", 1), 0);
    log_error("nothing");
    name_standard_error(0, 0);
    char longer[64];
    (void)snprintf(longer, sizeof(longer), "%s.", getenv("JOURNAL_STREAM"));
    assert_int_equal(setenv("JOURNAL_STREAM", longer, 1), 0);
    log_error("more");
}

static void the_journal_gets_the_priority(void **state)
{
    (void)state;
    listen_to(say_to_the_journal, lines);
    assert_string_equal(lines, "<3>error 1\n<4>warning 2\n<5>notice\n<6>info\n");
}

static void what_is_redirected_out_of_a_unit_has_no_priority(void **state)
{
    (void)state;
    listen_to(say_elsewhere, lines);
    assert_string_equal(lines, "another inode\nanother device\nnothing\nmore\n");
}

static void say_foreign_text(void)
{
    log_info("peer says %s", "x\n<0>forged\x1b[2J");
}

static void foreign_text_cannot_forge_a_line(void **state)
{
    (void)state;
    listen_to(say_foreign_text, lines);
    assert_string_equal(lines, "peer says x?<0>forged?[2J\n");
}

static void say_as_much_as_fits(void)
{
    log_info("%02047d", 0);
}

static void say_too_much(void)
{
    log_info("%02048d", 0);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    listen_to(say_as_much_as_fits, lines);
    assert_int_equal(strlen(lines), 2047 + strlen("\n"));
    listen_to(say_too_much, lines);
    assert_int_equal(strlen(lines), 2047 + strlen("...\n"));
    assert_non_null(strstr(lines, "0...\n"));
}

static void say_with_errno(void)
{
    errno = EXDEV;
    log_info("x");
    assert_int_equal(errno, EXDEV);
}

static void errno_is_left_alone(void **state)
{
    (void)state;
    listen_to(say_with_errno, lines);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_from_name("error"), LOG_ERR);
    assert_int_equal(log_level_from_name("warning"), LOG_WARNING);
    assert_int_equal(log_level_from_name("notice"), LOG_NOTICE);
    assert_int_equal(log_level_from_name("info"), LOG_INFO);
    assert_int_equal(log_level_from_name("debug"), LOG_DEBUG);
    assert_int_equal(log_level_from_name("loud"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_above_the_level_are_dropped, outside_of_journal),
        cmocka_unit_test_setup(the_journal_gets_the_priority, outside_of_journal),
        cmocka_unit_test_setup(what_is_redirected_out_of_a_unit_has_no_priority,
                               outside_of_journal),
        cmocka_unit_test_setup(foreign_text_cannot_forge_a_line, outside_of_journal),
        cmocka_unit_test_setup(a_long_line_is_cut_and_says_so, outside_of_journal),
        cmocka_unit_test_setup(errno_is_left_alone, outside_of_journal),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

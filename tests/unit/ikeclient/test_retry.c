/* A process goes on counting failed attempts where the one before it was, whatever it left behind;
 * damage does no harm. */
#include "ikeclient/retry.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "ikeclient/pacing.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SEC UINT64_C(1000000)

typedef struct Fixture {
    sd_event *event;
    Config config;
    Retry retry;
    char folder[TEMPORARY_PATH_SIZE], file[TEMPORARY_PATH_SIZE + 16];
} Fixture;

static Fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    log_set_level(LOG_CRIT);
    f.config = (Config){.name = CONNECTION_DEFAULT, .retry_max = 300};
    temporary_path("retry", f.folder);
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(f.file, sizeof(f.file), "%s/failures", f.folder);
    assert_true(sd_event_new(&f.event) >= 0);
    retry_init(&f.retry, f.event, &f.config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    retry_deinit(&f.retry);
    sd_event_unref(f.event);
    (void)unlink(f.file);
    (void)rmdir(f.folder);
    return 0;
}

static void fail_times(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        retry_failed(&f.retry);
    retry_save(&f.retry);
}

/* Another process takes up what this one has left. */
static void restart(void)
{
    retry_deinit(&f.retry);
    retry_init(&f.retry, f.event, &f.config);
    assert_int_equal(retry_remember(&f.retry, f.folder), 0);
}

static uint64_t left(void)
{
    uint64_t now;

    assert_true(sd_event_now(f.event, CLOCK_MONOTONIC, &now) >= 0);
    return f.retry.not_before > now ? f.retry.not_before - now : 0;
}

static void failures_survive_a_restart_with_what_is_left_of_the_wait(void **state)
{
    (void)state;
    restart();
    assert_int_equal(f.retry.failures, 0);
    do {
        fail_times(1);
    } while (left() < 2 * SEC);
    unsigned failures = f.retry.failures;
    uint64_t before = left();
    restart();
    assert_int_equal(f.retry.failures, failures);
    assert_true(left() > 0 && left() <= before + 2 * SEC); /* in whole seconds, rounded up */
}

/* Or many that failed at once would come back at once. */
static void the_wait_after_a_failure_is_by_chance(void **state)
{
    enum { DRAWS = 8, FAILURES = 8, SECOND = 1000 * 1000 };
    uint64_t first = UINT64_MAX, last = 0;

    (void)state;
    restart();
    for (int i = 0; i < DRAWS; i++) {
        f.retry.failures = FAILURES;
        retry_failed(&f.retry);
        if (f.retry.not_before < first)
            first = f.retry.not_before;
        if (f.retry.not_before > last)
            last = f.retry.not_before;
    }
    assert_true(last - first > SECOND); /* of some minutes: less happens once in 10^15 times */
}

static ssize_t random_says = 1; /* what getrandom() does, and fills nothing; 1: all that it does */
ssize_t __real_getrandom(void *ret, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *ret, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *ret, size_t size, unsigned flags)
{
    return random_says == 1 ? __real_getrandom(ret, size, flags) : random_says;
}

/* None, or half of one. */
static void without_a_random_number_the_wait_is_the_longest(void **state)
{
    static const ssize_t says[] = {-1, 2};
    enum { FAILURES = 4 };

    (void)state;
    restart();
    for (size_t i = 0; i < ELEMENTS(says); i++) {
        const uint64_t wait = backoff_ms(FAILURES, f.config.retry_max * 1000, UINT32_MAX) * 1000;
        uint64_t before, after;
        f.retry.failures = FAILURES;
        assert_true(sd_event_now(f.event, CLOCK_MONOTONIC, &before) >= 0);
        random_says = says[i];
        retry_failed(&f.retry);
        random_says = 1;
        assert_true(sd_event_now(f.event, CLOCK_MONOTONIC, &after) >= 0);
        assert_in_range(f.retry.not_before, before + wait, after + wait);
    }
}

static void a_success_is_remembered_as_well(void **state)
{
    (void)state;
    restart();
    fail_times(5);
    retry_succeeded(&f.retry);
    retry_save(&f.retry);
    restart();
    assert_int_equal(f.retry.failures, 0);
    assert_int_equal(left(), 0);
}

static void a_file_that_says_what_is_there_is_not_written_again(void **state)
{
    (void)state;
    restart();
    fail_times(1);
    assert_int_equal(unlink(f.file), 0);
    retry_save(&f.retry);
    assert_int_not_equal(access(f.file, F_OK), 0);
    retry_succeeded(&f.retry);
    retry_succeeded(&f.retry);
    retry_save(&f.retry);
    assert_int_equal(access(f.file, F_OK), 0);
}

static void a_damaged_file_counts_for_none_and_is_replaced(void **state)
{
    BackoffRecord record;
    (void)state;

    restart();
    fail_times(5);
    assert_int_equal(truncate(f.file, 11), 0);
    restart();
    assert_int_equal(f.retry.failures, 0);
    assert_int_equal(left(), 0);
    retry_save(&f.retry);
    assert_int_equal(backoff_load(f.file, &record), 0);
    assert_int_equal(record.failures, 0);
}

static void what_is_no_file_does_no_harm(void **state)
{
    (void)state;
    assert_int_equal(mkdir(f.file, 0700), 0);
    restart();
    fail_times(3);
    assert_int_equal(f.retry.failures, 3);
    assert_int_equal(rmdir(f.file), 0);
}

static void without_a_folder_failures_are_counted_all_the_same(void **state)
{
    (void)state;
    fail_times(3);
    assert_int_equal(f.retry.failures, 3);
    assert_true(left() <= 4 * SEC);
}

/* ---- the file's text ---- */

enum { MOST = 300000 };

static Bytes text_of(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static void what_is_written_is_read(void **state)
{
    const BackoffRecord records[] = {
        {0, 0, 0},
        {7, 1795713513, 1795713600},
        {64, UINT64_C(9999999999999999998), UINT64_C(9999999999999999999)}};
    char text[BACKOFF_TEXT_SIZE];
    BackoffRecord read;
    (void)state;

    for (size_t i = 0; i < ELEMENTS(records); i++) {
        size_t size = backoff_format(&records[i], text);
        assert_int_equal(backoff_parse((Bytes){(uint8_t *)text, size}, &read), 0);
        assert_int_equal(read.failures, records[i].failures);
        assert_int_equal(read.saved, records[i].saved);
        assert_int_equal(read.until, records[i].until);
    }
}

static void damaged_text_says_nothing(void **state)
{
    static const char *const damaged[] = {"",
                                          "\n",
                                          "failures 1\n",
                                          "failures 1\nsaved 1\n",
                                          "failures 65\nsaved 1\nuntil 2\n",
                                          "failures 1\nsaved 3\nuntil 2\n",
                                          "failures 1\nsaved 1\nuntil 2\nmore 3\n",
                                          "failures 1\nsaved 1\nuntil 2",
                                          "failures 1\nsaved 1\nuntil 2\n\n",
                                          "failures -1\nsaved 1\nuntil 2\n",
                                          "failures 1\nsaved 1\nuntil 99999999999999999999\n",
                                          "failures 01\nsaved 1\nuntil 2\n",
                                          "Failures 1\nsaved 1\nuntil 2\n",
                                          "failures  1\nsaved 1\nuntil 2\n",
                                          "failures \nsaved 1\nuntil 2\n"};
    BackoffRecord read = {9, 9, 9};
    (void)state;

    for (size_t i = 0; i < ELEMENTS(damaged); i++) {
        assert_int_equal(backoff_parse(text_of(damaged[i]), &read), -EBADMSG);
        assert_int_equal(read.failures, 0);
    }
}

static void
each_octet_that_flips_or_is_cut_off_is_noticed_or_gives_a_record_within_bounds(void **state)
{
    const BackoffRecord record = {7, 1795713513, 1795713600};
    char text[BACKOFF_TEXT_SIZE];
    BackoffRecord read;
    (void)state;

    size_t size = backoff_format(&record, text);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(backoff_parse((Bytes){(uint8_t *)text, i}, &read), -EBADMSG);
        for (unsigned bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            if (backoff_parse((Bytes){(uint8_t *)text, size}, &read) == 0)
                assert_true(backoff_left_ms(&read, 0, MOST) <= MOST);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
}

/* ---- what is left of a wait ---- */

static void what_is_left_of_a_wait_is_waited(void **state)
{
    const BackoffRecord record = {3, 1000, 1100};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 1000, MOST), 100000);
    assert_int_equal(backoff_left_ms(&record, 1060, MOST), 40000);
    assert_int_equal(backoff_left_ms(&record, 1100, MOST), 0);
    assert_int_equal(backoff_left_ms(&record, 9999, MOST), 0);
}

static void a_clock_that_is_behind_brings_the_whole_wait_and_no_more(void **state)
{
    const BackoffRecord record = {3, 1000, 1100}, far = {3, 1000, 1000000};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 0, MOST), 100000);
    assert_int_equal(backoff_left_ms(&far, 0, MOST), MOST);
    assert_int_equal(backoff_left_ms(&far, 1001, MOST), MOST);
}

static void without_failures_nothing_is_waited_for(void **state)
{
    const BackoffRecord record = {0, 1000, 1100};
    (void)state;

    assert_int_equal(backoff_left_ms(&record, 1000, MOST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failures_survive_a_restart_with_what_is_left_of_the_wait,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_wait_after_a_failure_is_by_chance, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_random_number_the_wait_is_the_longest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_success_is_remembered_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_says_what_is_there_is_not_written_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_counts_for_none_and_is_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_does_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_folder_failures_are_counted_all_the_same, setup,
                                        teardown),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damaged_text_says_nothing),
        cmocka_unit_test(
            each_octet_that_flips_or_is_cut_off_is_noticed_or_gives_a_record_within_bounds),
        cmocka_unit_test(what_is_left_of_a_wait_is_waited),
        cmocka_unit_test(a_clock_that_is_behind_brings_the_whole_wait_and_no_more),
        cmocka_unit_test(without_failures_nothing_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

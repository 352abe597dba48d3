/* A process goes on counting failed attempts where the one before it was, whatever it left behind.
 */
#include "ikeclient/retry.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "ikeclient/backoff_file.h"
#include "tests/unit/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failures_survive_a_restart_with_what_is_left_of_the_wait),
        TEST(a_success_is_remembered_as_well),
        TEST(a_file_that_says_what_is_there_is_not_written_again),
        TEST(a_damaged_file_counts_for_none_and_is_replaced),
        TEST(what_is_no_file_does_no_harm),
        TEST(without_a_folder_failures_are_counted_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

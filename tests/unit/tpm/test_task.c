/* Tasks wait for the TPM and for times without blocking the event loop, in their order, and end
 * once, cancelled or not. The TPM is a thread of the test's own that does as it is told. */
#include "tpm/open.h"
#include "tpm/task.h"

#include "base/monotonic.h"
#include "base/reason.h"
#include "swtpm_fixture.h"
#include "tpm_commands.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { RESULTS_MAX = 8, NOTES_MAX = 64, PATIENCE_US = 20 * 1000 * 1000 };

static struct {
    sd_event *event;
    TpmLoop *loop;
    char notes[NOTES_MAX]; /* who did something, in the order of doing */
    size_t n_notes;
} stage;

/* One task, and what came of it. */
typedef struct Item {
    char letter;
    bool stays;
    unsigned jobs;      /* that it has the thread do, one after the other */
    unsigned job_ms;    /* how long each takes */
    unsigned sleep_ms;  /* after the jobs */
    sem_t *gate;        /* opened by the test; each job waits there */
    struct Item *child; /* started at the beginning */
    struct Item *heir;  /* started when it is done */
    TpmTask *task;
    int results[RESULTS_MAX];
    unsigned n_results;
    unsigned n_done;
} Item;

static int setup(void **state)
{
    (void)state;
    memset(&stage, 0, sizeof(stage));
    return sd_event_new(&stage.event) < 0 || tpm_loop_new(stage.event, &stage.loop) < 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!tpm_loop_free(stage.loop, 0))
        return -1;
    (void)sd_event_unref(stage.event);
    return 0;
}

static void note(char letter)
{
    assert_true(stage.n_notes + 1 < NOTES_MAX);
    stage.notes[stage.n_notes++] = letter;
}

static void pause_ms(unsigned milliseconds)
{
    const struct timespec time = {.tv_nsec = (long)milliseconds * 1000000};

    (void)nanosleep(&time, NULL);
}

/* In the thread. */
static void item_job(void *userdata)
{
    const Item *item = userdata;

    if (item->gate)
        (void)sem_wait(item->gate);
    pause_ms(item->job_ms);
    note(item->letter);
}

static void result_take(Item *item, int r)
{
    assert_true(item->n_results < RESULTS_MAX);
    item->results[item->n_results++] = r;
}

static void item_start(Item *item, TpmPriority priority);

static void item_work(void *userdata)
{
    Item *item = userdata;

    if (item->child) {
        item_start(item->child, TPM_BACKGROUND);
        note(item->letter);
    }
    for (unsigned i = 0; i < item->jobs; i++)
        result_take(item, tpm_loop_run(stage.loop, item_job, item, item->stays));
    if (item->sleep_ms > 0)
        result_take(item, tpm_loop_sleep(stage.loop, item->sleep_ms));
}

static void item_done(void *userdata)
{
    Item *item = userdata;

    item->n_done++;
    item->task = NULL;
    if (item->heir)
        item_start(item->heir, TPM_BACKGROUND);
}

static void item_start(Item *item, TpmPriority priority)
{
    TpmTask *task = NULL;

    assert_int_equal(tpm_task_start(stage.loop, priority, item_work, item_done, item, &task), 0);
    if (item->n_done == 0)
        item->task = task;
}

/* Has the event loop run until `item` is done. */
static void wait_for(const Item *item)
{
    while (item->n_done == 0)
        assert_true(sd_event_run(stage.event, PATIENCE_US) > 0);
}

static void assert_results(const Item *item, const int *expected, unsigned count)
{
    assert_int_equal(item->n_done, 1);
    assert_int_equal(item->n_results, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(item->results[i], expected[i]);
}

static void a_task_that_never_waits_is_done_at_once(void **state)
{
    Item item = {.letter = 'a'};

    (void)state;
    item_start(&item, TPM_URGENT);
    assert_int_equal(item.n_done, 1);
}

static void a_task_goes_on_when_its_job_is_done(void **state)
{
    Item item = {.letter = 'a', .jobs = 3};

    (void)state;
    item_start(&item, TPM_URGENT);
    assert_int_equal(item.n_done, 0);
    wait_for(&item);
    assert_results(&item, (const int[]){0, 0, 0}, 3);
    assert_string_equal(stage.notes, "aaa");
}

static void jobs_are_served_by_priority_and_then_in_order(void **state)
{
    sem_t gate;
    Item first = {.letter = 'f', .jobs = 1, .gate = &gate};
    Item items[] = {
        {.letter = '1', .jobs = 1}, {.letter = '2', .jobs = 1}, {.letter = '3', .jobs = 1},
        {.letter = 'A', .jobs = 1}, {.letter = 'B', .jobs = 1}, {.letter = 'C', .jobs = 1},
    };
    static const TpmPriority priorities[] = {
        TPM_BACKGROUND, TPM_BACKGROUND, TPM_BACKGROUND, TPM_URGENT, TPM_URGENT, TPM_URGENT,
    };

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&first, TPM_BACKGROUND);
    for (size_t i = 0; i < ELEMENTS(items); i++)
        item_start(&items[i], priorities[i]);
    assert_int_equal(sem_post(&gate), 0);
    for (size_t i = 0; i < ELEMENTS(items); i++)
        wait_for(&items[i]);
    assert_string_equal(stage.notes, "fABC123");
    (void)sem_destroy(&gate);
}

static void what_is_urgent_goes_ahead_between_two_jobs_of_long_tasks(void **state)
{
    sem_t gate;
    Item reload = {.letter = 'r', .jobs = 3, .gate = &gate};
    Item anchors = {.letter = 'a', .jobs = 2};
    Item signature = {.letter = 'S', .jobs = 1};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&reload, TPM_BACKGROUND);
    item_start(&anchors, TPM_BACKGROUND);
    item_start(&signature, TPM_URGENT);
    for (unsigned i = 0; i < reload.jobs; i++)
        assert_int_equal(sem_post(&gate), 0);
    wait_for(&reload);
    wait_for(&anchors);
    assert_string_equal(stage.notes, "rSarar");
    assert_int_equal(signature.n_done, 1);
    (void)sem_destroy(&gate);
}

/* Two long tasks of one priority take turns: each job stands in the queue anew. */
static void two_tasks_of_one_priority_take_turns(void **state)
{
    sem_t gate;
    Item one = {.letter = '1', .jobs = 3, .gate = &gate};
    Item two = {.letter = '2', .jobs = 3};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&one, TPM_BACKGROUND);
    item_start(&two, TPM_BACKGROUND);
    for (unsigned i = 0; i < one.jobs; i++)
        assert_int_equal(sem_post(&gate), 0);
    wait_for(&one);
    wait_for(&two);
    assert_string_equal(stage.notes, "121212");
    (void)sem_destroy(&gate);
}

static void a_task_cancelled_in_the_queue_asks_for_nothing(void **state)
{
    sem_t gate;
    Item first = {.letter = 'f', .jobs = 1, .gate = &gate};
    Item gone = {.letter = 'g', .jobs = 2};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&first, TPM_BACKGROUND);
    item_start(&gone, TPM_URGENT);
    tpm_task_cancel(gone.task);
    wait_for(&gone); /* while the thread is still in use */
    assert_int_equal(first.n_done, 0);
    assert_int_equal(sem_post(&gate), 0);
    wait_for(&first);
    assert_results(&gone, (const int[]){-ECANCELED, -ECANCELED}, 2);
    assert_string_equal(stage.notes, "f");
    (void)sem_destroy(&gate);
}

static void a_task_cancelled_while_it_is_served_waits_for_that_alone(void **state)
{
    sem_t gate;
    Item item = {.letter = 'a', .jobs = 3, .gate = &gate};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&item, TPM_URGENT);
    tpm_task_cancel(item.task);
    assert_int_equal(item.n_done, 0);
    assert_int_equal(sem_post(&gate), 0);
    wait_for(&item);
    assert_results(&item, (const int[]){0, -ECANCELED, -ECANCELED}, 3);
    assert_string_equal(stage.notes, "a");
    (void)sem_destroy(&gate);
}

static void tasks_cancelled_in_their_sleep_wake(void **state)
{
    Item items[3] = {
        {.sleep_ms = 3600 * 1000}, {.sleep_ms = 3600 * 1000}, {.sleep_ms = 3600 * 1000}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(items); i++)
        item_start(&items[i], TPM_BACKGROUND);
    for (size_t i = 0; i < ELEMENTS(items); i++) {
        assert_int_equal(items[i].n_done, 0);
        tpm_task_cancel(items[i].task);
    }
    for (size_t i = 0; i < ELEMENTS(items); i++) {
        wait_for(&items[i]);
        assert_results(&items[i], (const int[]){-ECANCELED}, 1);
    }
}

/* As TPM2_FlushContext: what was taken of the TPM is given back. */
static void a_job_that_stays_is_done_though_its_task_was_cancelled(void **state)
{
    sem_t gate;
    Item first = {.letter = 'f', .jobs = 1, .gate = &gate};
    Item flush = {.letter = 'x', .jobs = 2, .stays = true, .sleep_ms = 3600 * 1000};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&first, TPM_BACKGROUND);
    item_start(&flush, TPM_BACKGROUND);
    tpm_task_cancel(flush.task);
    assert_int_equal(sem_post(&gate), 0);
    wait_for(&flush);
    assert_results(&flush, (const int[]){0, 0, -ECANCELED}, 3);
    assert_string_equal(stage.notes, "fxx");
    (void)sem_destroy(&gate);
}

static void a_task_sleeps_while_others_go_on(void **state)
{
    const uint64_t begun = monotonic_ms();
    Item sleeper = {.letter = 's', .sleep_ms = 100};
    Item other = {.letter = 'o', .jobs = 5};

    (void)state;
    item_start(&sleeper, TPM_URGENT);
    item_start(&other, TPM_BACKGROUND);
    wait_for(&other);
    assert_int_equal(sleeper.n_done, 0);
    wait_for(&sleeper);
    assert_results(&sleeper, (const int[]){0}, 1);
    assert_true(monotonic_ms() - begun >= 100);
}

static bool has_no_timer;
int __real_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t callback, void *userdata)
{
    return has_no_timer ? -ENOMEM
                        : __real_sd_event_add_time_relative(event, ret, clock, usec, accuracy,
                                                            callback, userdata);
}

/* What the thread is made of, and cannot be had. */
static struct {
    bool attributes, thread, descriptor;
} lacks;

int __real_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_attr_init(pthread_attr_t *attributes)
{
    return lacks.attributes ? ENOMEM : __real_pthread_attr_init(attributes);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *argument), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *argument), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *argument), void *argument)
{
    return lacks.thread ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    if (!lacks.descriptor)
        return __real_eventfd(value, flags);
    errno = EMFILE;
    return -1;
}

static int descriptor_next(void)
{
    const int fd = dup(STDIN_FILENO);

    assert_true(fd >= 0);
    (void)close(fd);
    return fd;
}

static void without_a_thread_there_is_no_loop_and_nothing_is_kept(void **state)
{
    static const int errors[] = {-ENOMEM, -EAGAIN, -EMFILE};
    const int next = descriptor_next();
    sigset_t before, after;

    (void)state;
    memset(&before, 0, sizeof(before)); /* of which the kernel fills a part */
    memset(&after, 0, sizeof(after));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        TpmLoop *loop = NULL;

        lacks.attributes = i == 0;
        lacks.thread = i == 1;
        lacks.descriptor = i == 2;
        assert_int_equal(tpm_loop_new(stage.event, &loop), errors[i]);
        memset(&lacks, 0, sizeof(lacks));
        assert_null(loop);
        assert_int_equal(descriptor_next(), next);
        (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
        assert_memory_equal(&after, &before, sizeof(before));
    }
}

static void a_task_that_gets_no_timer_does_not_sleep(void **state)
{
    Item sleeper = {.letter = 's', .sleep_ms = 100};

    (void)state;
    has_no_timer = true;
    item_start(&sleeper, TPM_URGENT);
    has_no_timer = false;
    assert_results(&sleeper, (const int[]){-ENOMEM}, 1);
}

static void a_task_started_by_another_begins_soon_after(void **state)
{
    Item child = {.letter = 'c', .jobs = 1};
    Item parent = {.letter = 'p', .child = &child, .jobs = 1};

    (void)state;
    item_start(&parent, TPM_BACKGROUND);
    wait_for(&child);
    wait_for(&parent);
    /* It noted, queued its own job, and only then did the other begin. */
    assert_string_equal(stage.notes, "ppc");
    assert_int_equal(child.n_done, 1);
}

static void a_task_that_is_done_may_be_followed_by_another(void **state)
{
    Item heir = {.letter = 'h', .jobs = 1};
    Item item = {.letter = 'a', .jobs = 1, .heir = &heir};

    (void)state;
    item_start(&item, TPM_BACKGROUND);
    wait_for(&heir);
    assert_string_equal(stage.notes, "ah");
    assert_int_equal(item.n_done, 1);
}

static void the_end_of_the_loop_cancels_all_tasks_and_waits_for_them(void **state)
{
    Item served = {.letter = 'a', .jobs = 2, .job_ms = 50};
    Item queued = {.letter = 'b', .jobs = 2};
    Item flushing = {.letter = 'c', .jobs = 1, .stays = true};
    Item sleeping = {.letter = 'd', .sleep_ms = 3600 * 1000};

    (void)state;
    item_start(&served, TPM_URGENT);
    item_start(&queued, TPM_URGENT);
    item_start(&flushing, TPM_BACKGROUND);
    item_start(&sleeping, TPM_BACKGROUND);
    assert_true(tpm_loop_free(stage.loop, PATIENCE_US / 1000));
    stage.loop = NULL;
    assert_results(&served, (const int[]){0, -ECANCELED}, 2);
    assert_results(&queued, (const int[]){-ECANCELED, -ECANCELED}, 2);
    assert_results(&flushing, (const int[]){0}, 1);
    assert_results(&sleeping, (const int[]){-ECANCELED}, 1);
    assert_string_equal(stage.notes, "ac");
}

static void the_end_of_the_loop_does_not_wait_for_a_tpm_that_is_stuck(void **state)
{
    static TpmLoop *left; /* as it is; static, so that it counts as reachable */
    static sem_t gate;
    static Item stuck = {.letter = 'a', .jobs = 1, .gate = &gate};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    item_start(&stuck, TPM_URGENT);
    left = stage.loop;
    assert_false(tpm_loop_free(left, 20));
    stage.loop = NULL;
    assert_int_equal(stuck.n_done, 0);
    assert_int_equal(sem_post(&gate), 0);
    while (stage.n_notes == 0) /* so that the next test is alone */
        pause_ms(1);
}

static void outside_of_a_task_a_job_is_waited_for_here_unless_the_thread_is_in_use(void **state)
{
    sem_t gate;
    Item item = {.letter = 'a', .jobs = 1, .gate = &gate};
    Item here = {.letter = 'h'};

    (void)state;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(tpm_loop_run(NULL, item_job, &here, false), 0);
    assert_int_equal(tpm_loop_run(stage.loop, item_job, &here, false), 0);
    assert_string_equal(stage.notes, "hh");
    item_start(&item, TPM_URGENT);
    assert_int_equal(tpm_loop_run(stage.loop, item_job, &here, false), -EBUSY);
    assert_int_equal(tpm_loop_sleep(stage.loop, 1), 0);
    assert_int_equal(tpm_loop_sleep(NULL, 1), 0);
    assert_int_equal(sem_post(&gate), 0);
    wait_for(&item);
    assert_string_equal(stage.notes, "hha");
    (void)sem_destroy(&gate);
}

/* One that it took would be lost to the loop's signalfd. */
static void mask_look(void *userdata)
{
    sigset_t *mask = userdata;

    (void)pthread_sigmask(SIG_BLOCK, NULL, mask);
}

static void masked_work(void *userdata)
{
    assert_int_equal(tpm_loop_run(stage.loop, mask_look, userdata, false), 0);
    note('m');
}

static void masked_done(void *userdata)
{
    (void)userdata;
}

static void the_thread_takes_no_signals(void **state)
{
    sigset_t mask;

    (void)state;
    (void)sigemptyset(&mask);
    assert_int_equal(tpm_task_start(stage.loop, TPM_URGENT, masked_work, masked_done, &mask, NULL),
                     0);
    while (stage.n_notes == 0)
        assert_true(sd_event_run(stage.event, PATIENCE_US) > 0);
    assert_int_equal(sigismember(&mask, SIGTERM), 1);
    assert_int_equal(sigismember(&mask, SIGCHLD), 1);
    assert_int_equal(sigismember(&mask, SIGUSR1), 1);
}

/* A whole TPM, opened and used in a task that is cancelled in the middle. */
typedef struct TpmUse {
    Swtpm swtpm;
    TpmTask *task;
    Reason reason;
    int opened;
    TSS2_RC started, random, random_canceled, flushed;
    unsigned sessions;
    unsigned n_done;
} TpmUse;

static void tpm_use(void *userdata)
{
    static const TPM2B_NONCE nonce = {.size = TPM_HASH_SIZE};
    static const TPM2B_ENCRYPTED_SECRET no_salt = {0};
    TpmUse *use = userdata;
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    TPM2_HANDLE session = TPM_NO_HANDLE;
    TPM2B_NONCE nonce_tpm = {0};
    TPM2B_DIGEST octets = {0};

    use->opened = tpm_open_in_loop(use->swtpm.tcti, stage.loop, &tpm, &use->reason);
    if (use->opened < 0)
        return;
    use->started =
        tpm2_start_auth_session(tpm, NULL, &nonce, &no_salt, TPM2_SE_HMAC, &session, &nonce_tpm);
    use->random = tpm2_get_random(tpm, 8, &octets);
    tpm_task_cancel(use->task);
    use->random_canceled = tpm2_get_random(tpm, 8, &octets);
    use->flushed = tpm2_flush_context(tpm, session);
}

static void tpm_use_done(void *userdata)
{
    TpmUse *use = userdata;

    use->n_done++;
}

static void a_cancelled_task_gives_no_command_but_flushes(void **state)
{
    TpmUse use = {.opened = -1};
    Tpm *tpm = NULL;

    (void)state;
    assert_int_equal(swtpm_start(&use.swtpm), 0);
    assert_int_equal(tpm_task_start(stage.loop, TPM_URGENT, tpm_use, tpm_use_done, &use, &use.task),
                     0);
    assert_int_equal(use.n_done, 0);
    while (use.n_done == 0)
        assert_true(sd_event_run(stage.event, PATIENCE_US) > 0);
    if (use.opened < 0)
        fail_msg("%s", use.reason.text);
    assert_int_equal(use.started, TSS2_RC_SUCCESS);
    assert_int_equal(use.random, TSS2_RC_SUCCESS);
    assert_int_equal(use.random_canceled, TPM2_RC_CANCELED);
    assert_int_equal(use.flushed, TSS2_RC_SUCCESS);
    assert_int_equal(tpm_open(use.swtpm.tcti, &tpm, &use.reason), 0);
    assert_int_equal(tpm_handle_count(tpm, TPM2_LOADED_SESSION_FIRST), 0);
    tpm_close(tpm);
    swtpm_stop(&use.swtpm);
}

#define TASK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TASK_TEST(a_task_that_never_waits_is_done_at_once),
        TASK_TEST(a_task_goes_on_when_its_job_is_done),
        TASK_TEST(jobs_are_served_by_priority_and_then_in_order),
        TASK_TEST(what_is_urgent_goes_ahead_between_two_jobs_of_long_tasks),
        TASK_TEST(two_tasks_of_one_priority_take_turns),
        TASK_TEST(a_task_cancelled_in_the_queue_asks_for_nothing),
        TASK_TEST(a_task_cancelled_while_it_is_served_waits_for_that_alone),
        TASK_TEST(tasks_cancelled_in_their_sleep_wake),
        TASK_TEST(a_job_that_stays_is_done_though_its_task_was_cancelled),
        TASK_TEST(a_task_sleeps_while_others_go_on),
        TASK_TEST(without_a_thread_there_is_no_loop_and_nothing_is_kept),
        TASK_TEST(a_task_that_gets_no_timer_does_not_sleep),
        TASK_TEST(a_task_started_by_another_begins_soon_after),
        TASK_TEST(a_task_that_is_done_may_be_followed_by_another),
        TASK_TEST(the_end_of_the_loop_cancels_all_tasks_and_waits_for_them),
        TASK_TEST(the_end_of_the_loop_does_not_wait_for_a_tpm_that_is_stuck),
        TASK_TEST(outside_of_a_task_a_job_is_waited_for_here_unless_the_thread_is_in_use),
        TASK_TEST(the_thread_takes_no_signals),
        TASK_TEST(a_cancelled_task_gives_no_command_but_flushes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

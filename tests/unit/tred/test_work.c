/* Who waits for what takes long, and how many may? Calls are numbers here: the linker puts these
 * functions in the place of the bus's and the device's (ld --wrap). */
#include "tred/work.h"

#include "tred/daemon.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    unsigned begun, ended, freed, given_up;
    int begin_result;
    Work *answered_after; /* what ends next has its calls answered after this; NULL: after itself */
    size_t n_calls;       /* that somebody holds */
    size_t n_answered;
    sd_bus_message *answered[WORK_WAITERS_MAX + 1];
} Bench;

static Bench bench;

static sd_bus_message *call_number(uintptr_t number)
{
    return (sd_bus_message *)number; /* NOLINT(performance-no-int-to-ptr): nobody looks into it */
}

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call);
sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call);
const char *__wrap_call_sender(sd_bus_message *call);
void __wrap_device_give_up(Device *device);

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call)
{
    bench.n_calls++;
    return call;
}

sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call)
{
    (void)call;
    assert_true(bench.n_calls > 0);
    bench.n_calls--;
    return NULL;
}

/* Odd numbers are of one caller, even ones of another. */
const char *__wrap_call_sender(sd_bus_message *call)
{
    return (uintptr_t)call % 2 ? ":1.1" : ":1.2";
}

void __wrap_device_give_up(Device *device)
{
    (void)device;
    bench.given_up++;
}

static int begin(Work *work)
{
    (void)work;
    bench.begun++;
    return bench.begin_result;
}

static void end(Work *work)
{
    bench.ended++;
    if (bench.answered_after)
        work_answer_after(work, bench.answered_after);
    bench.answered_after = NULL;
}

static void data_free(void *data)
{
    (void)data;
    bench.freed++;
}

static void answer(Work *work, sd_bus_message *call)
{
    (void)work;
    bench.answered[bench.n_answered++] = call;
}

static const WorkClass lasting = {.begin = begin, .end = end, .free = data_free};
static const WorkClass fleeting = {
    .begin = begin, .end = end, .free = data_free, .can_be_given_up = true};

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    return 0;
}

static Work *work_new(const WorkClass *class)
{
    Work *work = NULL;

    assert_int_equal(work_add(&bench.daemon, class, NULL, &work), 0);
    return work;
}

static void wait_for(Work *work, uintptr_t first, uintptr_t last)
{
    for (uintptr_t number = first; number <= last; number++)
        assert_int_equal(work_wait(work, call_number(number), answer), 0);
}

static void so_many_calls_may_wait_and_none_more(void **state)
{
    Work *work = work_new(&lasting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(work, 1, WORK_WAITERS_MAX);
    assert_int_equal(bench.daemon.n_waiters, WORK_WAITERS_MAX);
    assert_int_equal(work_wait(work, call_number(WORK_WAITERS_MAX + 1), answer), -EBUSY);
    assert_int_equal(bench.daemon.n_waiters, WORK_WAITERS_MAX);
    assert_int_equal(bench.n_calls, WORK_WAITERS_MAX);
    work_ended(work);
    assert_int_equal(bench.n_answered, WORK_WAITERS_MAX);
    for (uintptr_t i = 0; i < WORK_WAITERS_MAX; i++)
        assert_ptr_equal(bench.answered[i], call_number(i + 1));
    assert_int_equal(bench.daemon.n_waiters, 0);
    assert_int_equal(bench.n_calls, 0);
    assert_int_equal(bench.freed, 1);
}

static void the_bound_is_one_of_all_works_together(void **state)
{
    Work *first = work_new(&lasting), *second = work_new(&lasting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(first, 1, WORK_WAITERS_MAX);
    /* Nobody else wants it, and nobody may wait for it: it is not done. */
    assert_int_equal(work_wait(second, call_number(1), answer), -EBUSY);
    assert_int_equal(bench.freed, 1);
    work_ended(first);
    assert_int_equal(bench.begun, 1);
    assert_int_equal(bench.ended, 1);
    assert_null(bench.daemon.works);
}

static void one_is_done_after_the_other(void **state)
{
    Work *first = work_new(&lasting), *second = work_new(&fleeting);

    (void)state;
    assert_ptr_equal(work_waiting(&bench.daemon, &lasting), first);
    work_begin(&bench.daemon);
    work_begin(&bench.daemon);
    assert_int_equal(bench.begun, 1);
    assert_null(work_waiting(&bench.daemon, &lasting));
    assert_ptr_equal(work_waiting(&bench.daemon, &fleeting), second);
    work_ended(first);
    assert_int_equal(bench.begun, 2);
    work_ended(second);
    assert_int_equal(bench.ended, 2);
    assert_int_equal(bench.freed, 2);
}

static void work_that_does_not_begin_answers_nobody_and_lets_the_next_one_begin(void **state)
{
    Work *work = work_new(&lasting);

    (void)state;
    (void)work_new(&lasting);
    wait_for(work, 1, 2);
    bench.begin_result = -EIO;
    work_begin(&bench.daemon);
    assert_int_equal(bench.begun, 2);
    assert_int_equal(bench.ended, 2);
    assert_int_equal(bench.n_answered, 0);
    assert_int_equal(bench.n_calls, 0);
    assert_null(bench.daemon.works);
}

static void a_caller_that_leaves_is_forgotten_and_no_other(void **state)
{
    Work *work = work_new(&fleeting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(work, 1, 5);
    work_forget_caller(&bench.daemon, ":1.1");
    assert_int_equal(bench.daemon.n_waiters, 2);
    assert_int_equal(bench.given_up, 0);
    work_ended(work);
    assert_int_equal(bench.n_answered, 2);
    assert_ptr_equal(bench.answered[0], call_number(2));
    assert_ptr_equal(bench.answered[1], call_number(4));
}

static void work_that_nobody_is_left_for_is_given_up_where_it_can_be(void **state)
{
    Work *work = work_new(&fleeting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(work, 1, 1);
    work_forget_caller(&bench.daemon, ":1.2");
    assert_int_equal(bench.given_up, 0);
    work_forget_caller(&bench.daemon, ":1.1");
    assert_int_equal(bench.given_up, 1);
    work_ended(work);
    assert_int_equal(bench.n_answered, 0);
}

static void work_that_lasts_or_is_wanted_anyway_is_not_given_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        Work *work = work_new(i == 0 ? &lasting : &fleeting);

        if (i == 1)
            work_want(work);
        work_begin(&bench.daemon);
        wait_for(work, 1, 1);
        work_forget_caller(&bench.daemon, ":1.1");
        assert_int_equal(bench.given_up, 0);
        assert_ptr_equal(bench.daemon.works, work);
        work_ended(work);
    }
    assert_int_equal(bench.n_answered, 0);
}

static void work_that_nobody_is_left_for_is_not_begun(void **state)
{
    Work *first = work_new(&lasting), *second = work_new(&fleeting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(second, 1, 1);
    work_forget_caller(&bench.daemon, ":1.1");
    assert_int_equal(bench.freed, 1);
    assert_int_equal(bench.given_up, 0);
    work_ended(first);
    assert_int_equal(bench.begun, 1);
}

static void who_waits_is_answered_when_the_work_after_has_ended_too(void **state)
{
    Work *first = work_new(&lasting), *next = work_new(&fleeting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(first, 1, 1);
    wait_for(next, 2, 2);
    bench.answered_after = next;
    work_ended(first);
    assert_int_equal(bench.n_answered, 0);
    assert_int_equal(bench.begun, 2);
    /* Who waits there is forgotten as well, and the work goes on for the other one. */
    work_forget_caller(&bench.daemon, ":1.2");
    work_ended(next);
    assert_int_equal(bench.n_answered, 1);
    assert_ptr_equal(bench.answered[0], call_number(1));
    assert_int_equal(bench.freed, 2);
    assert_int_equal(bench.n_calls, 0);
}

static void at_the_end_nobody_is_answered_and_nothing_is_left(void **state)
{
    Work *first = work_new(&lasting), *second = work_new(&lasting);

    (void)state;
    work_begin(&bench.daemon);
    wait_for(first, 1, 3);
    wait_for(second, 4, 5);
    work_drop_all(&bench.daemon);
    assert_null(bench.daemon.works);
    assert_int_equal(bench.daemon.n_waiters, 0);
    assert_int_equal(bench.n_calls, 0);
    assert_int_equal(bench.n_answered, 0);
    assert_int_equal(bench.freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(so_many_calls_may_wait_and_none_more, bench_init),
        cmocka_unit_test_setup(the_bound_is_one_of_all_works_together, bench_init),
        cmocka_unit_test_setup(one_is_done_after_the_other, bench_init),
        cmocka_unit_test_setup(work_that_does_not_begin_answers_nobody_and_lets_the_next_one_begin,
                               bench_init),
        cmocka_unit_test_setup(a_caller_that_leaves_is_forgotten_and_no_other, bench_init),
        cmocka_unit_test_setup(work_that_nobody_is_left_for_is_given_up_where_it_can_be,
                               bench_init),
        cmocka_unit_test_setup(work_that_lasts_or_is_wanted_anyway_is_not_given_up, bench_init),
        cmocka_unit_test_setup(work_that_nobody_is_left_for_is_not_begun, bench_init),
        cmocka_unit_test_setup(who_waits_is_answered_when_the_work_after_has_ended_too, bench_init),
        cmocka_unit_test_setup(at_the_end_nobody_is_answered_and_nothing_is_left, bench_init),
    };

    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}

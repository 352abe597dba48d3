/* By which time are certificates judged, and when is the TPM told of a later one? Time, work and
 * the event loop are played: the linker puts these functions in the place of the real ones (ld
 * --wrap). */
#include "tred/clock.h"

#include "base/log.h"
#include "base/messages.h"
#include "tred/bus.h"
#include "tred/device.h"
#include "tred/key_care.h"
#include "tred/work.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

enum {
    DAY = 24 * 3600,
    NOW = 20000 * DAY, /* by the system clock */
    PERIOD = 3600,
    SOON = 1,
    POSTPONED = 5,
    POSTPONED_MAX = 12,
};

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    time_t now;
    uint64_t up; /* µs, by CLOCK_MONOTONIC */
    bool has_unsigned, no_work;
    int advance_result, add_result, set_result;
    sd_event_time_handler_t on_timer;
    uint64_t armed, set; /* µs from now; 0: the timer is not set; what it is set to, if it is on */
    bool is_idle_priority;
    /* the work */
    const WorkClass *class;
    void *data;
    unsigned wanted, begun, ended, changed, timers;
    /* what the device is asked */
    DeviceDone done;
    void *userdata;
    time_t reached;
    unsigned correction_days, asked;
    unsigned behind; /* that the clock is, was said so often */
} Bench;

static Bench bench;

void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...);
time_t __wrap_time(time_t *ret);
bool __wrap_daemon_has_unsigned(const Daemon *daemon);
void __wrap_bus_manager_changed(Daemon *daemon);
int __wrap_device_advance(Device *device, time_t reached, unsigned correction_days, DeviceDone done,
                          void *userdata);
int __wrap_work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret);
void __wrap_work_want(Work *work);
void __wrap_work_begin(Daemon *daemon);
void __wrap_work_ended(Work *work);
Daemon *__wrap_work_daemon(const Work *work);
void *__wrap_work_data(const Work *work);
int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority);

void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...)
{
    (void)format;
    assert_int_equal(level, LOG_WARNING);
    bench.behind += strcmp(fields->message_id, MESSAGE_CLOCK_BEHIND) == 0;
}

time_t __wrap_time(time_t *ret)
{
    assert_null(ret);
    return bench.now;
}

bool __wrap_daemon_has_unsigned(const Daemon *daemon)
{
    assert_ptr_equal(daemon, &bench.daemon);
    return bench.has_unsigned;
}

void __wrap_bus_manager_changed(Daemon *daemon)
{
    (void)daemon;
    bench.changed++;
}

int __wrap_device_advance(Device *device, time_t reached, unsigned correction_days, DeviceDone done,
                          void *userdata)
{
    (void)device;
    bench.asked++;
    bench.reached = reached;
    bench.correction_days = correction_days;
    bench.done = done;
    bench.userdata = userdata;
    return bench.advance_result;
}

static Work *the_work(void)
{
    return (Work *)(void *)&bench;
}

int __wrap_work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret)
{
    (void)daemon;
    if (bench.add_result < 0) {
        free(data);
        return bench.add_result;
    }
    bench.class = class;
    bench.data = data;
    *ret = the_work();
    return 0;
}

void __wrap_work_want(Work *work)
{
    assert_ptr_equal(work, &bench);
    bench.wanted++;
}

void __wrap_work_begin(Daemon *daemon)
{
    (void)daemon;
    bench.begun++;
}

void __wrap_work_ended(Work *work)
{
    assert_ptr_equal(work, &bench);
    bench.ended++;
}

Daemon *__wrap_work_daemon(const Work *work)
{
    (void)work;
    return &bench.daemon;
}

void *__wrap_work_data(const Work *work)
{
    (void)work;
    return bench.data;
}

int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
    (void)event, (void)clock;
    *ret = bench.up;
    return 0;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)usec, (void)accuracy;
    assert_int_equal(clock, CLOCK_BOOTTIME); /* it goes on while the host sleeps */
    assert_ptr_equal(userdata, &bench.daemon);
    bench.timers++;
    bench.on_timer = handler;
    *ret = (sd_event_source *)(void *)&bench;
    return bench.set_result;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    assert_ptr_equal(source, bench.daemon.clock);
    bench.set = usec;
    return 0;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    (void)source;
    assert_int_equal(enabled, SD_EVENT_ONESHOT);
    bench.armed = bench.set;
    return 0;
}

int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
    (void)source;
    bench.is_idle_priority = priority == SD_EVENT_PRIORITY_IDLE;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.now = NOW;
    bench.up = 10 * SECOND;
    bench.identity.last_known = NOW - DAY;
    bench.identity.correction_days = 2;
    bench.daemon.identity = &bench.identity;
    bench.daemon.config.clock_record = CLOCK_RECORD_OFF + 1;
    return clock_start(&bench.daemon);
}

static int teardown(void **state)
{
    (void)state;
    if (bench.class)
        bench.class->free(bench.data);
    return 0;
}

static void assert_armed(unsigned seconds)
{
    assert_int_equal(bench.armed, seconds * SECOND);
    bench.armed = 0;
}

static void timer(void)
{
    bench.armed = 0;
    assert_int_equal(bench.on_timer(NULL, 0, &bench.daemon), 0);
}

/* The timer has led to work, which begins and asks the device. */
static void ask(void)
{
    timer();
    assert_int_equal(bench.begun, 1);
    assert_int_equal(bench.class->begin(the_work()), 0);
    assert_int_equal(bench.asked, 1);
}

static void answer(int result, bool moved, time_t last_known)
{
    const DeviceAnswer said = {.result = result, .moved = moved, .last_known = last_known};

    bench.done(&said, (Bytes){0}, (Bytes){0}, bench.userdata);
    assert_int_equal(bench.ended, 1);
    bench.class->end(the_work());
}

/* ---- the time ---- */

static void certificates_are_judged_by_the_later_of_both_times(void **state)
{
    (void)state;
    assert_int_equal(clock_now(&bench.daemon), NOW);
    bench.daemon.last_known = NOW - 1;
    assert_int_equal(clock_now(&bench.daemon), NOW);
    bench.daemon.last_known = NOW + 1;
    assert_int_equal(clock_now(&bench.daemon), NOW + 1);
}

static void an_earlier_time_than_one_before_is_taken_by_another_correction_alone(void **state)
{
    (void)state;
    clock_take(&bench.daemon, NOW, 0);
    assert_int_equal(bench.daemon.last_known, NOW);
    clock_take(&bench.daemon, NOW - DAY, 0);
    assert_int_equal(bench.daemon.last_known, NOW);
    clock_take(&bench.daemon, NOW + DAY, 0);
    assert_int_equal(bench.daemon.last_known, NOW + DAY);
    bench.daemon.vouched = NOW + DAY;
    clock_take(&bench.daemon, NOW - DAY, 3);
    assert_int_equal(bench.daemon.last_known, NOW - DAY);
    assert_int_equal(bench.daemon.vouched, 0); /* by what was corrected, perhaps */
    bench.daemon.vouched = NOW;
    clock_take(&bench.daemon, NOW - 2 * DAY, 3);
    assert_int_equal(bench.daemon.last_known, NOW - DAY);
    assert_int_equal(bench.daemon.vouched, NOW);
}

/* ---- the TPM's ---- */

static void a_clock_that_is_behind_is_told(void **state)
{
    (void)state;
    clock_take(&bench.daemon, NOW - 1, 0);
    clock_take(&bench.daemon, NOW, 0);
    assert_int_equal(bench.behind, 0);
    clock_take(&bench.daemon, NOW + 1, 0);
    assert_int_equal(bench.behind, 1);
}

static void where_it_is_not_to_be_recorded_there_is_no_timer(void **state)
{
    (void)state;
    assert_int_equal(bench.timers, 1);
    assert_true(bench.is_idle_priority);
    bench.daemon.config.clock_record = CLOCK_RECORD_OFF;
    bench.daemon.clock = NULL;
    assert_int_equal(clock_start(&bench.daemon), 0);
    assert_int_equal(bench.timers, 1);
    clock_vouched(&bench.daemon, NOW + DAY);
    assert_int_equal(bench.daemon.vouched, NOW + DAY);
    assert_int_equal(bench.armed, 0);
    bench.daemon.config.clock_record = CLOCK_RECORD_OFF + 1;
    bench.set_result = -ENOMEM;
    assert_int_equal(clock_start(&bench.daemon), -ENOMEM);
}

static void what_was_vouched_for_reaches_the_tpm_and_what_it_says_the_daemon(void **state)
{
    (void)state;
    clock_vouched(&bench.daemon, NOW + DAY);
    assert_armed(SOON);
    clock_vouched(&bench.daemon, NOW); /* the latest counts */
    ask();
    assert_int_equal(bench.wanted, 1); /* though no caller waits for it */
    assert_int_equal(bench.reached, NOW + DAY);
    assert_int_equal(bench.correction_days, 2);
    assert_ptr_equal(bench.daemon.clock_work, the_work());
    answer(0, true, NOW + 5 * DAY);
    assert_null(bench.daemon.clock_work);
    assert_int_equal(bench.daemon.last_known, NOW + 3 * DAY); /* less the correction */
    assert_int_equal(bench.changed, 1);
    assert_armed(PERIOD);
}

static void what_the_tpm_refuses_changes_nothing(void **state)
{
    static const struct {
        int result;
        bool moved;
        time_t last_known;
    } cases[] = {{-EIO, true, NOW + 9 * DAY}, {0, false, NOW + 9 * DAY}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)setup(state);
        bench.daemon.last_known = NOW;
        ask();
        answer(cases[i].result, cases[i].moved, cases[i].last_known);
        assert_int_equal(bench.daemon.last_known, NOW);
        assert_int_equal(bench.changed, 0);
        assert_int_equal(bench.daemon.clock_moved, 0);
        assert_armed(PERIOD);
        if (i + 1 < ELEMENTS(cases))
            (void)teardown(state);
    }
}

static void the_time_never_steps_back_by_what_the_tpm_says(void **state)
{
    (void)state;
    bench.daemon.last_known = NOW;
    ask();
    answer(0, true, NOW + DAY);
    assert_int_equal(bench.daemon.last_known, NOW);
    assert_int_equal(bench.changed, 1);
}

/* One wrong date of an authority shows before it has done its harm. */
static void within_the_hour_after_a_step_the_tpm_is_told_of_nothing(void **state)
{
    (void)state;
    ask();
    answer(0, true, NOW);
    assert_armed(PERIOD);
    bench.up += PERIOD * SECOND - 1;
    clock_vouched(&bench.daemon, NOW + DAY);
    assert_int_equal(bench.armed, 0);
    assert_int_equal(bench.daemon.vouched, NOW + DAY);
    bench.up++;
    clock_vouched(&bench.daemon, NOW + DAY);
    assert_armed(SOON);
}

static void one_step_at_a_time_is_under_way(void **state)
{
    (void)state;
    ask();
    timer();
    assert_int_equal(bench.begun, 1);
    assert_int_equal(bench.armed, 0); /* its end sets it */
    clock_vouched(&bench.daemon, NOW + DAY);
    assert_int_equal(bench.armed, 0);
}

static void without_a_time_that_the_tpm_keeps_it_is_not_asked(void **state)
{
    (void)state;
    bench.identity.last_known = 0;
    timer();
    assert_armed(PERIOD);
    bench.daemon.identity = NULL; /* not read yet */
    timer();
    assert_armed(SOON);
    assert_int_equal(bench.begun, 0);
}

/* Between the timer and the work's turn. */
static void an_identity_that_goes_meanwhile_has_no_time(void **state)
{
    (void)state;
    timer();
    bench.daemon.identity = NULL;
    assert_int_equal(bench.class->begin(the_work()), -ENODEV);
    bench.daemon.identity = &bench.identity;
    bench.identity.last_known = 0;
    assert_int_equal(bench.class->begin(the_work()), -ENODEV);
    assert_int_equal(bench.asked, 0);
    bench.identity.last_known = NOW;
    bench.advance_result = -EPIPE;
    assert_int_equal(bench.class->begin(the_work()), -EPIPE);
}

/* And a client that leaves it there is not waited for for ever. */
static void an_exchange_that_waits_for_the_tpm_goes_first(void **state)
{
    (void)state;
    bench.has_unsigned = true;
    for (unsigned i = 0; i < POSTPONED_MAX; i++) {
        timer();
        assert_int_equal(bench.begun, 0);
        assert_armed(POSTPONED);
    }
    timer();
    assert_int_equal(bench.begun, 1);
    bench.class->free(bench.data);
    bench.daemon.clock_work = NULL;
    timer(); /* the next step waits for as long again */
    assert_int_equal(bench.begun, 1);
    bench.class = NULL;
    assert_armed(POSTPONED);
    bench.has_unsigned = false;
    timer();
    assert_int_equal(bench.begun, 2);
}

static void without_memory_it_is_tried_an_hour_later(void **state)
{
    (void)state;
    bench.add_result = -ENOMEM;
    timer();
    assert_int_equal(bench.begun, 0);
    assert_armed(PERIOD);
}

#define CLOCK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOCK(certificates_are_judged_by_the_later_of_both_times),
        CLOCK(an_earlier_time_than_one_before_is_taken_by_another_correction_alone),
        CLOCK(a_clock_that_is_behind_is_told),
        CLOCK(where_it_is_not_to_be_recorded_there_is_no_timer),
        CLOCK(what_was_vouched_for_reaches_the_tpm_and_what_it_says_the_daemon),
        CLOCK(what_the_tpm_refuses_changes_nothing),
        CLOCK(the_time_never_steps_back_by_what_the_tpm_says),
        CLOCK(within_the_hour_after_a_step_the_tpm_is_told_of_nothing),
        CLOCK(one_step_at_a_time_is_under_way),
        CLOCK(without_a_time_that_the_tpm_keeps_it_is_not_asked),
        CLOCK(an_identity_that_goes_meanwhile_has_no_time),
        CLOCK(an_exchange_that_waits_for_the_tpm_goes_first),
        CLOCK(without_memory_it_is_tried_an_hour_later),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}

/* An event loop that is played. */
#include "event_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

EventFixture events;

static char timer, idle; /* their places are what the sources are known by */

int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret);
int __wrap_sd_event_get_state(sd_event *event);
int __wrap_sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                             uint64_t accuracy, sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata);
int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority);
int __wrap_sd_event_source_set_time(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

sd_event_source *event_timer(void)
{
    return (sd_event_source *)&timer;
}

static sd_event_source *event_idle(void)
{
    return (sd_event_source *)&idle;
}

void time_fires(void *userdata)
{
    assert_true(events.time_on);
    events.time_on = false;
    assert_int_equal(events.on_time(event_timer(), 0, userdata), 0);
}

void idle_fires(void *userdata)
{
    assert_true(events.idle_on);
    events.idle_on = false;
    assert_int_equal(events.on_idle(event_idle(), userdata), 0);
}

int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
    (void)event, (void)clock;
    *ret = events.now;
    return 0;
}

int __wrap_sd_event_get_state(sd_event *event)
{
    (void)event;
    return events.loop_state;
}

int __wrap_sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
                             uint64_t accuracy, sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)accuracy;
    events.added++;
    if (events.add_result < 0)
        return events.add_result;
    events.clock = clock;
    events.usec = usec;
    events.on_time = handler;
    events.time_on = true;
    events.userdata = userdata;
    *ret = event_timer();
    return 0;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    return __wrap_sd_event_add_time(event, ret, clock, usec, accuracy, handler, userdata);
}

int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata)
{
    (void)event;
    events.added++;
    events.on_idle = handler;
    events.idle_on = true;
    events.userdata = userdata;
    *ret = event_idle();
    return 0;
}

int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
    assert_ptr_equal(source, event_idle());
    events.priority = priority;
    return 0;
}

int __wrap_sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
    assert_ptr_equal(source, event_timer());
    events.usec = usec;
    return events.set_result;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    return __wrap_sd_event_source_set_time(source, usec);
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    assert_int_equal(enabled, SD_EVENT_ONESHOT);
    events.enabled++;
    if (source == event_timer()) {
        events.time_on = true;
    } else {
        assert_ptr_equal(source, event_idle());
        events.idle_on = true;
    }
    return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    if (source == event_timer())
        events.time_on = false;
    if (source == event_idle())
        events.idle_on = false;
    return NULL;
}

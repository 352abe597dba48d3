/* An event loop that is played: it has one timer, and one source for when there is nothing else to
 * do, which a test fires itself. The linker puts these functions in the place of sd-event's (ld
 * --wrap). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <time.h>

typedef struct EventFixture {
    uint64_t now;               /* sd_event_now() */
    int loop_state;             /* sd_event_get_state() */
    int add_result, set_result; /* negative: no timer can be added, or set to another time */
    unsigned added, enabled; /* how many times a source was added, or enabled once it was there */
    clockid_t clock;         /* the timer's … */
    uint64_t usec;           /* … and what it was set to last */
    sd_event_time_handler_t on_time;
    bool time_on;
    sd_event_handler_t on_idle;
    bool idle_on;
    int64_t priority; /* of the latter */
    void *userdata;   /* of the source that was added last */
} EventFixture;

/* The one of this test program; a test sets it to zeros first. */
extern EventFixture events;

/* What the timer is known by. */
sd_event_source *event_timer(void);

/* Each is on, and goes off: once, for `userdata`, which it was added with. */
void time_fires(void *userdata);
void idle_fires(void *userdata);

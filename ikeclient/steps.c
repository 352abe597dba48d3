/* Where in the call flow are we, and how long did it take? */
#include "ikeclient/steps.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { DETAILS_SIZE = 768 };

static uint64_t now_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static double ms(uint64_t usec)
{
    return (double)usec / 1000;
}

void steps_start(Steps *steps)
{
    steps->start = now_usec();
    steps->last = steps->start;
}

void steps_name(Steps *steps, const char *henb, const char *segw)
{
    (void)snprintf(steps->henb, sizeof(steps->henb), "%s", henb);
    (void)snprintf(steps->segw, sizeof(steps->segw), "%s", segw);
}

double steps_elapsed_ms(const Steps *steps)
{
    return ms(now_usec() - steps->start);
}

void steps_log(Steps *steps, unsigned number, const char *what, StepWay way, const char *format,
               ...)
{
    va_list arguments;
    char details[DETAILS_SIZE];

    va_start(arguments, format);
    (void)vsnprintf(details, sizeof(details), format, arguments);
    va_end(arguments);

    bool from_henb = way == STEP_HENB_TO_SEGW || way == STEP_AT_HENB;
    bool message = way == STEP_HENB_TO_SEGW || way == STEP_SEGW_TO_HENB;
    const char *actor = from_henb ? steps->henb : steps->segw;
    const char *other = from_henb ? steps->segw : steps->henb;
    uint64_t now = now_usec();
    log_info("step %u %s  %s%s%s  %s  (+%.1f ms, %.1f ms)", number, what, actor,
             message ? " -> " : "", message ? other : "", details, ms(now - steps->start),
             ms(now - steps->last));
    steps->last = now;
}

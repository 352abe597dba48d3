/* Waits for a lull, and gives memory back in it. */
#include "base/rest.h"

#include "base/log.h"
#include "base/program.h"

#include <string.h>
#include <time.h>

enum {
    USEC_PER_MSEC = 1000,
    REST_USEC = MEMORY_REST_MS * USEC_PER_MSEC,
    ACCURACY_USEC = 500 * USEC_PER_MSEC,
};

static int on_rest(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec, (void)userdata;
    memory_give_back();
    return 0;
}

/* Whoever waits for something goes first. */
int rest_new(sd_event *event, sd_event_source **ret)
{
    sd_event_source *rest = NULL;
    int r = sd_event_add_time_relative(event, &rest, CLOCK_MONOTONIC, REST_USEC, ACCURACY_USEC,
                                       on_rest, NULL);

    if (r >= 0)
        r = sd_event_source_set_priority(rest, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_source_set_enabled(rest, SD_EVENT_OFF);
    if (r < 0) {
        sd_event_source_disable_unref(rest);
        return r;
    }
    *ret = rest;
    return 0;
}

void rest_after(sd_event_source *rest)
{
    int r = sd_event_source_set_time_relative(rest, REST_USEC);

    if (r >= 0)
        r = sd_event_source_set_enabled(rest, SD_EVENT_ONESHOT);
    if (r < 0)
        log_warning("Memory that nobody needs any more is kept: %s", strerror(-r));
}

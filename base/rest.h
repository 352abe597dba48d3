/* A program with an event loop gives back, some seconds after it was last told that something was
 * done, the memory that this needed (memory_give_back()): the start and each connect run code that
 * a tunnel which is up does not need for days. */
#pragma once

#include <systemd/sd-event.h>

/* Makes the timer, which is off. *ret is for sd_event_source_disable_unref(). 0 or -errno. */
int rest_new(sd_event *event, sd_event_source **ret);

/* Something was done: rests MEMORY_REST_MS after the last such call. */
void rest_after(sd_event_source *rest);

/* As base/rest.h, for a helper that waits in poll(2) itself: what its orders needed of memory is
 * given back once none has come for some seconds. */
#pragma once

#include <stdint.h>

typedef struct RestPoll {
    uint64_t due_ms; /* of CLOCK_MONOTONIC; 0: there is nothing to give back */
} RestPoll;

/* Something was done: rests MEMORY_REST_MS after the last such call. */
void rest_poll_after(RestPoll *rest);

/* How long to poll where `timeout_ms` (-1: for ever) were long enough but for that. */
int rest_poll_timeout(const RestPoll *rest, int timeout_ms);

/* After each poll: rests, once it is time. */
void rest_poll_look(RestPoll *rest);

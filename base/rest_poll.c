/* Reckons when a helper may rest. */
#include "base/rest_poll.h"

#include "base/program.h"

#include <time.h>

enum { MSEC_PER_SEC = 1000, NSEC_PER_MSEC = 1000000 };

static uint64_t now_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MSEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_MSEC;
}

void rest_poll_after(RestPoll *rest)
{
    rest->due_ms = now_ms() + MEMORY_REST_MS;
}

int rest_poll_timeout(const RestPoll *rest, int timeout_ms)
{
    if (rest->due_ms == 0)
        return timeout_ms;
    const uint64_t now = now_ms();
    const int left = rest->due_ms > now ? (int)(rest->due_ms - now) : 0;
    return timeout_ms < 0 || left < timeout_ms ? left : timeout_ms;
}

void rest_poll_look(RestPoll *rest)
{
    if (rest->due_ms == 0 || now_ms() < rest->due_ms)
        return;
    rest->due_ms = 0;
    memory_give_back();
}

/* Reckons when a helper may rest. */
#include "base/rest_poll.h"

#include "base/monotonic.h"
#include "base/program.h"

void rest_poll_after(RestPoll *rest)
{
    rest->due_ms = monotonic_ms() + MEMORY_REST_MS;
}

int rest_poll_timeout(const RestPoll *rest, int timeout_ms)
{
    if (rest->due_ms == 0)
        return timeout_ms;
    const uint64_t now = monotonic_ms();
    const int left = rest->due_ms > now ? (int)(rest->due_ms - now) : 0;
    return timeout_ms < 0 || left < timeout_ms ? left : timeout_ms;
}

void rest_poll_look(RestPoll *rest)
{
    if (rest->due_ms == 0 || monotonic_ms() < rest->due_ms)
        return;
    rest->due_ms = 0;
    memory_give_back();
}

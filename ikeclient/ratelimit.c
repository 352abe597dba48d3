/* May one more line about a stranger's datagram be written? */
#include "ikeclient/ratelimit.h"

bool ratelimit_allows(RateLimit *limit, uint64_t now, unsigned *ret_suppressed)
{
    if (limit->lines == 0 || now - limit->period_start >= RATELIMIT_PERIOD_USEC) {
        limit->period_start = now;
        limit->lines = 0;
    }
    if (limit->lines == RATELIMIT_LINES) {
        limit->suppressed++;
        return false;
    }
    limit->lines++;
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}

/* How long to wait before the next attempt? */
#include "ikeclient/backoff.h"

#include <sys/random.h>

enum {
    WAIT_MIN_MS = 1000,
    WAIT_MAX_MS = 64000,
};

uint64_t backoff_ms(unsigned failures)
{
    uint64_t wait = WAIT_MIN_MS;
    uint32_t random = 0;

    for (unsigned i = 0; i < failures && wait < WAIT_MAX_MS; i++)
        wait *= 2;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return wait;
    return wait / 2 + random % (wait / 2);
}

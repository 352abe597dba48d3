/* The limits of one pair of SAs. */
#include "dataplane/lifetime.h"

static uint64_t earlier(uint64_t limit, uint64_t random)
{
    return limit - random % (limit / LIFETIME_JITTER + 1);
}

/* 0 is no limit. */
static uint64_t at_most(uint64_t limit, uint64_t most)
{
    return limit == 0 || limit > most ? most : limit;
}

void lifetime_settle(Lifetime *soft, Lifetime *hard, bool esn, uint64_t random)
{
    if (!esn) {
        soft->packets = at_most(soft->packets, LIFETIME_NUMBERS_SOFT);
        hard->packets = at_most(hard->packets, LIFETIME_NUMBERS_HARD);
    }
    soft->bytes = earlier(soft->bytes, random);
    soft->packets = earlier(soft->packets, random);
    soft->seconds = earlier(soft->seconds, random);
}

/* The wait between attempts to connect, as a function of failures and chance. */
#include "ikeclient/backoff.h"

uint64_t backoff_ceiling_ms(unsigned failures, uint64_t most_ms)
{
    uint64_t ceiling = BACKOFF_FIRST_MS;

    for (unsigned i = 0; i < failures && ceiling < most_ms; i++)
        ceiling *= 2;
    return ceiling < most_ms ? ceiling : most_ms;
}

uint64_t backoff_ms(unsigned failures, uint64_t most_ms, uint32_t random)
{
    uint64_t ceiling = backoff_ceiling_ms(failures, most_ms);

    uint64_t least = ceiling < BACKOFF_LEAST_MS ? ceiling : BACKOFF_LEAST_MS;

    return least + (uint64_t)((double)(ceiling - least) * random / UINT32_MAX);
}

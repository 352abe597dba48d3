/* The margin before the end of an authentication. */
#include "ikeclient/lifetime.h"

#define SEC UINT64_C(1000000)
#define LEAST (4 * SEC)       /* what must be left: a SeGW can't have us do nothing else */
#define MARGIN_MIN (10 * SEC) /* room for some retransmissions, where there is room */
#define MARGIN_MAX (600 * SEC)

uint64_t lifetime_renew_at(uint64_t now, uint64_t end, uint32_t random)
{
    if (end <= now || end - now < LEAST)
        return LIFETIME_NEVER;
    uint64_t left = end - now, margin = left / 10;

    if (margin < MARGIN_MIN)
        margin = left / 4 < MARGIN_MIN ? left / 4 : MARGIN_MIN;
    if (margin > MARGIN_MAX)
        margin = MARGIN_MAX;
    return end - margin - (uint64_t)((double)margin * random / UINT32_MAX);
}

/* Counts what has passed under the TPM's clock since a time that was reached for certain. */
#include "device/timebase.h"

enum { MSEC_PER_SEC = 1000 };

void time_base_reach(TimeBase *base, time_t at)
{
    if (at <= base->at)
        return;
    base->at = at;
    base->counting = false;
}

time_t time_base_pass(TimeBase *base, uint64_t milliseconds, uint32_t resets)
{
    if (base->counting && resets == base->resets && milliseconds >= base->milliseconds) {
        const uint64_t seconds = (milliseconds - base->milliseconds) / MSEC_PER_SEC;

        base->at += (time_t)seconds;
        base->milliseconds += seconds * MSEC_PER_SEC;
    } else {
        base->milliseconds = milliseconds;
    }
    base->counting = true;
    base->resets = resets;
    return base->at;
}

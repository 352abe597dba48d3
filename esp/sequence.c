/* How far can this SA still count? */
#include "esp/sequence.h"

#include <assert.h>

static uint64_t sequence_max(const SequenceCounter *counter)
{
    return counter->esn ? UINT64_MAX : UINT32_MAX;
}

bool sequence_is_used_up(const SequenceCounter *counter)
{
    return counter->last >= sequence_max(counter);
}

bool sequence_is_scarce(const SequenceCounter *counter)
{
    return counter->last >= sequence_max(counter) / 8 * 7;
}

uint64_t sequence_next(SequenceCounter *counter)
{
    assert(!sequence_is_used_up(counter));
    return ++counter->last;
}

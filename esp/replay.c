/* Has this sequence number been seen before? A bitmap in a ring, so that moving on shifts nothing.
 */
#include "esp/replay.h"

#include <stddef.h>
#include <string.h>

static uint64_t *word_of(ReplayWindow *window, uint64_t sequence)
{
    return &window->seen[(sequence / 64) % (REPLAY_WINDOW / 64)];
}

static uint64_t bit_of(uint64_t sequence)
{
    return UINT64_C(1) << (sequence % 64);
}

uint64_t replay_window_infer(const ReplayWindow *window, uint32_t low, bool esn)
{
    if (!esn)
        return low;
    /* RFC 4303 A2.2 in one rule: of the numbers with this low half, the first that is not left of
     * the window. Its lower edge is `highest - REPLAY_WINDOW + 1`, or 1 for a young SA. */
    uint64_t edge = window->highest < REPLAY_WINDOW ? 0 : window->highest - REPLAY_WINDOW + 1;
    uint64_t sequence = (edge & ~(uint64_t)UINT32_MAX) | low;
    if (sequence < edge && sequence <= UINT64_MAX - (UINT64_C(1) << 32))
        sequence += UINT64_C(1) << 32;
    return sequence;
}

bool replay_window_is_fresh(const ReplayWindow *window, uint64_t sequence)
{
    if (sequence == 0)
        return false; /* RFC 4303 2.2: the first packet has number 1 */
    if (sequence > window->highest)
        return true;
    if (window->highest - sequence >= REPLAY_WINDOW)
        return false;
    return (window->seen[(sequence / 64) % (REPLAY_WINDOW / 64)] & bit_of(sequence)) == 0;
}

void replay_window_mark(ReplayWindow *window, uint64_t sequence)
{
    if (sequence > window->highest) {
        if (sequence - window->highest >= REPLAY_WINDOW) {
            memset(window->seen, 0, sizeof(window->seen));
        } else {
            /* The numbers between were not seen; their bits still hold those a window before. */
            for (uint64_t skipped = window->highest + 1; skipped < sequence; skipped++)
                *word_of(window, skipped) &= ~bit_of(skipped);
        }
        window->highest = sequence;
    }
    *word_of(window, sequence) |= bit_of(sequence);
}

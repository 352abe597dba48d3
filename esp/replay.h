/* Which sequence numbers have been seen: the anti-replay window of one inbound SA (RFC 4303 3.4.3).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    REPLAY_WINDOW = 1024
}; /* packets; wider than the largest burst that one UDP read can hold */

/* All zero is the window of a fresh SA. */
typedef struct ReplayWindow {
    uint64_t highest; /* the highest number authenticated; 0: none yet (numbers begin at 1) */
    uint64_t
        seen[REPLAY_WINDOW / 64]; /* bit n: the number in the window that is n modulo its size */
} ReplayWindow;

/* The whole sequence number of a packet that carries its low half: with `esn` the one nearest to
 * the window (RFC 4303 A2.2), else the low half itself. */
uint64_t replay_window_infer(const ReplayWindow *window, uint32_t low, bool esn);

/* True if `sequence` is neither left of the window nor seen. To be asked before the ICV is checked.
 */
bool replay_window_is_fresh(const ReplayWindow *window, uint64_t sequence);

/* Marks a fresh number as seen. Only for a packet whose ICV was right. */
void replay_window_mark(ReplayWindow *window, uint64_t sequence);

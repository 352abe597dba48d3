/* Which sequence number does the next packet of an outbound SA get (RFC 4303 2.2, 3.3.3)? */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* All zero but `esn` is the counter of a fresh SA. */
typedef struct SequenceCounter {
    bool esn;      /* 64 bits instead of 32 */
    uint64_t last; /* the last number given out; the first is 1 */
} SequenceCounter;

/* True when every number has been given out: one more would repeat the IV of an AEAD suite. */
bool sequence_is_used_up(const SequenceCounter *counter);

/* True when an eighth of them is left: time enough to rekey at any rate of packets. */
bool sequence_is_scarce(const SequenceCounter *counter);

/* The next number; the counter must not be used up. */
uint64_t sequence_next(SequenceCounter *counter);

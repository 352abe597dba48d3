/* Address ranges of traffic selectors as the prefixes that routes are made of. */
#pragma once

#include "ikewire/payload.h"

#include <stddef.h>
#include <stdint.h>

enum { PREFIXES_MAX = 256 }; /* that one range can fall into: at most 2 * 128 - 2 */

typedef struct Prefix {
    uint8_t size;   /* 4 or 16 octets */
    uint8_t length; /* bits */
    uint8_t octets[16];
} Prefix;

/* The fewest prefixes that cover the selector's range and nothing else, but never one of length 0:
 * a range of all addresses becomes two halves, so that it outranks a default route instead of
 * colliding with it. Returns their number; 0 if the range is empty. */
size_t prefixes_of_selector(const IkeSelector *selector, Prefix ret[PREFIXES_MAX]);

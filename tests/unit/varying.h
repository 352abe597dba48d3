/* Is every octet of what is random by chance, and not only one of them? Two that were drawn differ
 * where a single octet does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VARYING_DRAWS = 8 };

/* The test fails if there is an octet in which all draws are the same, which chance brings about
 * once in 2^56 times. They stand one after another; include it behind cmocka.h. */
static inline void assert_each_octet_varies(const void *draws, size_t size)
{
    const uint8_t *octets = draws;

    for (size_t i = 0; i < size; i++) {
        uint8_t differing = 0;

        for (size_t draw = 1; draw < VARYING_DRAWS; draw++)
            differing |= octets[draw * size + i] ^ octets[i];
        if (differing == 0)
            fail_msg("octet %zu of %zu is the same in all draws", i, size);
    }
}

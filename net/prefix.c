/* Which prefixes make up this range of addresses? */
#include "net/prefix.h"

#include <stdbool.h>
#include <string.h>

static bool bit_is_set(const uint8_t *octets, unsigned bit)
{
    return octets[bit / 8] & (0x80U >> bit % 8);
}

static void set_bit(uint8_t *octets, unsigned bit)
{
    octets[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
}

/* The last address of the prefix of `length` bits that begins at `start`. */
static void last_of(const uint8_t *start, size_t size, unsigned length, uint8_t *ret)
{
    memcpy(ret, start, size);
    for (unsigned bit = length; bit < size * 8; bit++)
        set_bit(ret, bit);
}

/* True if a prefix of `length` bits can begin at `start` and does not reach beyond `end`. */
static bool prefix_fits(const uint8_t *start, const uint8_t *end, size_t size, unsigned length)
{
    for (unsigned bit = length; bit < size * 8; bit++) {
        if (bit_is_set(start, bit))
            return false;
    }
    uint8_t last[16];
    last_of(start, size, length, last);
    return memcmp(last, end, size) <= 0;
}

/* Adds one; false if that goes beyond the last address there is. */
static bool increment(uint8_t *octets, size_t size)
{
    for (size_t i = size; i > 0; i--) {
        if (++octets[i - 1] != 0)
            return true;
    }
    return false;
}

size_t prefixes_of_selector(const IkeSelector *selector, Prefix ret[PREFIXES_MAX])
{
    uint8_t size = selector->type == IKE_TS_IPV4_ADDR_RANGE ? 4 : 16, start[16];
    memcpy(start, selector->start, sizeof(start));
    size_t n = 0;
    while (n < PREFIXES_MAX && memcmp(start, selector->end, size) <= 0) {
        unsigned length = 1;
        while (!prefix_fits(start, selector->end, size, length))
            length++;
        ret[n] = (Prefix){.size = size, .length = (uint8_t)length};
        memcpy(ret[n++].octets, start, size);
        last_of(start, size, length, start);
        if (!increment(start, size))
            break;
    }
    return n;
}

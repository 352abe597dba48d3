/* Where does a test draw its numbers from? */
#include "tests/unit/ikewire/random.h"

enum { POOL_SIZE = 4096 };

/* Marsaglia's xorshift64; any fixed seed but 0 will do. */
uint64_t random_number(void)
{
    static uint64_t state = 0x7296;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

size_t random_from(size_t minimum, size_t maximum)
{
    return minimum + random_number() % (maximum - minimum + 1);
}

Bytes random_bytes(size_t minimum, size_t maximum)
{
    static uint8_t pool[POOL_SIZE];
    static size_t filled;

    for (; filled < POOL_SIZE; filled++)
        pool[filled] = (uint8_t)random_number();
    size_t size = random_from(minimum, maximum);
    return bytes_slice(BYTES_OF(pool), random_from(0, POOL_SIZE - size), size);
}

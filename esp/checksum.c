/* What is the Internet checksum of these octets? Sums 32 bits at a time in native order (RFC 1071
 * 2). */
#include "esp/checksum.h"

#include <arpa/inet.h>
#include <string.h>

enum { BLOCK = 64 };

uint64_t checksum_add(uint64_t sum, Bytes bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= BLOCK; at += BLOCK, left -= BLOCK) {
        uint32_t words[BLOCK / 4];
        memcpy(words, at, BLOCK);
        for (size_t i = 0; i < BLOCK / 4; i++)
            sum += words[i];
    }
    while (left > 0) {
        size_t size = left < 4 ? left : 4;
        uint32_t word = 0; /* an odd octet is padded with zero on its right */
        memcpy(&word, at, size);
        sum += word;
        at += size;
        left -= size;
    }
    return sum;
}

uint64_t checksum_add_u16(uint64_t sum, uint16_t value)
{
    return sum + htons(value);
}

uint16_t checksum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ntohs((uint16_t)sum);
}

uint64_t checksum_add_pseudo(uint64_t sum, Bytes source, Bytes destination, uint8_t protocol,
                             uint32_t size)
{
    sum = checksum_add(sum, source);
    sum = checksum_add(sum, destination);
    sum = checksum_add_u16(sum, protocol);
    sum = checksum_add_u16(sum, (uint16_t)(size >> 16));
    return checksum_add_u16(sum, (uint16_t)size);
}

/* The Internet checksum (RFC 1071). */
#pragma once

#include "base/bytes.h"

/* Adds `bytes` to a running sum. Only the last piece of a whole may have an odd size. */
uint64_t checksum_add(uint64_t sum, Bytes bytes);

/* Adds one 16-bit number to a running sum. */
uint64_t checksum_add_u16(uint64_t sum, uint16_t value);

/* The sum folded to 16 bits, as a number (to be written in network order), not complemented. */
uint16_t checksum_fold(uint64_t sum);

/* Adds the pseudo-header of TCP and UDP (RFC 9293 3.1, RFC 8200 8.1): both addresses, protocol and
 * the upper-layer size. */
uint64_t checksum_add_pseudo(uint64_t sum, Bytes source, Bytes destination, uint8_t protocol,
                             uint32_t size);

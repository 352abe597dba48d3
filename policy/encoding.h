/* Octets as hexadecimal text, in files and for people. */
#pragma once

#include "base/bytes.h"

/* Lower-case hexadecimal; `ret` has 2 * bytes.size + 1 octets. */
void hex_encode(Bytes bytes, char *ret);

/* Exactly `size` octets from hexadecimal of either case. 0, or -EINVAL if it is longer, shorter or
 * something else. */
int hex_decode(const char *text, uint8_t *ret, size_t size);

/* At most `capacity` octets from hexadecimal; *ret_size says how many. 0 or -EINVAL. */
int hex_decode_some(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size);

/* Octets as base64 text (RFC 4648). */
#pragma once

#include "base/bytes.h"

/* Base64 with padding, on one line. *ret is the caller's to free(). 0 or -ENOMEM. */
int base64_encode(Bytes bytes, char **ret);

/* At most `capacity` octets from base64 with padding and without white space; *ret_size says how
 * many. 0 or -EINVAL. */
int base64_decode(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size);

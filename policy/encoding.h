/* Octets as hexadecimal text, in files and for people; lines and words of such files. */
#pragma once

#include "base/bytes.h"

/* Lower-case hexadecimal; `ret` has 2 * bytes.size + 1 octets. */
void hex_encode(Bytes bytes, char *ret);

/* Exactly `size` octets from hexadecimal of either case. 0, or -EINVAL if it is longer, shorter or
 * something else. */
int hex_decode(const char *text, uint8_t *ret, size_t size);

/* At most `capacity` octets from hexadecimal; *ret_size says how many. 0 or -EINVAL. */
int hex_decode_some(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size);

/* The next line of *rest, without its end, into `ret` (`size` octets, with a NUL); *rest is what
 * follows it. Returns 1; 0 at the end of the text; or -EBADMSG for a line that is too long, does
 * not end in a newline, or has an octet that is not printable ASCII. */
int line_next(Bytes *rest, char *ret, size_t size);

/* The next word of *rest, which it cuts off: words stand one space apart, so that two spaces have
 * an empty word between. NULL if there is none. */
char *word_next(char **rest);

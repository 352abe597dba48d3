/* Texts from outside, cut into lines and words: what files without nesting are read with. */
#pragma once

#include "base/bytes.h"

/* The next line of *rest, without its end, into `ret` (`size` octets, with a NUL); *rest is what
 * follows it. Returns 1; 0 at the end of the text; or -EBADMSG for a line that is too long, does
 * not end in a newline, or has an octet that is not printable ASCII. */
int line_next(Bytes *rest, char *ret, size_t size);

/* The next word of *rest, which it cuts off: words stand one space apart, so that two spaces have
 * an empty word between. NULL if there is none. */
char *word_next(char **rest);

/* Differentiated services code points (RFC 2474 3) as people write them. */
#pragma once

#include <stdint.h>

enum { DSCP_COUNT = 64, DSCPS_TEXT_SIZE = 512 };

/* Reads a list of names, in any case, and of numbers from 0 to 63, with commas between: "ef, af41,
 * 10". Bit n of *ret is DSCP n. 0, or -EINVAL. */
int dscps_parse(const char *text, uint64_t *ret);

/* "EF, AF41, 63" into `text` (DSCPS_TEXT_SIZE octets), by numbers; returns `text`. */
const char *dscps_text(uint64_t dscps, char *text);

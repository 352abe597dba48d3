/* How long to wait before the next attempt? */
#pragma once

#include <stdint.h>

/* In ms: twice as long after each of `failures` in a row, from 1 s to about a minute. Half of each
 * wait is random, so that the HeNBs of a town do not all come back to a SeGW in one second. */
uint64_t backoff_ms(unsigned failures);

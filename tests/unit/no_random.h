/* OpenSSL without random numbers. For a program that is linked with -Wl,--wrap=RAND_bytes and
 * -Wl,--wrap=RAND_priv_bytes, which have its own objects' calls go here (not OpenSSL's own). */
#pragma once

#include <stdbool.h>

/* From the nth call on (1: the next) there are none: OpenSSL says 0 or less, and draws nothing. */
void no_random_begin(unsigned nth, int says);

/* There are some again; true if any were asked for in vain. */
bool no_random_end(void);

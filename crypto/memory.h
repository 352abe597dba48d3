/* Whether memory ran out inside OpenSSL. Its functions tell of that as of a certificate that does
 * not parse, of a list that says nothing, or not at all; so that nothing may be concluded from what
 * they answered since. */
#pragma once

#include <stdbool.h>

/* Has OpenSSL allocate under watch, from now to the end of the process. Before anything else of
 * OpenSSL's is called. 0, or -EBUSY where it has allocated already. */
int memory_watch(void);

/* Whether OpenSSL allocates under watch; no peer's certificates are judged unless it does. */
bool memory_is_watched(void);

/* Forgets what was, before a judgement. */
void memory_watch_begin(void);

/* True if an allocation has failed since memory_watch_begin(). */
bool memory_ran_out(void);

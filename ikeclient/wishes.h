/* The Child SAs that are configured: which of them are not there, and when each may be asked for.
 */
#pragma once

#include "ikeclient/sa.h"

/* The place of the first one that is configured, not there, and may be asked for at `now`
 * (CLOCK_MONOTONIC, µs); CHILD_PLACES: none is. None is while there is no Child SA at all: that of
 * IKE_AUTH comes first, and where it has gone all is made anew. */
unsigned wishes_owed(const IkeSa *sa, uint64_t now);

/* When the next one may be asked for, after `now`; UINT64_MAX: none waits. */
uint64_t wishes_due(const IkeSa *sa, uint64_t now);

/* What is configured for that place: NULL for that of IKE_AUTH. */
const ChildConfig *wishes_config(const IkeSa *sa, unsigned place);

/* "[child NAME]" into `text` (WISH_TEXT_SIZE octets); returns `text`. */
enum { WISH_TEXT_SIZE = CONFIG_NAME_SIZE + sizeof("[child ]") };
const char *wishes_text(const IkeSa *sa, unsigned place, char *text);

/* One is asked for now. Should it not come, or go again soon, the next time is later each time. */
void wishes_asked(IkeSa *sa, unsigned place);

/* It is there. */
void wishes_made(IkeSa *sa, unsigned place);

/* It can't be had, which is said: it is asked for again in minutes. */
void wishes_refused(IkeSa *sa, unsigned place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The Child SAs that are configured (RFC 7296 1.3.1): which of them are not there, when each may be
 * asked for, and the task that asks. */
#pragma once

#include "ikeclient/sa.h"

extern const TaskKind create_child_task; /* of the first one that is owed */

/* The place of the first one that is configured, not there, and may be asked for at `now`
 * (CLOCK_MONOTONIC, µs); CHILD_PLACES: none is. None is while there is no Child SA at all: that of
 * IKE_AUTH comes first, and where it has gone all is made anew. */
unsigned configured_child_owed(const IkeSa *sa, uint64_t now);

/* When the next one may be asked for, after `now`; UINT64_MAX: none waits. */
uint64_t configured_child_due(const IkeSa *sa, uint64_t now);

/* The DSCPs that one in that place sends; 0: it is chosen by its selectors alone. */
uint64_t child_config_dscps(const IkeSa *sa, unsigned place);

/* Has tred know them of the Child SA to come under `spi_in`, for a task that waits for one answer
 * more then (*awaited). 0 or a negative errno. */
int child_config_set_dscps(Task *task, unsigned place, uint32_t spi_in, size_t *awaited);

/* It can't be had, which is said: it is asked for again in minutes. */
void configured_child_refused(IkeSa *sa, unsigned place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

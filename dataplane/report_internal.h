/* What report*.c share, and nobody else. */
#pragma once

#include "dataplane/order.h"

enum { REPORT_ANSWER = 1, REPORT_EVENT = 2 };

enum { ANSWER_FIELDS_MAX = sizeof(SaCounters) / sizeof(uint64_t) };

/* Fills `fields` with the numbers that an answer carries, in their order on the socket, and says
 * how many: one list for both directions. */
size_t answer_fields(Answer *answer, uint64_t *fields[ANSWER_FIELDS_MAX]);

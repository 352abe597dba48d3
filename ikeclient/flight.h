/* Calls to tred that go out at once: nothing is waited for that follows from the first of them. */
#pragma once

#include "ikeclient/sa.h"

/* One that is free; NULL: all are under way. */
Flight *flight_new(IkeSa *sa);

/* Makes the calls. 0, or a negative errno: the flight is freed, and what tred was asked already is
 * of no consequence. */
int flight_start(Flight *flight, const TreCall *lead, FlightHandler handler, const TreCall *along,
                 size_t n_along);

/* Drops what it waits for. A free one is fine. */
void flight_free(Flight *flight);

/* Calls to tred that go out at once: nothing is waited for that follows from the first of them. */
#include "ikeclient/flight.h"

#include "ikeclient/task.h"

#include <errno.h>
#include <stdlib.h>

Flight *flight_new(IkeSa *sa)
{
    for (size_t i = 0; i < ELEMENTS(sa->flights); i++) {
        Flight *flight = &sa->flights[i];
        if (flight->sa)
            continue;
        *flight = (Flight){.sa = sa};
        return flight;
    }
    return NULL;
}

void flight_free(Flight *flight)
{
    if (!flight->sa)
        return;
    tre_forget(flight->sa->tre, flight);
    free(flight->request);
    *flight = (Flight){0};
}

static void flight_landed(Flight *flight)
{
    if (--flight->n_calls == 0)
        flight_free(flight);
}

/* What the lead has led to is the first task now. */
static void on_lead(void *userdata, const TreReply *reply)
{
    Flight *flight = userdata;
    IkeSa *sa = flight->sa;

    if (flight->handler(flight, reply) && !sa->closed)
        flight->task = sa->tasks.first;
    flight_landed(flight);
}

static void on_along(void *userdata, const TreReply *reply)
{
    Flight *flight = userdata;
    Task *task = flight->task;

    flight_landed(flight);
    if (task)
        task_replied(task, reply);
}

static int call(Flight *flight, const TreCall *made, TreHandler handler)
{
    TreCall copy = *made;

    copy.exchange = flight->sa->exchange;
    int r = tre_call(flight->sa->tre, &copy, handler, flight);
    if (r == 0)
        flight->n_calls++;
    return r;
}

int flight_start(Flight *flight, const TreCall *lead, FlightHandler handler, const TreCall *along,
                 size_t n_along)
{
    flight->handler = handler;
    int r = call(flight, lead, on_lead);
    for (size_t i = 0; r == 0 && i < n_along; i++)
        r = call(flight, &along[i], on_along);
    if (r < 0)
        flight_free(flight);
    return r;
}

/* Keeps the steps of the last connection. */
#include "ikeclient/flow.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void step_deinit(FlowStep *step)
{
    free(step->from);
    free(step->to);
    free(step->details);
    *step = (FlowStep){0};
}

void flow_begin(Flow *flow)
{
    for (size_t i = 0; i < flow->n_steps; i++)
        step_deinit(&flow->steps[i]);
    *flow = (Flow){0};
}

const char *flow_peer(const Flow *flow)
{
    return flow->n_steps > 0 ? flow->steps[0].to : "";
}

void flow_deinit(Flow *flow)
{
    flow_begin(flow);
}

/* What the bus takes for a string, and a terminal for harmless. */
static char *printable(const char *text)
{
    char *copy = strdup(text);

    for (char *c = copy; copy && *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
    return copy;
}

static uint64_t realtime_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void flow_add(Flow *flow, const Step *step)
{
    if (flow->n_steps == FLOW_STEPS_MAX)
        return;
    if (flow->begun == 0)
        flow->begun = step->start;
    flow->spi = step->spi;
    FlowStep kept = {
        .realtime = realtime_usec(),
        .elapsed = step->at - flow->begun,
        .number = step->number,
        .what = step->what,
        .from = printable(step->from),
        .to = printable(step->to),
        .details = printable(step->details),
    };
    if (kept.from && kept.to && kept.details) {
        flow->steps[flow->n_steps++] = kept;
    } else {
        step_deinit(&kept);
    }
}

/* The steps of the last connection that was begun, kept for whoever asks: what report.h has of each
 * step when it happens. Step 7 is about the IKE SA before, and belongs to the connection that
 * replaced it. */
#pragma once

#include "ikeclient/report.h"

#include <stddef.h>

enum { FLOW_STEPS_MAX = 24 }; /* a cookie and each other group repeat steps 1 and 2 */

typedef struct FlowStep {
    uint64_t realtime; /* CLOCK_REALTIME, µs */
    uint64_t elapsed;  /* µs since the connection was begun */
    unsigned number;
    const char *what; /* static */
    char *from;       /* FQDNs; who acts … */
    char *to;         /* … and to whom a message goes; "": a step that is none */
    char *details;    /* printable ASCII: parts of it may be the SeGW's words */
} FlowStep;

typedef struct Flow {
    uint64_t begun; /* CLOCK_MONOTONIC, µs; 0: its first step is still to come */
    uint64_t spi;   /* SPI_i of the IKE SA that the last step was of */
    size_t n_steps;
    FlowStep steps[FLOW_STEPS_MAX];
} Flow;

/* Another connection is begun: forgets the steps of the one before. */
void flow_begin(Flow *flow);

/* Keeps a step. One more than FLOW_STEPS_MAX, or without memory for it, is left out. */
void flow_add(Flow *flow, const Step *step);

/* The SeGW that the first step went to; "" before. */
const char *flow_peer(const Flow *flow);

void flow_deinit(Flow *flow);

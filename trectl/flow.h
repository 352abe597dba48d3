/* trectl flow: the last exchange as a ladder, or as a sequence diagram. */
#pragma once

#include "trectl/busjson.h"

#include <stdbool.h>
#include <stdio.h>

/* Steps, as org.tred.IkeClient1 has them (an array of [realtime µs, µs, number, name, from, to,
 * details]), as a ladder of text. */
void flow_print(FILE *stream, json_object *steps);

/* The same as an SVG document. */
void flow_svg(FILE *stream, json_object *steps);

enum { FLOW_NAME_SIZE = 256 };

typedef struct FlowStepView {
    uint64_t realtime, elapsed; /* µs */
    unsigned number;
    const char *name, *from, *to, *details; /* the JSON object's */
    bool henbs;                             /* the HeNB acts; else the SeGW */
    bool message;                           /* to the other side */
} FlowStepView;

/* The two ends: who sends the first message, and the other one, by the name that it had last, as it
 * is proven by then. "" where there is no message. */
typedef struct FlowEnds {
    const char *henb, *segw;
} FlowEnds;

size_t flow_count(json_object *steps);
FlowEnds flow_ends(json_object *steps);
FlowStepView flow_step(json_object *steps, const FlowEnds *ends, size_t i);

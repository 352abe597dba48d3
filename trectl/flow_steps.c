/* Reads the property Steps. */
#include "trectl/flow_steps.h"

#include <string.h>

enum { REALTIME, ELAPSED, NUMBER, NAME, FROM, TO, DETAILS };

size_t flow_count(json_object *steps)
{
    return json_count(steps);
}

static const char *text_of(json_object *step, size_t member)
{
    const char *text = json_object_get_string(json_item(step, member));

    return text ? text : "";
}

static FlowStepView step_read(json_object *steps, size_t i)
{
    json_object *step = json_item(steps, i);
    FlowStepView view = {
        .realtime = json_object_get_uint64(json_item(step, REALTIME)),
        .elapsed = json_object_get_uint64(json_item(step, ELAPSED)),
        .number = (unsigned)json_object_get_int(json_item(step, NUMBER)),
        .name = text_of(step, NAME),
        .from = text_of(step, FROM),
        .to = text_of(step, TO),
        .details = text_of(step, DETAILS),
    };

    view.message = view.to[0] != '\0';
    return view;
}

FlowEnds flow_ends(json_object *steps)
{
    FlowEnds ends = {"", ""};

    for (size_t i = 0; i < flow_count(steps); i++) {
        const FlowStepView step = step_read(steps, i);

        if (!step.message)
            continue;
        if (ends.henb[0] == '\0')
            ends.henb = step.from;
        ends.segw = strcmp(step.from, ends.henb) == 0 ? step.to : step.from;
    }
    return ends;
}

FlowStepView flow_step(json_object *steps, const FlowEnds *ends, size_t i)
{
    FlowStepView view = step_read(steps, i);

    view.henbs = strcmp(view.from, ends->henb) == 0;
    return view;
}

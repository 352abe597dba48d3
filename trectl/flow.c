/* trectl flow: reads the property Steps, the last exchange, and prints it as a ladder of text. */
#include "trectl/flow.h"

#include "base/program.h"
#include "base/reason.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "trectl/words.h"
#include "tred/bus_connection.h"

#include <errno.h>
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

enum { WIDTH = 68, NOTE = 60, USEC_PER_SEC = 1000000, SVG = 256 };

/* `text` with `fill` up to WIDTH, between the lifelines. */
static void rung_print(FILE *stream, const FlowStepView *step)
{
    char text[WIDTH + 1];
    const char *before = !step->message ? "  " : step->henbs ? "--" : "<-";
    const char fill = step->message ? '-' : ' ';
    int length = snprintf(text, sizeof(text), "%s %u  %s%s ", before, step->number, step->name,
                          step->message ? ""
                          : step->henbs ? " (HeNB)"
                                        : " (SeGW)");

    length = length > WIDTH ? WIDTH : length;
    memset(text + length, fill, (size_t)(WIDTH - length));
    if (step->message && step->henbs)
        text[WIDTH - 1] = '>';
    text[WIDTH] = '\0';
    (void)fprintf(stream, "  |%s|  +%.1f ms\n", text, (double)step->elapsed / 1000);
}

static void note_print(FILE *stream, const char *text)
{
    while (*text != '\0') {
        const char *next;
        const size_t length = words_line_break(text, NOTE, &next);

        (void)fprintf(stream, "  |      %-*.*s|\n", WIDTH - 6, (int)length, text);
        text = next;
    }
}

void flow_print(FILE *stream, json_object *steps)
{
    const FlowEnds ends = flow_ends(steps);
    char moment[WORDS_SIZE];

    if (flow_count(steps) > 0) {
        const FlowStepView first = flow_step(steps, &ends, 0);

        (void)fprintf(stream, "  %s\n\n",
                      words_time((time_t)(first.realtime / USEC_PER_SEC), moment));
    }
    (void)fprintf(stream, "  HeNB%*s\n  %s%*s\n", WIDTH - 2, "SeGW", ends.henb,
                  WIDTH + 2 - (int)strlen(ends.henb), ends.segw);
    for (size_t i = 0; i < flow_count(steps); i++) {
        const FlowStepView step = flow_step(steps, &ends, i);

        rung_print(stream, &step);
        note_print(stream, step.details);
    }
}

/* ---- the command ---- */

static const CommandOption options[] = {
    {"svg", "FILE", SVG,
     "draw it as a sequence diagram (SVG) into this file, - for standard output"},
    {"json", NULL, 'j', "print the steps as JSON"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl flow",
    .usage =
        "Usage: trectl flow [--svg FILE | --json]\n"
        "Shows the last exchange with the SeGW step by step, with its times (TR 33.820 7.6.2.3).\n",
    .options = options,
    .more = "Exit status: 0 shown, 1 there was none yet, 69 ikeclient does not run, 73 the file "
            "can't be\nwritten.\n",
};

typedef struct FlowOptions {
    const char *svg;
    bool json;
} FlowOptions;

static int option_take(int value, const char *argument, void *userdata)
{
    FlowOptions *given = userdata;

    if (value == SVG) {
        given->svg = argument;
    } else {
        given->json = true;
    }
    return 0;
}

static int svg_write(const char *path, json_object *steps)
{
    if (strcmp(path, "-") == 0) {
        flow_svg(stdout, steps);
        return EX_OK;
    }
    FILE *file = fopen(path, "we");
    if (file) {
        flow_svg(file, steps);
        const int written = ferror(file) == 0;
        if (fclose(file) == 0 && written)
            return EX_OK;
    }
    (void)fprintf(stderr, "trectl flow: %s can't be written: %s\n", path, strerror(errno));
    return EX_CANTCREAT;
}

static int show(const FlowOptions *given, json_object *steps)
{
    if (flow_count(steps) == 0) {
        (void)fputs(
            "trectl flow: there was no exchange since ikeclient was started. Connect: trectl up\n",
            stderr);
        return EXIT_FAILURE;
    }
    if (given->svg)
        return svg_write(given->svg, steps);
    if (given->json) {
        (void)puts(json_object_to_json_string_ext(steps, JSON_C_TO_STRING_PRETTY |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE));
    } else {
        flow_print(stdout, steps);
    }
    return EX_OK;
}

int flow_main(int argc, char **argv)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(json_object_putp) json_object *steps = NULL;
    FlowOptions given = {0};
    Reason reason = {0};
    int r = commandline_read(&line, argc, argv, option_take, &given);

    if (r != COMMANDLINE_GO_ON)
        return r;
    r = bus_connection_open(&bus, &reason);
    if (r >= 0) {
        r = bus_json_property(bus, CLIENT_NAME, CLIENT_PATH, CLIENT_INTERFACE, "Steps", &steps);
        if (r < 0)
            reason_set(&reason, r, "ikeclient does not run. Start it: systemctl start ikeclient");
    }
    if (r < 0) {
        (void)fprintf(stderr, "trectl flow: %s\n", reason.text);
        return EX_UNAVAILABLE;
    }
    return show(&given, steps);
}

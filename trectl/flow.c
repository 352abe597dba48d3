/* trectl flow: reads the property Steps, the last exchange, and shows it as a ladder of text or as
 * a sequence diagram (SVG). */
#include "trectl/flow.h"

#include "base/cleanup.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/busjson.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "trectl/words.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { USEC_PER_SEC = 1000000, SVG = 256 };

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

enum { REALTIME, ELAPSED, NUMBER, NAME, FROM, TO, DETAILS };

static size_t flow_count(json_object *steps)
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

static FlowEnds flow_ends(json_object *steps)
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

static FlowStepView flow_step(json_object *steps, const FlowEnds *ends, size_t i)
{
    FlowStepView view = step_read(steps, i);

    view.henbs = strcmp(view.from, ends->henb) == 0;
    return view;
}

/* ---- the ladder ---- */

enum { WIDTH = 68, NOTE = 60 };

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

/* ---- JSON ---- */

void flow_json(FILE *stream, json_object *steps)
{
    static const char *const names[] = {
        [REALTIME] = "Time", [ELAPSED] = "Elapsed", [NUMBER] = "Step",     [NAME] = "Name",
        [FROM] = "From",     [TO] = "To",           [DETAILS] = "Details",
    };
    _cleanup_(json_object_putp) json_object *array = json_object_new_array();

    for (size_t i = 0; i < flow_count(steps); i++) {
        json_object *step = json_object_new_object();

        for (size_t member = 0; member < ELEMENTS(names); member++) {
            (void)json_object_object_add(step, names[member],
                                         json_object_get(json_item(json_item(steps, i), member)));
        }
        (void)json_object_array_add(array, step);
    }
    (void)fprintf(stream, "%s\n",
                  json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* ---- the sequence diagram: two lifelines, an arrow for each message, a box for what one side does
 * by itself, each with its step number in a disc and its time beside ---- */

enum {
    PAGE_WIDTH = 940,
    HENB_X = 170,
    SEGW_X = 790,
    HEAD_TOP = 52,
    HEAD_HEIGHT = 46,
    HEAD_WIDTH = 230,
    BOX_WIDTH = 500,
    TEXT_CHARACTERS = 92,
    BOX_CHARACTERS = 74,
    LINE_HEIGHT = 15,
    STEP_GAP = 20,
    DISC = 10,
};

static void text_escape(FILE *stream, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (text[i]) {
        case '&':
            (void)fputs("&amp;", stream);
            break;
        case '<':
            (void)fputs("&lt;", stream);
            break;
        case '>':
            (void)fputs("&gt;", stream);
            break;
        default:
            (void)fputc(text[i], stream);
        }
    }
}

static void text_draw(FILE *stream, const char *class, int x, int y, const char *text,
                      size_t length)
{
    (void)fprintf(stream, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
    text_escape(stream, text, length);
    (void)fputs("</text>\n", stream);
}

static unsigned lines_of(const char *text, size_t width)
{
    unsigned count = 0;

    while (*text != '\0') {
        (void)words_line_break(text, width, &text);
        count++;
    }
    return count;
}

static void details_draw(FILE *stream, const char *text, size_t width, int x, int y)
{
    while (*text != '\0') {
        const char *next;
        const size_t length = words_line_break(text, width, &next);

        text_draw(stream, "details", x, y, text, length);
        text = next;
        y += LINE_HEIGHT;
    }
}

/* How far down the page a step goes, from its top. */
static int step_height(const FlowStepView *step)
{
    const size_t width = step->message ? TEXT_CHARACTERS : BOX_CHARACTERS;

    return (step->message ? 26 : 34) + LINE_HEIGHT * (int)lines_of(step->details, width) + STEP_GAP;
}

static void disc_draw(FILE *stream, const FlowStepView *step, int x, int y)
{
    (void)fprintf(stream,
                  "<circle class=\"disc\" cx=\"%d\" cy=\"%d\" r=\"%d\"/>\n"
                  "<text class=\"number\" x=\"%d\" y=\"%d\">%u</text>\n",
                  x, y, DISC, x, y + 4, step->number);
}

static void message_draw(FILE *stream, const FlowStepView *step, int top)
{
    const int middle = (HENB_X + SEGW_X) / 2, y = top + 20;
    const int from = step->henbs ? HENB_X + DISC : SEGW_X - DISC,
              to = step->henbs ? SEGW_X - 3 : HENB_X + 3;

    text_draw(stream, "name", middle, top + 12, step->name, strlen(step->name));
    (void)fprintf(stream, "<line class=\"arrow\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", from,
                  y, to, y);
    disc_draw(stream, step, step->henbs ? HENB_X : SEGW_X, y);
    details_draw(stream, step->details, TEXT_CHARACTERS, middle, y + LINE_HEIGHT + 1);
}

static void alone_draw(FILE *stream, const FlowStepView *step, int top)
{
    const int left = step->henbs ? HENB_X : SEGW_X - BOX_WIDTH,
              height = step_height(step) - STEP_GAP + 4, middle = left + BOX_WIDTH / 2;

    (void)fprintf(stream,
                  "<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n",
                  left, top, BOX_WIDTH, height);
    text_draw(stream, "name", middle, top + 18, step->name, strlen(step->name));
    details_draw(stream, step->details, BOX_CHARACTERS, middle, top + 18 + LINE_HEIGHT + 1);
    disc_draw(stream, step, step->henbs ? HENB_X : SEGW_X, top + height / 2);
}

static void head_draw(FILE *stream, int x, const char *role, const char *name)
{
    const int left = x - HEAD_WIDTH / 2;

    (void)fprintf(stream,
                  "<rect class=\"head\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n",
                  left, HEAD_TOP, HEAD_WIDTH, HEAD_HEIGHT);
    text_draw(stream, "role", x, HEAD_TOP + 19, role, strlen(role));
    text_draw(stream, "end", x, HEAD_TOP + 36, name, strlen(name));
}

static void time_draw(FILE *stream, const FlowStepView *step, int y)
{
    (void)fprintf(stream, "<text class=\"time\" x=\"%d\" y=\"%d\">+%.1f ms</text>\n",
                  HENB_X - DISC - 10, y + 4, (double)step->elapsed / 1000);
}

static const char style[] =
    "<style>\n"
    "text { font-family: \"DejaVu Sans\", Verdana, sans-serif; text-anchor: middle; fill: #1d2733 "
    "}\n"
    ".title { font-size: 15px; font-weight: bold; text-anchor: start }\n"
    ".moment { font-size: 11px; text-anchor: end; fill: #5b6775 }\n"
    ".role { font-size: 13px; font-weight: bold }\n"
    ".end { font-size: 11px }\n"
    ".name { font-size: 12.5px; font-weight: bold }\n"
    ".details { font-size: 11px; fill: #41505f }\n"
    ".time { font-size: 11px; text-anchor: end; fill: #5b6775 }\n"
    ".number { font-size: 11px; font-weight: bold; fill: #ffffff }\n"
    ".head { fill: #e8eef5; stroke: #2b5c8a; stroke-width: 1.2 }\n"
    ".box { fill: #f6f3e8; stroke: #a08a3c; stroke-width: 1 }\n"
    ".disc { fill: #2b5c8a }\n"
    ".life { stroke: #9aa7b4; stroke-width: 1.2; stroke-dasharray: 5 4 }\n"
    ".arrow { stroke: #2b5c8a; stroke-width: 1.6; marker-end: url(#head) }\n"
    "</style>\n"
    "<defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" "
    "markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 L10 5 L0 10 z\" "
    "fill=\"#2b5c8a\"/></marker></defs>\n";

static void frame_draw(FILE *stream, const FlowEnds *ends, time_t begun, int bottom)
{
    static const char title[] = "Certificate-based authentication (3GPP TR 33.820 7.6.2.3)";
    char moment[WORDS_SIZE];

    (void)fprintf(stream,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\">\n"
                  "%s<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                  PAGE_WIDTH, bottom + 16, PAGE_WIDTH, bottom + 16, style);
    text_draw(stream, "title", HENB_X - HEAD_WIDTH / 2, 30, title, strlen(title));
    words_time(begun, moment);
    text_draw(stream, "moment", SEGW_X + HEAD_WIDTH / 2, 30, moment, strlen(moment));
    for (size_t i = 0; i < 2; i++) {
        const int x = i == 0 ? HENB_X : SEGW_X;

        (void)fprintf(stream, "<line class=\"life\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", x,
                      HEAD_TOP + HEAD_HEIGHT, x, bottom);
    }
    head_draw(stream, HENB_X, "HeNB", ends->henb);
    head_draw(stream, SEGW_X, "SeGW", ends->segw);
}

void flow_svg(FILE *stream, json_object *steps)
{
    const FlowEnds ends = flow_ends(steps);
    const int begin = HEAD_TOP + HEAD_HEIGHT + STEP_GAP;
    int bottom = begin;
    time_t begun = 0;

    for (size_t i = 0; i < flow_count(steps); i++) {
        const FlowStepView step = flow_step(steps, &ends, i);

        if (i == 0)
            begun = (time_t)(step.realtime / USEC_PER_SEC);
        bottom += step_height(&step);
    }
    frame_draw(stream, &ends, begun, bottom);
    int top = begin;
    for (size_t i = 0; i < flow_count(steps); i++) {
        const FlowStepView step = flow_step(steps, &ends, i);

        if (step.message) {
            message_draw(stream, &step, top);
        } else {
            alone_draw(stream, &step, top);
        }
        time_draw(stream, &step,
                  step.message ? top + 20 : top + (step_height(&step) - STEP_GAP + 4) / 2);
        top += step_height(&step);
    }
    (void)fputs("</svg>\n", stream);
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
        flow_json(stdout, steps);
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

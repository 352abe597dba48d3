/* The last exchange as a sequence diagram: two lifelines, an arrow for each message, a box for what
 * one side does by itself, each with its step number in a disc and its time beside. */
#include "trectl/flow.h"
#include "trectl/words.h"

#include <string.h>

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
    USEC_PER_SEC = 1000000,
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

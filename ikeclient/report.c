/* The steps of the call flow as log lines with their times, and as they are kept; advice for error
 * notifies. */
#include "ikeclient/report.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/messages.h"
#include "ikewire/registry.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LINE_SIZE = 2560, /* more than log_line() takes, which says where it cuts */
    DETAILS_SIZE = 768,
};

/* ---- a line about a connection ---- */

static void report(const Config *config, int level, const LogFields *fields, const char *format,
                   va_list arguments) __attribute__((format(printf, 4, 0)));

/* `fields`: NULL for none. */
static void report(const Config *config, int level, const LogFields *fields, const char *format,
                   va_list arguments)
{
    char text[LINE_SIZE];

    if (!log_is_on(level))
        return;
    (void)vsnprintf(text, sizeof(text), format, arguments);
    log_fields(level, fields, "%s%s", config->label, text);
}

void report_line(const Config *config, int level, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(config, level, NULL, format, arguments);
    va_end(arguments);
}

void report_fields(const Config *config, int level, const LogFields *fields, const char *format,
                   ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(config, level, fields, format, arguments);
    va_end(arguments);
}

/* ---- the steps of the call flow ---- */

static uint64_t now_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static double ms(uint64_t usec)
{
    return (double)usec / 1000;
}

void steps_start(Steps *steps)
{
    steps->start = now_usec();
    steps->last = steps->start;
}

void steps_name(Steps *steps, const char *henb, const char *segw)
{
    (void)snprintf(steps->henb, sizeof(steps->henb), "%s", henb);
    (void)snprintf(steps->segw, sizeof(steps->segw), "%s", segw);
}

void steps_take_over(Steps *steps, const Steps *from)
{
    const Steps own = *steps;

    *steps = *from;
    steps->config = own.config;
    steps->told = own.told;
    steps->userdata = own.userdata;
}

double steps_elapsed_ms(const Steps *steps)
{
    return ms(now_usec() - steps->start);
}

void steps_log(Steps *steps, unsigned number, const char *what, StepWay way, const char *format,
               ...)
{
    va_list arguments;
    char details[DETAILS_SIZE];

    if (!log_is_on(LOG_INFO) && !steps->told)
        return;
    va_start(arguments, format);
    (void)vsnprintf(details, sizeof(details), format, arguments);
    va_end(arguments);

    bool from_henb = way == STEP_HENB_TO_SEGW || way == STEP_AT_HENB;
    bool message = way == STEP_HENB_TO_SEGW || way == STEP_SEGW_TO_HENB;
    const char *actor = from_henb ? steps->henb : steps->segw;
    const char *other = from_henb ? steps->segw : steps->henb;
    uint64_t now = now_usec();
    const LogFields fields = {
        .message_id = MESSAGE_STEP, .peer = steps->segw, .spi = steps->spi, .step = number};
    report_fields(steps->config, LOG_INFO, &fields, "step %u %s  %s%s%s  %s  (+%.1f ms, %.1f ms)",
                  number, what, actor, message ? " -> " : "", message ? other : "", details,
                  ms(now - steps->start), ms(now - steps->last));
    steps->last = now;
    if (!steps->told)
        return;
    Step step = {.start = steps->start,
                 .at = now,
                 .spi = steps->spi,
                 .number = number,
                 .what = what,
                 .from = actor,
                 .to = message ? other : "",
                 .details = details};
    steps->told(steps->userdata, &step);
}

/* ---- error notifies in words ---- */

static const struct {
    uint16_t type;
    const char *advice;
} advices[] = {
    {IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, "it lacks a part of IKEv2 that we use"},
    {IKE_NOTIFY_INVALID_IKE_SPI, "it does not know this IKE SA: it may have been restarted"},
    {IKE_NOTIFY_INVALID_MAJOR_VERSION, "it does not speak IKEv2: check [segw] address"},
    {IKE_NOTIFY_INVALID_SYNTAX, "it could not read our message: its log says which part"},
    {IKE_NOTIFY_NO_PROPOSAL_CHOSEN,
     "it takes none of our algorithms: compare [ike] and [child] proposals with its own"},
    {IKE_NOTIFY_INVALID_KE_PAYLOAD,
     "it wants another key exchange group: compare the groups in [ike] proposals with its own"},
    {IKE_NOTIFY_AUTHENTICATION_FAILED, "it does not accept our certificate or AUTH, or wants EAP "
                                       "beside them: check that it knows the "
                                       "vendor's root and our name, that the certificate is valid, "
                                       "and that it asks for nothing else"},
    {IKE_NOTIFY_SINGLE_PAIR_REQUIRED, "it wants one address pair: narrow [child] remote-ts"},
    {IKE_NOTIFY_NO_ADDITIONAL_SAS, "it takes no further Child SA"},
    {IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE,
     "it has no address to assign: check its pool and [child] request-address"},
    {IKE_NOTIFY_FAILED_CP_REQUIRED, "it wants to assign an address: set [child] request-address"},
    {IKE_NOTIFY_TS_UNACCEPTABLE,
     "it serves none of the selectors we asked for: check [child] remote-ts and request-address"},
    {IKE_NOTIFY_TEMPORARY_FAILURE, "it is busy: try again later"},
};

const char *advice_for(uint16_t notify_type)
{
    for (size_t i = 0; i < ELEMENTS(advices); i++) {
        if (advices[i].type == notify_type)
            return advices[i].advice;
    }
    return "its log says why";
}

/* ---- the steps that are kept ---- */

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

/* What a person reads of a connection. The call flow of certificate-based authentication
 * (TR 33.820 7.6.2.3, figure 6) as log lines, one for each step:
 *
 *     step 3 IKE_AUTH request  henb.example -> segw.example  ecdsa-with-SHA256, 1 datagram  (+3.4
 * ms, 0.9 ms)
 *
 * Fields stand two spaces apart: the number and what it is; who to whom, or who alone for a step
 * that is no message; details; milliseconds since the connection was begun, and since the line
 * before. ikeclient(8) promises this form. The same steps are kept for whoever asks. */
#pragma once

#include "base/log.h"
#include "ikeclient/config.h"
#include <stddef.h>

#include <stdint.h>

/* log_line() and log_fields() for what is about one connection: its name stands in front where
 * there are several. */
void report_line(const Config *config, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_fields(const Config *config, int level, const LogFields *fields, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* ---- the steps of the call flow ---- */

enum { STEP_NAME_SIZE = 256 };

/* One step, as it is told. */
typedef struct Step {
    uint64_t start; /* of the connection, CLOCK_MONOTONIC, µs */
    uint64_t at;    /* the same clock */
    uint64_t spi;   /* SPI_i */
    unsigned number;
    const char *what; /* static: "IKE_AUTH request" */
    const char *from; /* whoever acts */
    const char *to;   /* "" for a step that is no message */
    const char *details;
} Step;

typedef struct Steps {
    uint64_t start; /* CLOCK_MONOTONIC, µs */
    uint64_t last;
    uint64_t spi; /* SPI_i, once there is one */
    char henb[STEP_NAME_SIZE];
    char segw[STEP_NAME_SIZE];
    const Config *config;                           /* of the connection; borrowed */
    void (*told)(void *userdata, const Step *step); /* of each step; NULL: nobody */
    void *userdata;
} Steps;

typedef enum StepWay {
    STEP_HENB_TO_SEGW,
    STEP_SEGW_TO_HENB,
    STEP_AT_HENB,
    STEP_AT_SEGW,
} StepWay;

void steps_start(Steps *steps);
void steps_name(Steps *steps, const char *henb, const char *segw);

/* Names and times of another IKE SA's; whose they are, and whom they are told, stays as it is. */
void steps_take_over(Steps *steps, const Steps *from);

/* Milliseconds since steps_start(). */
double steps_elapsed_ms(const Steps *steps);

/* Writes the line of a step, and tells it. `what` is static. */
void steps_log(Steps *steps, unsigned number, const char *what, StepWay way, const char *format,
               ...) __attribute__((format(printf, 5, 6)));

/* ---- error notifies in words ---- */

/* What the SeGW says with an error notify, and what a person can do about it: a static sentence
 * without a full stop at its end. */
const char *advice_for(uint16_t notify_type);

/* ---- the steps of the last connection that was begun ----
 * Step 7 is about the IKE SA before, and belongs to the connection that replaced it. */

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

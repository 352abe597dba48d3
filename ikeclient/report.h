/* What a person reads of a connection. The call flow of certificate-based authentication
 * (TR 33.820 7.6.2.3, figure 6) as log lines, one for each step:
 *
 *     step 3 IKE_AUTH request  henb.example -> segw.example  ecdsa-with-SHA256, 1 datagram  (+3.4
 * ms, 0.9 ms)
 *
 * Fields stand two spaces apart: the number and what it is; who to whom, or who alone for a step
 * that is no message; details; milliseconds since the connection was begun, and since the line
 * before. ikeclient(8) promises this form. */
#pragma once

#include <stdint.h>

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

/* Names and times of another IKE SA's; whom they are told stays as it is. */
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

/* Calls without a bus: the linker puts these functions in the place of bus_call.c's (ld --wrap).
 * Calls are numbers, arguments are what the test says, and answers are noted. */
#pragma once

#include "bus_message_fixture.h"
#include "tred/bus_call.h"

#include <stddef.h>
#include <stdint.h>

enum { CALL_NUMBERS_MAX = 4, CALL_OCTETS_MAX = 2 };

typedef struct BusCalls {
    int read_result;
    uint64_t numbers[CALL_NUMBERS_MAX]; /* the arguments, in order: what is a number, … */
    Bytes octets[CALL_OCTETS_MAX];      /* … what is octets, … */
    const char *string;                 /* … and what is text */
    unsigned replies;                   /* at once */
    int reply_result;
    unsigned answers; /* later */
    int error;        /* of the last of these */
    char reason[256];
    char text[256]; /* the values of the last reply or answer, a blank after each */
} BusCalls;

extern BusCalls bus_calls;

/* These, and the messages. */
void bus_calls_reset(void);

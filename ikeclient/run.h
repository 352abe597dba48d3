/* A run of the program: what it is started for, and when it is over. */
#pragma once

#include "ikeclient/bus.h"
#include "ikeclient/trebus.h"

typedef enum RunMode {
    RUN_SERVICE, /* connect, stay, connect again */
    RUN_ONCE,    /* one connection; its end is ours */
    RUN_COUNT,   /* connect and delete a number of times */
} RunMode;

/* Runs until it is over, logs what goes wrong, and returns the exit status. */
int run(const Config *config, RunMode mode, unsigned count);

/* What the person at the line sees. */
#pragma once

#include "provisioning/record.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct Tally {
    unsigned good, failed, refused; /* devices; lines that were none */
    double milliseconds;            /* of the good ones together, and so below */
    double tpm_milliseconds;
    unsigned n_commands;
    RecordCommand commands[TPM_METER_COMMANDS];
} Tally;

void tally_add(Tally *tally, const DeviceRecord *record);

/* Devices a minute, the cost of each, and the time by TPM command. */
void tally_print(const Tally *tally, double seconds, FILE *stream);

typedef struct Progress {
    bool terminal; /* standard error is one */
    bool drawn;    /* a bar stands in its last line */
    unsigned seen; /* devices that have come so far */
    unsigned good, failed, working;
} Progress;

void progress_init(Progress *progress);

/* Draws the bar anew, if there is one to draw. */
void progress_draw(Progress *progress);

/* Takes the bar away, so that something else can be printed. */
void progress_clear(Progress *progress);

/* A device has ended. */
void progress_device(Progress *progress, const DeviceRecord *record);

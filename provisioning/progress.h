/* How far is the line? A bar on a terminal, else a line for each device. */
#pragma once

#include "provisioning/record.h"

#include <stdbool.h>

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

/* When the next attempt to connect may begin, after those that failed, also before a restart. */
#pragma once

#include "ikeclient/config.h"

#include <systemd/sd-event.h>

typedef struct Retry {
    sd_event *event;      /* borrowed */
    const Config *config; /* borrowed */
    unsigned failures;    /* in a row */
    uint64_t not_before;  /* CLOCK_MONOTONIC, µs */
    char *path;           /* of the file; NULL: nothing is remembered */
    bool changed;         /* the file is to be written */
    bool complained;      /* that it can't be */
} Retry;

void retry_init(Retry *retry, sd_event *event, const Config *config);
void retry_deinit(Retry *retry);

/* Goes on where the file in `folder` says that an earlier process was, and keeps it up to date from
 * now on. A damaged file is said, and counts for no file. 0 or -ENOMEM. */
int retry_remember(Retry *retry, const char *folder);

void retry_failed(Retry *retry);
void retry_succeeded(Retry *retry);

/* Writes the file if something has changed. It may take the time that a disk takes. */
void retry_save(Retry *retry);

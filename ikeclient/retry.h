/* When the next attempt to connect may begin, after those that failed. It is remembered over
 * restarts and reboots, so that a HeNB that is restarted again and again is no more of a burden to
 * a SeGW than one that waits. */
#pragma once

#include "base/bytes.h"
#include "ikeclient/config.h"

#include <stdint.h>
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

/* ---- the file ---- */

enum { BACKOFF_TEXT_SIZE = 128 };

/* Times are in seconds since 1970. */
typedef struct BackoffRecord {
    unsigned failures; /* in a row; at most BACKOFF_FAILURES_MAX */
    uint64_t saved;    /* when this was written … */
    uint64_t until;    /* … and when the next attempt may begin */
} BackoffRecord;

/* Reads the file's text. 0, or -EBADMSG for what backoff_format() does not write. */
int backoff_parse(Bytes text, BackoffRecord *ret);

/* Writes the text into `text` (BACKOFF_TEXT_SIZE octets), and returns its size. */
size_t backoff_format(const BackoffRecord *record, char *text);

/* How long the next attempt is still to wait, in ms, as it is `now` (seconds since 1970), and
 * `most_ms` at most. Where the clock is behind the record, as after a reboot without a clock, all
 * of the wait is still to come. */
uint64_t backoff_left_ms(const BackoffRecord *record, uint64_t now, uint64_t most_ms);

/* From and to a file. A missing one reads as no failures. 0, -EBADMSG, or a negative errno; *ret
 * then says that there were none. */
int backoff_load(const char *path, BackoffRecord *ret);
int backoff_save(const char *path, const BackoffRecord *record);

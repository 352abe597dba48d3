/* The count of failed attempts, the wait that follows from it, and the file that outlives us. */
#include "ikeclient/retry.h"

#include "base/log.h"
#include "ikeclient/backoff.h"
#include "ikeclient/backoff_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { USEC_PER_MS = 1000, USEC_PER_SEC = 1000000, MS_PER_SEC = 1000 };

static uint64_t now_usec(const Retry *retry)
{
    uint64_t now = 0;

    (void)sd_event_now(retry->event, CLOCK_MONOTONIC, &now);
    return now;
}

static uint64_t most_ms(const Retry *retry)
{
    return retry->config->retry_max * MS_PER_SEC;
}

void retry_init(Retry *retry, sd_event *event, const Config *config)
{
    *retry = (Retry){.event = event, .config = config};
}

void retry_deinit(Retry *retry)
{
    free(retry->path);
    retry->path = NULL;
}

int retry_remember(Retry *retry, const char *folder)
{
    BackoffRecord record;

    free(retry->path);
    const char *name = retry->config->name;
    const bool is_default = strcmp(name, CONNECTION_DEFAULT) == 0;
    if (asprintf(&retry->path, "%s/failures%s%s", folder, is_default ? "" : "-",
                 is_default ? "" : name) < 0) {
        retry->path = NULL;
        return -ENOMEM;
    }
    int r = backoff_load(retry->path, &record);
    if (r < 0) {
        log_warning("what %s said of failed attempts can't be used (%s): beginning anew",
                    retry->path, r == -EBADMSG ? "it is damaged" : strerror(-r));
        retry->changed = true;
        return 0;
    }
    uint64_t left = backoff_left_ms(&record, (uint64_t)time(NULL), most_ms(retry));
    retry->failures = record.failures;
    retry->not_before = left > 0 ? now_usec(retry) + left * USEC_PER_MS : 0;
    return 0;
}

/* Where the kernel has no random number to spare, the wait is the longest. */
void retry_failed(Retry *retry)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = UINT32_MAX;
    uint64_t wait = backoff_ms(retry->failures, most_ms(retry), random);
    if (retry->failures < BACKOFF_FAILURES_MAX)
        retry->failures++;
    retry->not_before = now_usec(retry) + wait * USEC_PER_MS;
    retry->changed = true;
}

void retry_succeeded(Retry *retry)
{
    retry->changed = retry->changed || retry->failures > 0;
    retry->failures = 0;
}

void retry_save(Retry *retry)
{
    uint64_t now = now_usec(retry);
    uint64_t left = retry->not_before > now ? retry->not_before - now : 0;
    BackoffRecord record = {.failures = retry->failures, .saved = (uint64_t)time(NULL)};

    if (!retry->changed || !retry->path)
        return;
    retry->changed = false;
    record.until = record.saved;
    if (record.failures > 0) /* rounded up */
        record.until += (left + USEC_PER_SEC - 1) / USEC_PER_SEC;
    int r = backoff_save(retry->path, &record);
    if (r < 0 && !retry->complained) {
        log_warning("failed attempts can't be written to %s (%s), and are forgotten with this "
                    "process: check the disk and StateDirectory of the unit",
                    retry->path, strerror(-r));
        retry->complained = true;
    }
}

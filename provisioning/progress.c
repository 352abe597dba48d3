/* What does the person at the line see? */
#include "provisioning/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

void progress_init(Progress *progress)
{
    *progress = (Progress){.terminal = isatty(STDERR_FILENO) == 1};
}

void progress_draw(Progress *progress)
{
    const unsigned done = progress->good + progress->failed;
    const unsigned filled = progress->seen > 0 ? BAR_WIDTH * done / progress->seen : 0;
    char bar[BAR_WIDTH + 1];

    if (!progress->terminal)
        return;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled < BAR_WIDTH ? filled : BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    /* To the line's start, and away with what was longer. */
    (void)fprintf(stderr, "\r[%s] %u of %u, %u failed, %u at work\033[K", bar, done, progress->seen,
                  progress->failed, progress->working);
    (void)fflush(stderr);
    progress->drawn = true;
}

void progress_clear(Progress *progress)
{
    if (progress->drawn)
        (void)fputs("\r\033[K", stderr);
    progress->drawn = false;
}

void progress_device(Progress *progress, const DeviceRecord *record)
{
    if (record->good) {
        progress->good++;
    } else {
        progress->failed++;
    }
    if (progress->terminal && record->good)
        return; /* the bar tells it */
    progress_clear(progress);
    (void)fprintf(stderr, "%-6s %s %s (%.0f ms)%s%s\n", record->good ? "good" : "FAILED",
                  record->serial, record->fqdn, record->milliseconds, record->good ? "" : ": ",
                  record->good ? "" : record->reason.text);
}

/* What the person at the line sees: a line for each device, and how fast it was and could be. */
#include "provisioning/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void command_add(Tally *tally, const RecordCommand *command)
{
    unsigned i = 0;

    while (i < tally->n_commands && strcmp(tally->commands[i].name, command->name) != 0)
        i++;
    if (i == TPM_METER_COMMANDS)
        return;
    if (i == tally->n_commands) {
        tally->commands[tally->n_commands++] = *command;
        return;
    }
    tally->commands[i].count += command->count;
    tally->commands[i].milliseconds += command->milliseconds;
}

void tally_add(Tally *tally, const DeviceRecord *record)
{
    if (!record->good) {
        tally->failed++;
        return;
    }
    tally->good++;
    tally->milliseconds += record->milliseconds;
    tally->tpm_milliseconds += record->tpm_milliseconds;
    for (unsigned i = 0; i < record->n_commands; i++)
        command_add(tally, &record->commands[i]);
}

static int dearest_first(const void *a, const void *b)
{
    const double x = ((const RecordCommand *)a)->milliseconds;
    const double y = ((const RecordCommand *)b)->milliseconds;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void commands_print(const Tally *tally, FILE *stream)
{
    RecordCommand sorted[TPM_METER_COMMANDS];

    memcpy(sorted, tally->commands, sizeof(sorted));
    qsort(sorted, tally->n_commands, sizeof(sorted[0]), dearest_first);
    (void)fprintf(stream, "  %-28s %10s %10s %12s %7s\n", "TPM command", "a device", "ms each",
                  "ms a device", "share");
    for (unsigned i = 0; i < tally->n_commands; i++) {
        const RecordCommand *command = &sorted[i];

        (void)fprintf(stream, "  %-28s %10.1f %10.3f %12.3f %6.1f%%\n", command->name,
                      (double)command->count / tally->good,
                      command->count > 0 ? command->milliseconds / command->count : 0,
                      command->milliseconds / tally->good,
                      100 * command->milliseconds / tally->milliseconds);
    }
}

void tally_print(const Tally *tally, double seconds, FILE *stream)
{
    const double station = tally->milliseconds - tally->tpm_milliseconds;

    (void)fprintf(stream, "%u devices: %u good, %u failed; %u lines refused; in %.1f s\n",
                  tally->good + tally->failed, tally->good, tally->failed, tally->refused, seconds);
    if (tally->good == 0 || seconds <= 0 || tally->milliseconds <= 0)
        return;
    (void)fprintf(stream,
                  "%.1f good devices a minute; a device takes %.1f ms: %.1f ms (%.0f%%) the TPM's "
                  "own, %.1f ms all else\n",
                  60 * tally->good / seconds, tally->milliseconds / tally->good,
                  tally->tpm_milliseconds / tally->good,
                  100 * tally->tpm_milliseconds / tally->milliseconds, station / tally->good);
    commands_print(tally, stream);
}

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

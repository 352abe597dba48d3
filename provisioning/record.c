/* What became of a device: written down as a line of JSON, read again, and summed up for the person
 * at the line. */
#include "provisioning/record.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "provisioning/json.h"
#include "provisioning/profile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct json_object Json;

/* Adds `value`, which is taken over, and remembers in *r whether there was memory for it. */
static void member_add(Json *object, const char *key, Json *value, int *r)
{
    if (!json_add(object, key, value))
        *r = -ENOMEM;
}

/* An empty text is one that is not known: null. */
static void text_add(Json *object, const char *key, const char *text, int *r)
{
    if (text[0] != '\0') {
        member_add(object, key, json_object_new_string(text), r);
    } else if (json_object_object_add(object, key, NULL) < 0) {
        *r = -ENOMEM;
    }
}

static void number_add(Json *object, const char *key, double milliseconds, int *r)
{
    char text[40];

    (void)snprintf(text, sizeof(text), "%.3f", milliseconds);
    member_add(object, key, json_object_new_double_s(milliseconds, text), r);
}

static void time_add(Json *object, const char *key, const struct timespec *time, int *r)
{
    struct tm tm;
    char text[40] = "";
    char whole[64];

    if (gmtime_r(&time->tv_sec, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(whole, sizeof(whole), "%s.%03ldZ", text, time->tv_nsec / 1000000);
    text_add(object, key, whole, r);
}

static Json *steps_new(const DeviceOutcome *outcome, int *r)
{
    Json *steps = json_object_new_array();

    for (unsigned i = 0; steps && i < outcome->n_steps; i++) {
        Json *step = json_object_new_object();

        if (!step || json_object_array_add(steps, step) < 0) {
            json_object_put(step);
            *r = -ENOMEM;
            break;
        }
        text_add(step, "name", outcome->steps[i].name, r);
        text_add(step, "outcome", step_outcome_name(outcome->steps[i].outcome), r);
        number_add(step, "milliseconds", (double)outcome->steps[i].nanoseconds / 1e6, r);
    }
    return steps;
}

static Json *commands_new(const TpmMeter *meter, int *r)
{
    Json *commands = json_object_new_object();

    for (size_t i = 0; commands && i < meter->used; i++) {
        const TpmMeterEntry *entry = &meter->entries[i];
        char name[TPM_COMMAND_NAME_SIZE];
        Json *command = json_object_new_object();

        member_add(commands, tpm_command_name(entry->code, name), command, r);
        if (*r < 0)
            break;
        member_add(command, "count", json_object_new_int64(entry->count), r);
        number_add(command, "milliseconds", (double)entry->nanoseconds / 1e6, r);
    }
    return commands;
}

int device_outcome_encode(const DeviceOutcome *outcome, char **ret)
{
    _cleanup_(json_freep) Json *record = json_object_new_object();
    int r = 0;

    if (!record)
        return -ENOMEM;
    text_add(record, "serial", outcome->device->serial, &r);
    text_add(record, "fqdn", outcome->device->fqdn, &r);
    text_add(record, "result", outcome->good ? "good" : "failed", &r);
    text_add(record, "error", outcome->reason.text, &r);
    text_add(record, "ek_certificate_sha256", outcome->ek_hash, &r);
    text_add(record, "key_name", outcome->key_name, &r);
    text_add(record, "certificate_serial", outcome->certificate_serial, &r);
    text_add(record, "tcti", outcome->device->tcti, &r);
    time_add(record, "start", &outcome->begun, &r);
    time_add(record, "end", &outcome->ended, &r);
    number_add(record, "milliseconds", (double)outcome->nanoseconds / 1e6, &r);
    member_add(record, "steps", steps_new(outcome, &r), &r);
    number_add(record, "tpm_milliseconds", (double)tpm_meter_nanoseconds(&outcome->meter) / 1e6,
               &r);
    member_add(record, "tpm_commands", commands_new(&outcome->meter, &r), &r);
    if (r < 0)
        return r;
    if (asprintf(ret, "%s\n",
                 json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
        return -ENOMEM;
    return 0;
}

/* Some thirty years. */
#define MILLISECONDS_MAX 1e12

/* The text of a member; "" if it is absent, null, something else, or does not fit. */
static void text_take(const Json *record, const char *key, char *ret, size_t size)
{
    Json *member = NULL;

    ret[0] = '\0';
    if (json_object_object_get_ex(record, key, &member) &&
        json_object_is_type(member, json_type_string) &&
        (size_t)json_object_get_string_len(member) < size)
        (void)snprintf(ret, size, "%s", json_object_get_string(member));
}

/* The number of a member; 0 if it is absent, something else, negative, or above `most`. */
static double number_take(const Json *object, const char *key, double most)
{
    Json *member = NULL;
    double number;

    if (!json_object_object_get_ex(object, key, &member))
        return 0;
    number = json_object_get_double(member);
    return number >= 0 && number <= most ? number : 0;
}

static void commands_take(const Json *record, DeviceRecord *ret)
{
    Json *commands = NULL;

    if (!json_object_object_get_ex(record, "tpm_commands", &commands) ||
        !json_object_is_type(commands, json_type_object))
        return;
    json_object_object_foreach(commands, name, value)
    {
        RecordCommand *command = &ret->commands[ret->n_commands];

        if (ret->n_commands == TPM_METER_COMMANDS)
            return;
        if (strlen(name) >= sizeof(command->name) || !json_object_is_type(value, json_type_object))
            continue;
        (void)snprintf(command->name, sizeof(command->name), "%s", name);
        command->count = (unsigned)number_take(value, "count", UINT_MAX);
        command->milliseconds = number_take(value, "milliseconds", MILLISECONDS_MAX);
        ret->n_commands++;
    }
}

int device_record_decode(Bytes line, DeviceRecord *ret, Reason *reason)
{
    _cleanup_(json_freep) Json *record = NULL;
    char result[16];

    *ret = (DeviceRecord){0};
    if (line.size > RECORD_SIZE_MAX)
        return reason_set(reason, -EINVAL, "it is longer than the record of a device can be");
    record = json_text_parse(line, RECORD_SIZE_MAX, JSON_TOKENER_DEFAULT_DEPTH);
    if (!record)
        return reason_set(reason, -EINVAL, "it is not one JSON object");
    text_take(record, "serial", ret->serial, sizeof(ret->serial));
    text_take(record, "fqdn", ret->fqdn, sizeof(ret->fqdn));
    text_take(record, "result", result, sizeof(result));
    if (!serial_is_valid(ret->serial))
        return reason_set(reason, -EINVAL, "it has no valid \"serial\"");
    if (!fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return reason_set(reason, -EINVAL, "its \"fqdn\" is not an FQDN");
    if (strcmp(result, "good") != 0 && strcmp(result, "failed") != 0)
        return reason_set(reason, -EINVAL, "its \"result\" is neither \"good\" nor \"failed\"");
    ret->good = strcmp(result, "good") == 0;
    text_take(record, "ek_certificate_sha256", ret->ek_hash, sizeof(ret->ek_hash));
    text_take(record, "error", ret->reason.text, sizeof(ret->reason.text));
    ret->milliseconds = number_take(record, "milliseconds", MILLISECONDS_MAX);
    ret->tpm_milliseconds = number_take(record, "tpm_milliseconds", MILLISECONDS_MAX);
    commands_take(record, ret);
    return 0;
}

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

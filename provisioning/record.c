/* Writes down what became of a device as a line of JSON, and reads it again. */
#include "provisioning/record.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "provisioning/json.h"
#include "provisioning/profile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct json_object Json;

/* Adds `value`, which is taken over, and remembers in *r whether there was memory for it. */
static void member_add(Json *object, const char *key, Json *value, int *r)
{
    if (!value || json_object_object_add(object, key, value) < 0) {
        json_object_put(value);
        *r = -ENOMEM;
    }
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

static Json *line_parse(Bytes line)
{
    struct json_tokener *tokener = json_tokener_new();
    Json *record = NULL;

    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    if (line.size > 0)
        record = json_tokener_parse_ex(tokener, (const char *)line.data, (int)line.size);
    if (record && json_tokener_get_parse_end(tokener) != line.size) {
        json_object_put(record);
        record = NULL;
    }
    json_tokener_free(tokener);
    return record;
}

int device_record_decode(Bytes line, DeviceRecord *ret, Reason *reason)
{
    _cleanup_(json_freep) Json *record = NULL;
    char result[16];

    *ret = (DeviceRecord){0};
    if (line.size > RECORD_SIZE_MAX)
        return reason_set(reason, -EINVAL, "it is longer than the record of a device can be");
    record = line_parse(line);
    if (!json_object_is_type(record, json_type_object))
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

/* What is written down of each device that came down the line, one JSON object on one line; and
 * what the person at the line sees of it. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "provisioning/devicefiles.h"
#include "provisioning/lineinput.h"
#include "provisioning/step.h"
#include "tpm/transport.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { RECORD_SIZE_MAX = 64 * 1024 };

/* What one device's process knows at its end. */
typedef struct DeviceOutcome {
    const DeviceLine *device;
    bool good;
    Reason reason;                 /* a sentence, if not good */
    char ek_hash[SHA256_HEX_SIZE]; /* of the EK certificate; "": not known, and so below */
    char key_name[KEY_NAME_HEX_SIZE];
    char certificate_serial[CERTIFICATE_SERIAL_SIZE];
    struct timespec begun, ended; /* of the day */
    uint64_t nanoseconds;
    unsigned n_steps;
    StepReport steps[STEPS_MAX];
    TpmMeter meter;
} DeviceOutcome;

/* The line, with its newline; *ret is the caller's to free(). 0 or -ENOMEM. */
int device_outcome_encode(const DeviceOutcome *outcome, char **ret);

typedef struct RecordCommand {
    char name[TPM_COMMAND_NAME_SIZE];
    unsigned count;
    double milliseconds;
} RecordCommand;

/* What is read of such a line again. */
typedef struct DeviceRecord {
    char serial[LINE_SERIAL_SIZE];
    char fqdn[FQDN_SIZE_MAX];
    char ek_hash[SHA256_HEX_SIZE]; /* "" if the line has none */
    bool good;
    Reason reason; /* the sentence of one that failed */
    double milliseconds;
    double tpm_milliseconds;
    unsigned n_commands;
    RecordCommand commands[TPM_METER_COMMANDS];
} DeviceRecord;

/* Reads one line, without its newline, of at most RECORD_SIZE_MAX octets. Members that it does not
 * know are skipped. 0, or -EINVAL with `reason` saying what was found. */
int device_record_decode(Bytes line, DeviceRecord *ret, Reason *reason);

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

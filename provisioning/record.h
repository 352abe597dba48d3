/* What is written down of each device that came down the line: one JSON object on one line. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "provisioning/devicefiles.h"
#include "provisioning/lineinput.h"
#include "provisioning/step.h"
#include "tpm/meter.h"

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

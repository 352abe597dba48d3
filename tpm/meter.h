/* How long the TPM itself takes: the time from each command to its response, added up by command
 * code. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

enum { TPM_METER_COMMANDS = 48, TPM_COMMAND_NAME_SIZE = 40 };

typedef struct TpmMeterEntry {
    TPM2_CC code;
    uint32_t count;
    uint64_t nanoseconds;
} TpmMeterEntry;

typedef struct TpmMeter {
    uint64_t begun; /* when the command that is under way was sent */
    size_t used;
    TpmMeterEntry entries[TPM_METER_COMMANDS]; /* the last one takes what has no room */
} TpmMeter;

/* A command goes out; its response, of whatever code, is there. The meter is zeroed before the
 * first. */
void tpm_meter_begin(TpmMeter *meter);
void tpm_meter_end(TpmMeter *meter, TPM2_CC code);

/* Of all commands together. */
uint64_t tpm_meter_nanoseconds(const TpmMeter *meter);

/* "TPM2_Sign"; for one that the project does not use, its number. `ret` has TPM_COMMAND_NAME_SIZE
 * octets, and is returned. */
const char *tpm_command_name(TPM2_CC code, char *ret);

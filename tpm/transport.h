/* The way of a command to the TPM and of its answer back. */
#pragma once

#include "tpm/tpm.h"

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

enum {
    TPM_MESSAGE_SIZE = 4096
}; /* of the largest command or answer; TPM_PT_MAX_COMMAND_SIZE is
      4,096 in the TPMs and simulators there are */

typedef struct TpmExchange {
    uint8_t request[TPM_MESSAGE_SIZE];
    size_t request_size;
    uint8_t response[TPM_MESSAGE_SIZE];
    size_t response_size;
} TpmExchange;

/* Sends the request in its turn and waits for the response, whose code may be any. What the TPM
 * puts off (TPM_RC_RETRY, YIELDED, TESTING, NV_RATE) is sent again for a while, and others go ahead
 * meanwhile. TSS2_RC_SUCCESS; a TCTI's error, after which tpm->broken is set; or TPM_RC_CANCELED if
 * the task was cancelled (TPM2_FlushContext goes out all the same). */
TSS2_RC tpm_transport(Tpm *tpm, TpmExchange *exchange);

/* ---- how long the TPM itself takes: the time from each command to its response, added up by
 * command code ---- */

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

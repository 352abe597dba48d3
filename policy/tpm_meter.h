/* How long does the TPM itself take? A TCTI that stands before another one, and adds up the time
 * from the transmission of each command to its response, by command code. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tpm2_types.h>

enum { TPM_METER_COMMANDS = 48, TPM_COMMAND_NAME_SIZE = 40 };

typedef struct TpmMeterEntry {
    TPM2_CC code;
    uint32_t count;
    uint64_t nanoseconds;
} TpmMeterEntry;

typedef struct TpmMeter {
    TSS2_TCTI_CONTEXT_COMMON_V2 tcti; /* first, as the TSS takes the one for the other */
    TSS2_TCTI_CONTEXT *inner;
    TPM2_CC code;   /* of the command that is under way */
    uint64_t begun; /* when it was transmitted */
    size_t used;
    TpmMeterEntry entries[TPM_METER_COMMANDS]; /* the last one takes what has no room */
} TpmMeter;

/* Puts a zeroed meter before `inner`, which stays its owner's and must outlive the meter's use. The
 * result is the meter itself, for Esys_Initialize(). */
TSS2_TCTI_CONTEXT *tpm_meter_attach(TpmMeter *meter, TSS2_TCTI_CONTEXT *inner);

/* Of all commands together. */
uint64_t tpm_meter_nanoseconds(const TpmMeter *meter);

/* "TPM2_Sign"; for one that the project does not use, its number. `ret` has TPM_COMMAND_NAME_SIZE
 * octets, and is returned. */
const char *tpm_command_name(TPM2_CC code, char *ret);

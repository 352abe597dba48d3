/* What a run of the line has cost, and where the time went. */
#pragma once

#include "provisioning/record.h"

#include <stdio.h>

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

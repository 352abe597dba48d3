/* The way of a command to the TPM and of its answer back. */
#pragma once

#include "tpm/tpm.h"

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

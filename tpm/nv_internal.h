/* What nv*.c share, and nobody else. */
#pragma once

#include "tpm/nv.h"

/* What a failed command on `index` means to the caller, -errno; `error` (TPM_ERROR_SIZE octets)
 * says it to a person. */
int nv_fail(char *error, const char *command, TPM2_HANDLE index, TSS2_RC rc);

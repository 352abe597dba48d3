/* What nv*.c share, and nobody else. */
#pragma once

#include "base/reason.h"
#include "tpm/nv.h"

/* What a failed command on `index` means to the caller, -errno; `reason` says it to a person. */
int nv_fail(Reason *reason, const char *command, TPM2_HANDLE index, TSS2_RC rc);

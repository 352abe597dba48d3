/* Making room in the TPM's slots, when there is none left. */
#pragma once

#include "tpm/tpm.h"

/* Makes room after a command failed with `rc`: out of transient slots (TPM_RC_OBJECT_MEMORY), of
 * sessions (TPM_RC_SESSION_MEMORY, TPM_RC_SESSION_HANDLES), or the oldest saved session is too old
 * (TPM_RC_CONTEXT_GAP). On a TPM of our own, without resource manager, whatever is not held by this
 * connection was left by a program that died, and is flushed. True if the command is worth trying
 * once more. */
bool tpm_reclaim(Tpm *tpm, TSS2_RC rc);

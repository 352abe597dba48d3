/* One TPM command over tss2-sys: its octets, the sessions that authorize and protect it, and its
 * way to the TPM and back (TPM 2.0 Part 1, 16 to 21). Used by the functions of commands.h, each of
 * which prepares a command, runs it, and completes it. */
#pragma once

#include "tpm/tpm.h"

#include <tss2/tss2_sys.h>

/* A session with the TPM, as tpm/session.h starts it. */
typedef struct TpmSession {
    TpmObject object; /* its handle; TPM_NO_HANDLE: the TPM has ended it */
    TPM2_SE type;
    TPMA_SESSION attributes;
    Secret *key; /* sessionKey (19.6.8); NULL: it has no salt */
    TPM2B_NONCE nonce_tpm;
} TpmSession;

enum { TPM_COMMAND_SIZE = 4096, TPM_HANDLES_MAX = 3, TPM_SESSIONS_MAX = 3 };

typedef struct TpmCommand TpmCommand;

/* A command to be prepared on tpm_command_sys(); NULL without memory, and then that is NULL, too.
 */
TpmCommand *tpm_command_new(Tpm *tpm);
TSS2_SYS_CONTEXT *tpm_command_sys(TpmCommand *command);
Tpm *tpm_command_tpm(TpmCommand *command);

/* Wipes it, as what was decrypted stood in it. */
void tpm_command_free(TpmCommand *command);
DEFINE_POINTER_CLEANUP(TpmCommand, tpm_command_free);

/* What goes with the parameters, in the order of the command's tables in TPM 2.0 Part 3. */
typedef struct TpmFrame {
    const TpmObject *handles[TPM_HANDLES_MAX]; /* NULL ends them */
    size_t n_authorized;                       /* how many of them need an authorization */
    /* The first n_authorized authorize; NULL stands for an empty password. Those that follow (NULL
     * ends them) protect. */
    TpmSession *sessions[TPM_SESSIONS_MAX];
    bool sized_answer; /* the answer's first parameter is a TPM2B, which can be encrypted */
    const TPM2B_AUTH *new_auth; /* the authValue that the command itself gives to handles[0] */
} TpmFrame;

/* Sends a prepared command, and takes an answer in that is authentic; tss2-sys then completes it. A
 * command that the TPM puts off is sent again. Returns TSS2_RC_SUCCESS or an error. */
TSS2_RC tpm_command_run(TpmCommand *command, const TpmFrame *frame);

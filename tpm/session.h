/* Sessions with the TPM: what goes over its bus is authenticated both ways, and what is secret is
 * encrypted, so that a probe there learns and changes nothing (TPM 2.0 Part 1, 17.6 and 21). */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

typedef struct TpmSession {
    TpmObject object; /* its handle; TPM_NO_HANDLE: the TPM has ended it */
    TPM2_SE type;
    TPMA_SESSION attributes;
    Secret *key; /* sessionKey (19.6.8); NULL: it has no salt */
    TPM2B_NONCE nonce_tpm;
} TpmSession;

/* Starts a session of `type` (TPM2_SE_HMAC, TPM2_SE_POLICY) with SHA-256 and AES-128-CFB, salted
 * with the storage root key. An HMAC session stays for many commands and encrypts the first
 * parameter both ways; a policy session ends with the command that it authorizes, unless
 * tpm_session_authorize() keeps it. A TPM that has no storage root key yet gives sessions without
 * salt, whose HMAC anyone can make: fit for a factory, where the key is yet to be made. *ret is for
 * tpm_session_flush(). 0, or -EIO (reason filled). */
int tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason);

/* Has a session authorize one command after the other, and encrypt no parameter. */
void tpm_session_authorize(TpmSession *session);

/* Ends and frees a session; one that the TPM has ended already is only freed, and NULL is fine. */
void tpm_session_flush(Tpm *tpm, TpmSession *session);

/* Makes room after a command failed with `rc`: out of transient slots (TPM_RC_OBJECT_MEMORY), of
 * sessions (TPM_RC_SESSION_MEMORY, TPM_RC_SESSION_HANDLES), or the oldest saved session is too old
 * (TPM_RC_CONTEXT_GAP). On a TPM of our own, without resource manager, whatever is not held by this
 * connection was left by a program that died, and is flushed. True if the command is worth trying
 * once more. */
bool tpm_reclaim(Tpm *tpm, TSS2_RC rc);

/* Sessions with the TPM: what goes over its bus is authenticated both ways, and what is secret is
 * encrypted, so that a probe there learns and changes nothing (TPM 2.0 Part 1, 17.6 and 21). */
#pragma once

#include "base/reason.h"
#include "tpm/command.h"

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

/* Storage keys of the TPM, under which the device key stands: the storage root key, and other
 * parents. */
#pragma once

#include "base/reason.h"
#include "tpm/tpm.h"

#include <stdbool.h>

/* The storage root key's persistent handle (TCG TPM v2.0 Provisioning Guidance 7.5.1). */
#define TPM_SRK_HANDLE ((TPM2_HANDLE)0x81000001)

/* The storage root key: opens it at TPM_SRK_HANDLE, or with `create` makes it there from the TCG's
 * ECC P-256 template if it is absent. What stands there and is no storage key is refused, never
 * replaced. *ret is for tpm_object_release(). 0, -ENOENT or -EIO (reason filled). */
int tpm_srk_open(Tpm *tpm, bool create, TpmObject *ret, Reason *reason);

/* Opens the storage root key as tpm->salt_key, if it is there. One whose Name is not tpm->srk_name
 * is refused: whoever sits on the TPM's bus could put a key of their own in its place, and learn
 * the salt of every session. 0; -ESTALE if there is to be one and is none, as after TPM2_Clear; or
 * -EIO (reason filled). */
int tpm_salt_key_open(Tpm *tpm, Reason *reason);

/* From now on sessions are salted with the storage root key of this Name only; an empty one trusts
 * any. What was read before is read again. */
void tpm_trust_srk(Tpm *tpm, const TPM2B_NAME *name);

/* The Name of the storage root key at TPM_SRK_HANDLE. 0, -ENOENT or -EIO (reason filled). */
int tpm_srk_name(Tpm *tpm, TPM2B_NAME *ret, Reason *reason);

/* The parent that a key file names: a persistent storage key, or for TPM2_RH_OWNER the transient
 * primary key of the template (as tpm2-openssl makes it). *ret is for tpm_object_release(). 0,
 * -ENOENT or -EIO. */
int tpm_parent_open(Tpm *tpm, TPM2_HANDLE handle, TpmObject *ret, Reason *reason);

/* Gives an object back: a transient one is flushed from its slot, a persistent one stays. One with
 * TPM_NO_HANDLE is fine. */
void tpm_object_release(Tpm *tpm, const TpmObject *object);

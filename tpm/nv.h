/* NV indices of the TPM: small places that outlive the file system. Every command goes in a salted
 * HMAC session, so that whoever sits on the TPM's bus can make a command fail, but can't change
 * what is written or lie about what is read (TPM 2.0 Part 1, 37 and 19.6). */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/session.h"

/* An index as it stands in the TPM. */
typedef struct NvIndex {
    TpmObject object;
    TPMS_NV_PUBLIC public;
} NvIndex;

/* Opens the index at `handle`. What `public` says is not authenticated by itself: it is once an
 * authorized command has gone through, which binds the index's Name, provided that its name
 * algorithm is SHA-256 (a Name that is not that of `public` is refused here). 0, -ENOENT (there is
 * none), or -EIO (reason filled, as in all of these). */
int nv_open(Tpm *tpm, TPM2_HANDLE handle, NvIndex *ret, Reason *reason);

/* Makes an index with an empty authValue. Needs an empty owner authValue. 0, -EEXIST, -EACCES (the
 * owner hierarchy has an authValue), -ENOSPC (no room in the TPM), or -EIO. */
int nv_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, Reason *reason);

/* Takes an index out of the TPM, by the owner's right. 0, -ENOENT, -EACCES or -EIO. */
int nv_undefine(Tpm *tpm, TPM2_HANDLE handle, Reason *reason);

/* Reads all `size` octets of an index that has TPMA_NV_AUTHREAD and an empty authValue. Fails
 * unless the index in the TPM has the Name of index->public. 0 or -EIO. */
int nv_read(Tpm *tpm, const NvIndex *index, uint8_t *ret, size_t size, Reason *reason);

/* The Name of an index tells whether it was ever written or is locked (TPM 2.0 Part 1, 16), so that
 * those that follow here keep index->public and its Name as they are afterwards. */

/* Writes at offset 0, authorized by the index itself: in `session`, a policy session which ends
 * with this; or, where `session` is NULL, by its empty authValue (TPMA_NV_AUTHWRITE). 0,
 * -EACCES (not authorized) or -EIO. */
int nv_write(Tpm *tpm, NvIndex *index, TpmSession *session, Bytes bytes, Reason *reason);

/* Adds one to a counter, which counts from where the TPM wants to at first (Part 3, 31.8). For
 * TPMA_NV_AUTHWRITE. 0 or -EIO. */
int nv_increment(Tpm *tpm, NvIndex *index, Reason *reason);

/* Keeps an index with TPMA_NV_WRITEDEFINE as it is from now on. For TPMA_NV_AUTHWRITE. 0 or -EIO.
 */
int nv_lock(Tpm *tpm, NvIndex *index, Reason *reason);

/* What a failed command on `index` means to the caller, -errno; `reason` says it to a person. */
int nv_fail(Reason *reason, const char *command, TPM2_HANDLE index, TSS2_RC rc);

/* Octets of an NV index into which a number goes, big-endian as the TPM counts. */
enum { NV_NUMBER_SIZE = 8 };

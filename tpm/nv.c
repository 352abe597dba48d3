/* NV indices: made, read and written so that nobody between can lie about them. */
#include "tpm/nv.h"

#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int nv_fail(Reason *reason, const char *command, TPM2_HANDLE index, TSS2_RC rc)
{
    char named[64];

    (void)snprintf(named, sizeof(named), "%s (NV index 0x%08x)", command, index);
    tpm_error(reason, named, rc);
    switch (tpm_rc_base(rc)) {
    case TPM2_RC_NV_DEFINED:
        return -EEXIST;
    case TPM2_RC_NV_SPACE:
        return -ENOSPC;
    case TPM2_RC_NV_AUTHORIZATION:
    case TPM2_RC_AUTH_FAIL:
    case TPM2_RC_BAD_AUTH:
    case TPM2_RC_AUTH_TYPE:
    case TPM2_RC_AUTH_UNAVAILABLE:
    case TPM2_RC_POLICY_FAIL:
    case TPM2_RC_POLICY:
        return -EACCES;
    default:
        return -EIO;
    }
}

static int contradicted(TPM2_HANDLE handle, Reason *reason)
{
    return reason_set(
        reason, -EIO,
        "the Name of the NV index 0x%08x is not that of its public area: something "
        "stands between the TPM and us, or the TPM is broken; have the device looked at",
        handle);
}

/* TPM2_NV_ReadPublic has no authorization. What makes its answer trustworthy is the Name, which a
 * later command's HMAC covers in place of the handle: it is the one of the public area shown, so
 * that no other index can be read in its place. The Name that came with it is looked at only so
 * that the contradiction shows here. */
int nv_open(Tpm *tpm, TPM2_HANDLE handle, NvIndex *ret, Reason *reason)
{
    NvIndex index = {.object.handle = handle};
    TPM2B_NAME told = {0};
    TSS2_RC rc = tpm2_nv_read_public(tpm, handle, &index.public, &told);

    if (tpm_rc_base(rc) == TPM2_RC_HANDLE)
        return reason_set(reason, -ENOENT, "the TPM has no NV index 0x%08x", handle);
    if (rc != TSS2_RC_SUCCESS) {
        (void)nv_fail(reason, "TPM2_NV_ReadPublic", handle, rc);
        return -EIO;
    }
    /* All of our indices have SHA-256 as name algorithm; whoever opens another one sees that, and
     * can't use it: it has no Name. */
    if (index.public.nameAlg == TPM2_ALG_SHA256 &&
        (tpm_nv_name(&index.public, &index.object.name) < 0 ||
         !bytes_equal((Bytes){index.object.name.name, index.object.name.size},
                      (Bytes){told.name, told.size})))
        return contradicted(handle, reason);
    *ret = index;
    return 0;
}

int nv_read(Tpm *tpm, const NvIndex *index, uint8_t *ret, size_t size, Reason *reason)
{
    TPM2B_MAX_NV_BUFFER data = {0};
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_read(tpm, &index->object, &index->object, session, (uint16_t)size, 0, &data);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        (void)nv_fail(reason, "TPM2_NV_Read", index->public.nvIndex, rc);
        return -EIO;
    }
    if (data.size != size) {
        return reason_set(reason, -EIO,
                          "TPM2_NV_Read (NV index 0x%08x) gave %u octets where %zu were asked for",
                          index->public.nvIndex, data.size, size);
    }
    memcpy(ret, data.buffer, size);
    return 0;
}

static int attribute_set(NvIndex *index, TPMA_NV attribute, Reason *reason)
{
    index->public.attributes |= attribute;
    if (tpm_nv_name(&index->public, &index->object.name) == 0)
        return 0;
    return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
}

/* The session that authorizes: the caller's, or one for the empty authValue. */
static int session_for(Tpm *tpm, TpmSession *given, TpmSession **ret, Reason *reason)
{
    *ret = given;
    return given ? 0 : tpm_session_start(tpm, TPM2_SE_HMAC, ret, reason);
}

int nv_write(Tpm *tpm, NvIndex *index, TpmSession *session, Bytes bytes, Reason *reason)
{
    TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)bytes.size};
    TpmSession *used;
    TSS2_RC rc;
    int r;

    if (bytes.size > sizeof(data.buffer))
        return reason_set(reason, -EIO, "%zu octets do not fit into an NV index", bytes.size);
    memcpy(data.buffer, bytes.data, bytes.size);
    r = session_for(tpm, session, &used, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_write(tpm, &index->object, used, &data);
    if (!session)
        tpm_session_flush(tpm, used);
    if (rc != TSS2_RC_SUCCESS) {
        r = nv_fail(reason, "TPM2_NV_Write", index->public.nvIndex, rc);
        /* No policy asks for an authValue here: the session's key is not the TPM's. */
        return session && tpm_rc_base(rc) == TPM2_RC_BAD_AUTH ? -EIO : r;
    }
    return attribute_set(index, TPMA_NV_WRITTEN, reason);
}

/* What TPM2_NV_Increment and TPM2_NV_WriteLock have in common. */
typedef TSS2_RC (*IndexCommand)(Tpm *tpm, const TpmObject *index, TpmSession *session);

static int index_command(Tpm *tpm, NvIndex *index, IndexCommand command, TPMA_NV attribute,
                         const char *name, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = command(tpm, &index->object, session);
    tpm_session_flush(tpm, session);
    if (rc == TSS2_RC_SUCCESS)
        return attribute_set(index, attribute, reason);
    (void)nv_fail(reason, name, index->public.nvIndex, rc);
    return -EIO;
}

int nv_increment(Tpm *tpm, NvIndex *index, Reason *reason)
{
    return index_command(tpm, index, tpm2_nv_increment, TPMA_NV_WRITTEN, "TPM2_NV_Increment",
                         reason);
}

int nv_lock(Tpm *tpm, NvIndex *index, Reason *reason)
{
    return index_command(tpm, index, tpm2_nv_write_lock, TPMA_NV_WRITELOCKED, "TPM2_NV_WriteLock",
                         reason);
}

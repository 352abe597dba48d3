/* How are NV indices made, read and written so that nobody between can lie about them? */
#include "policy/nv.h"

#include "policy/policydigest.h"
#include "policy/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* What a failed command means to the caller; the sentence is for a person. */
static int fail(char *error, const char *command, TPM2_HANDLE index, TSS2_RC rc)
{
    char named[64];

    (void)snprintf(named, sizeof(named), "%s (NV index 0x%08x)", command, index);
    tpm_error(error, named, rc);
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

/* The Name that stands for the index in what a session's HMAC covers. Esys_TR_GetName() would make
 * one from the public area; what is used is the one that came with it, which follows the handle in
 * what Esys_TR_Serialize() gives. */
static int name_used(Tpm *tpm, const NvIndex *index, TPM2B_NAME *ret)
{
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    size_t size = 0, at = sizeof(TPM2_HANDLE);

    *ret = (TPM2B_NAME){0};
    return Esys_TR_Serialize(tpm->esys, index->object, &octets, &size) == TSS2_RC_SUCCESS &&
                   Tss2_MU_TPM2B_NAME_Unmarshal(octets, size, &at, ret) == TSS2_RC_SUCCESS
               ? 0
               : -EIO;
}

/* TPM2_NV_ReadPublic has no authorization. What makes its answer trustworthy is the Name, which a
 * later command's HMAC covers in place of the handle: it has to be that of the public area shown,
 * or the index read could be another than the one that was judged. ESYS does not look. All of our
 * indices have SHA-256 as name algorithm; whoever opens another one sees that. */
static bool name_fits(Tpm *tpm, const NvIndex *index)
{
    TPM2B_NAME used, made;

    if (index->public.nameAlg != TPM2_ALG_SHA256)
        return true;
    return name_used(tpm, index, &used) == 0 && tpm_nv_name(&index->public, &made) == 0 &&
           bytes_equal((Bytes){used.name, used.size}, (Bytes){made.name, made.size});
}

static int contradicted(TPM2_HANDLE handle, char *error)
{
    (void)snprintf(error, TPM_ERROR_SIZE,
                   "the Name of the NV index 0x%08x is not that of its public area: something "
                   "stands between the TPM and us, or the TPM is broken; have the device looked at",
                   handle);
    return -EIO;
}

int nv_open(Tpm *tpm, TPM2_HANDLE handle, NvIndex *ret, char *error)
{
    NvIndex index = {.object = ESYS_TR_NONE};
    TPM2B_NV_PUBLIC *public = NULL;
    TSS2_RC rc;

    rc = Esys_TR_FromTPMPublic(tpm->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               &index.object);
    if (tpm_rc_base(rc) == TPM2_RC_HANDLE) {
        (void)snprintf(error, TPM_ERROR_SIZE, "the TPM has no NV index 0x%08x", handle);
        return -ENOENT;
    }
    if (rc == TSS2_RC_SUCCESS) {
        rc = Esys_NV_ReadPublic(tpm->esys, index.object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &public, NULL);
    }
    if (rc != TSS2_RC_SUCCESS) {
        nv_release(tpm, &index);
        (void)fail(error, "TPM2_NV_ReadPublic", handle, rc);
        return -EIO;
    }
    index.public = public->nvPublic;
    Esys_Free(public);
    if (!name_fits(tpm, &index)) {
        nv_release(tpm, &index);
        return contradicted(handle, error);
    }
    *ret = index;
    return 0;
}

void nv_release(Tpm *tpm, NvIndex *index)
{
    if (index->object != ESYS_TR_NONE)
        (void)Esys_TR_Close(tpm->esys, &index->object);
    index->object = ESYS_TR_NONE;
}

int nv_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, char *error)
{
    static const TPM2B_AUTH no_auth = {0};
    const TPM2B_NV_PUBLIC sized = {.nvPublic = *public};
    ESYS_TR session = ESYS_TR_NONE;
    NvIndex index = {.object = ESYS_TR_NONE};
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0)
        return r;
    rc = Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                             &no_auth, &sized, &index.object);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS)
        return fail(error, "TPM2_NV_DefineSpace", public->nvIndex, rc);
    nv_release(tpm, &index);
    return 0;
}

int nv_undefine(Tpm *tpm, TPM2_HANDLE handle, char *error)
{
    ESYS_TR session = ESYS_TR_NONE;
    NvIndex index;
    TSS2_RC rc;
    int r;

    r = nv_open(tpm, handle, &index, error);
    if (r < 0)
        return r;
    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0) {
        nv_release(tpm, &index);
        return r;
    }
    rc = Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, index.object, session, ESYS_TR_NONE,
                               ESYS_TR_NONE);
    tpm_session_flush(tpm, session);
    if (rc == TSS2_RC_SUCCESS) /* which has closed the object, too */
        return 0;
    nv_release(tpm, &index);
    return fail(error, "TPM2_NV_UndefineSpace", handle, rc);
}

int nv_read(Tpm *tpm, const NvIndex *index, uint8_t *ret, size_t size, char *error)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0)
        return r;
    rc = Esys_NV_Read(tpm->esys, index->object, index->object, session, ESYS_TR_NONE, ESYS_TR_NONE,
                      (UINT16)size, 0, &data);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        (void)fail(error, "TPM2_NV_Read", index->public.nvIndex, rc);
        return -EIO;
    }
    if (data->size != size) {
        (void)snprintf(error, TPM_ERROR_SIZE,
                       "TPM2_NV_Read (NV index 0x%08x) gave %u octets where %zu were asked for",
                       index->public.nvIndex, data->size, size);
        Esys_Free(data);
        return -EIO;
    }
    memcpy(ret, data->buffer, size);
    Esys_Free(data);
    return 0;
}

/* The session that authorizes: the caller's, or one for the empty authValue. */
static int session_for(Tpm *tpm, ESYS_TR given, ESYS_TR *ret, char *error)
{
    *ret = given;
    return given == ESYS_TR_NONE ? tpm_session_start(tpm, TPM2_SE_HMAC, ret, error) : 0;
}

int nv_write(Tpm *tpm, const NvIndex *index, ESYS_TR session, Bytes bytes, char *error)
{
    TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)bytes.size};
    ESYS_TR used;
    TSS2_RC rc;
    int r;

    if (bytes.size > sizeof(data.buffer)) {
        (void)snprintf(error, TPM_ERROR_SIZE, "%zu octets do not fit into an NV index", bytes.size);
        return -EIO;
    }
    memcpy(data.buffer, bytes.data, bytes.size);
    r = session_for(tpm, session, &used, error);
    if (r < 0)
        return r;
    rc = Esys_NV_Write(tpm->esys, index->object, index->object, used, ESYS_TR_NONE, ESYS_TR_NONE,
                       &data, 0);
    if (session == ESYS_TR_NONE)
        tpm_session_flush(tpm, used);
    return rc == TSS2_RC_SUCCESS ? 0 : fail(error, "TPM2_NV_Write", index->public.nvIndex, rc);
}

/* What TPM2_NV_Increment and TPM2_NV_WriteLock have in common. */
typedef TSS2_RC (*IndexCommand)(ESYS_CONTEXT *esys, ESYS_TR auth, ESYS_TR index, ESYS_TR session,
                                ESYS_TR none, ESYS_TR none_either);

static int index_command(Tpm *tpm, const NvIndex *index, IndexCommand command, const char *name,
                         char *error)
{
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, error);
    if (r < 0)
        return r;
    rc = command(tpm->esys, index->object, index->object, session, ESYS_TR_NONE, ESYS_TR_NONE);
    tpm_session_flush(tpm, session);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    (void)fail(error, name, index->public.nvIndex, rc);
    return -EIO;
}

int nv_increment(Tpm *tpm, const NvIndex *index, char *error)
{
    return index_command(tpm, index, Esys_NV_Increment, "TPM2_NV_Increment", error);
}

int nv_lock(Tpm *tpm, const NvIndex *index, char *error)
{
    return index_command(tpm, index, Esys_NV_WriteLock, "TPM2_NV_WriteLock", error);
}

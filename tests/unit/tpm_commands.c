/* TPM 2.0 commands that only tests give. */
#include "tpm_commands.h"

#include <limits.h>

#define COMMAND_BEGIN                                                                              \
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);                       \
    if (!command)                                                                                  \
    return TPM_RC_NO_MEMORY

static TSS2_RC run(TpmCommand *command, TSS2_RC rc, const TpmFrame *frame)
{
    return rc == TSS2_RC_SUCCESS ? tpm_command_run(command, frame) : rc;
}

/* A frame with an empty password for the first handle. */
static TpmFrame authorized(const TpmObject *first)
{
    return (TpmFrame){.handles = {first}, .n_authorized = 1};
}

TSS2_RC tpm2_get_random(Tpm *tpm, uint16_t size, TPM2B_DIGEST *ret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_GetRandom_Prepare(sys, size);

    rc = run(command, rc, &(TpmFrame){.sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_GetRandom_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_pcr_extend(Tpm *tpm, TPM2_HANDLE pcr, const TPML_DIGEST_VALUES *digests)
{
    const TpmObject object = tpm_permanent(pcr);
    const TpmFrame frame = authorized(&object);

    COMMAND_BEGIN;
    TSS2_RC rc = Tss2_Sys_PCR_Extend_Prepare(tpm_command_sys(command), pcr, digests);

    return run(command, rc, &frame);
}

TSS2_RC tpm2_context_save(Tpm *tpm, TPM2_HANDLE handle, TPMS_CONTEXT *ret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_ContextSave_Prepare(sys, handle);

    rc = run(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ContextSave_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_context_load(Tpm *tpm, const TPMS_CONTEXT *context, TPM2_HANDLE *ret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_ContextLoad_Prepare(sys, context);

    rc = run(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ContextLoad_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_make_credential(Tpm *tpm, const TpmObject *ek, const TPM2B_DIGEST *credential,
                             const TPM2B_NAME *name, TPM2B_ID_OBJECT *ret_blob,
                             TPM2B_ENCRYPTED_SECRET *ret_secret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_MakeCredential_Prepare(sys, ek->handle, credential, name);

    rc = run(command, rc, &(TpmFrame){.handles = {ek}, .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_MakeCredential_Complete(sys, ret_blob, ret_secret);
    return rc;
}

TSS2_RC tpm2_policy_get_digest(Tpm *tpm, const TpmSession *policy, TPM2B_DIGEST *ret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicyGetDigest_Prepare(sys, policy->object.handle);

    rc = run(command, rc, &(TpmFrame){.handles = {&policy->object}});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_PolicyGetDigest_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_unseal(Tpm *tpm, const TpmObject *sealed, TpmSession *session,
                    TPM2B_SENSITIVE_DATA *ret)
{
    COMMAND_BEGIN;
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_Unseal_Prepare(sys, sealed->handle);

    rc = run(
        command, rc,
        &(TpmFrame){
            .handles = {sealed}, .n_authorized = 1, .sessions = {session}, .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_Unseal_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_nv_define_space_as(Tpm *tpm, TPM2_HANDLE hierarchy, const TPMS_NV_PUBLIC *public)
{
    static const TPM2B_AUTH no_auth = {0};
    const TPM2B_NV_PUBLIC sized = {.nvPublic = *public};
    const TpmObject entity = tpm_permanent(hierarchy);
    const TpmFrame frame = authorized(&entity);

    COMMAND_BEGIN;
    TSS2_RC rc =
        Tss2_Sys_NV_DefineSpace_Prepare(tpm_command_sys(command), hierarchy, &no_auth, &sized);

    return run(command, rc, &frame);
}

/* A password's authorization does not look at the index's Name. */
TSS2_RC tpm2_nv_undefine_space_as(Tpm *tpm, TPM2_HANDLE hierarchy, TPM2_HANDLE index)
{
    const TpmObject entity = tpm_permanent(hierarchy);
    const TpmFrame frame = authorized(&entity);

    COMMAND_BEGIN;
    TSS2_RC rc = Tss2_Sys_NV_UndefineSpace_Prepare(tpm_command_sys(command), hierarchy, index);

    return run(command, rc, &frame);
}

TSS2_RC tpm2_nv_write_as(Tpm *tpm, TPM2_HANDLE hierarchy, TPM2_HANDLE index,
                         const TPM2B_MAX_NV_BUFFER *data, uint16_t offset)
{
    const TpmObject entity = tpm_permanent(hierarchy);
    const TpmFrame frame = authorized(&entity);

    COMMAND_BEGIN;
    TSS2_RC rc =
        Tss2_Sys_NV_Write_Prepare(tpm_command_sys(command), hierarchy, index, data, offset);

    return run(command, rc, &frame);
}

/* The project itself never has a password to give, so this one goes past tpm/command.h. */
TSS2_RC tpm2_owner_change_auth(Tpm *tpm, const TPM2B_AUTH *old, const TPM2B_AUTH *new)
{
    const TSS2L_SYS_AUTH_COMMAND auths = {
        .count = 1,
        .auths = {{.sessionHandle = TPM2_RS_PW, .hmac = *old}},
    };
    TSS2_ABI_VERSION version = TSS2_ABI_VERSION_CURRENT;
    TSS2L_SYS_AUTH_RESPONSE answers = {0};
    const size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_SYS_CONTEXT *sys = calloc(1, size);
    TSS2_RC rc;

    if (!sys)
        return TPM_RC_NO_MEMORY;
    rc = Tss2_Sys_Initialize(sys, size, tpm->tcti, &version);
    if (rc == TSS2_RC_SUCCESS) {
        rc = Tss2_Sys_HierarchyChangeAuth(sys, TPM2_RH_OWNER, &auths, new, &answers);
        Tss2_Sys_Finalize(sys);
    }
    free(sys);
    return rc;
}

unsigned tpm_handle_count(Tpm *tpm, TPM2_HANDLE first)
{
    enum { COUNT_MAX = 254 };
    TPMS_CAPABILITY_DATA data = {0};

    if (tpm2_get_capability(tpm, NULL, TPM2_CAP_HANDLES, first, COUNT_MAX, &data) !=
        TSS2_RC_SUCCESS)
        return UINT_MAX;
    return data.data.handles.count;
}

/* What only factory and operator do: TPM 2.0 commands, as those in commands.c, and NV indices, as
 * in nv.c. In a file of its own, so that tred-tpm is linked without it. */
#include "tpm/commands.h"
#include "tpm/nv.h"
#include "tpm/session.h"

TSS2_RC tpm2_create(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                    const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
                    TPM2B_PRIVATE *ret_private, TPM2B_PUBLIC *ret_public)
{
    static const TPM2B_DATA outside_info = {0};
    static const TPML_PCR_SELECTION creation_pcr = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_Create_Prepare(sys, parent->handle, sensitive, template, &outside_info,
                                         &creation_pcr);

    rc = tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){
            .handles = {parent}, .n_authorized = 1, .sessions = {session}, .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_Create_Complete(sys, ret_private, ret_public, &data, &hash, &ticket);
    return rc;
}

TSS2_RC tpm2_activate_credential(Tpm *tpm, const TpmObject *key, TpmSession *key_session,
                                 const TpmObject *ek, TpmSession *ek_session,
                                 const TPM2B_ID_OBJECT *blob, const TPM2B_ENCRYPTED_SECRET *secret,
                                 TPM2B_DIGEST *ret)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_ActivateCredential_Prepare(sys, key->handle, ek->handle, blob, secret);

    rc = tpm_command_run_prepared(command, rc,
                                  &(TpmFrame){.handles = {key, ek},
                                              .n_authorized = 2,
                                              .sessions = {key_session, ek_session},
                                              .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ActivateCredential_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_policy_secret(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                           const TpmSession *policy)
{
    static const TPM2B_NONCE no_nonce = {0};
    static const TPM2B_DIGEST no_digest = {0};
    const TpmObject entity = tpm_permanent(hierarchy);

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicySecret_Prepare(sys, hierarchy, policy->object.handle, &no_nonce,
                                               &no_digest, &no_nonce, 0);

    /* The ticket, for another session of the same policy, is not asked for and not looked at. */
    return tpm_command_run_prepared(command, rc,
                                    &(TpmFrame){.handles = {&entity, &policy->object},
                                                .n_authorized = 1,
                                                .sessions = {session},
                                                .sized_answer = true});
}

TSS2_RC tpm2_nv_define_space(Tpm *tpm, TpmSession *session, const TPMS_NV_PUBLIC *public)
{
    static const TPM2B_AUTH no_auth = {0};
    const TPM2B_NV_PUBLIC sized = {.nvPublic = *public};
    const TpmObject owner = tpm_permanent(TPM2_RH_OWNER);

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_DefineSpace_Prepare(sys, TPM2_RH_OWNER, &no_auth, &sized);

    return tpm_command_run_prepared(
        command, rc, &(TpmFrame){.handles = {&owner}, .n_authorized = 1, .sessions = {session}});
}

TSS2_RC tpm2_nv_undefine_space(Tpm *tpm, const TpmObject *index, TpmSession *session)
{
    const TpmObject owner = tpm_permanent(TPM2_RH_OWNER);

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_UndefineSpace_Prepare(sys, TPM2_RH_OWNER, index->handle);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){.handles = {&owner, index}, .n_authorized = 1, .sessions = {session}});
}

TSS2_RC tpm2_hierarchy_change_auth(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                                   const TPM2B_AUTH *new_auth)
{
    const TpmObject entity = tpm_permanent(hierarchy);

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_HierarchyChangeAuth_Prepare(sys, hierarchy, new_auth);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){
            .handles = {&entity}, .n_authorized = 1, .sessions = {session}, .new_auth = new_auth});
}

/* ---- NV indices, made and taken away ---- */

int nv_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_define_space(tpm, session, public);
    tpm_session_flush(tpm, session);
    return rc == TSS2_RC_SUCCESS ? 0 : nv_fail(reason, "TPM2_NV_DefineSpace", public->nvIndex, rc);
}

int nv_undefine(Tpm *tpm, TPM2_HANDLE handle, Reason *reason)
{
    TpmSession *session = NULL;
    NvIndex index;
    TSS2_RC rc;
    int r;

    r = nv_open(tpm, handle, &index, reason);
    if (r == 0)
        r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_nv_undefine_space(tpm, &index.object, session);
    tpm_session_flush(tpm, session);
    return rc == TSS2_RC_SUCCESS ? 0 : nv_fail(reason, "TPM2_NV_UndefineSpace", handle, rc);
}

/* The TPM 2.0 commands, each prepared, run and completed. The tables of TPM 2.0 Part 3 say which
 * handles need an authorization and whether an answer begins with a TPM2B. */
#include "tpm/commands.h"

#include "base/log.h"

TpmObject tpm_permanent(TPM2_HANDLE handle)
{
    TpmObject object = {.handle = handle};

    tpm_handle_name(handle, &object.name);
    return object;
}

/* The Name from the public area; of another name algorithm than SHA-256 we use nothing. */
static TSS2_RC object_take(TPM2_HANDLE handle, const TPM2B_PUBLIC *public, TpmObject *ret)
{
    *ret = (TpmObject){.handle = handle};
    return tpm_object_name(public, &ret->name) < 0 ? TSS2_SYS_RC_BAD_VALUE : TSS2_RC_SUCCESS;
}

TSS2_RC tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability, uint32_t property,
                            uint32_t count, TPMS_CAPABILITY_DATA *ret)
{
    TPMI_YES_NO more;

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_GetCapability_Prepare(sys, capability, property, count);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){.sessions = {session}});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_GetCapability_Complete(sys, &more, ret);
    /* Which list of the union is read is the caller's choice, not that of who answers. */
    if (rc == TSS2_RC_SUCCESS && ret->capability != capability)
        rc = TSS2_SYS_RC_MALFORMED_RESPONSE;
    return rc;
}

TSS2_RC tpm2_read_clock(Tpm *tpm, TPMS_TIME_INFO *ret)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_ReadClock_Prepare(sys);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    return rc == TSS2_RC_SUCCESS ? Tss2_Sys_ReadClock_Complete(sys, ret) : rc;
}

/* A TPM in dictionary-attack lockout refuses until it has let go of a failed try, which is not to
 * be waited for here: it takes minutes. How many is asked once, and said (TPM 2.0 Part 1, 19.8.4).
 */
static void lockout_say(Tpm *tpm)
{
    TPMS_CAPABILITY_DATA data = {0};
    const TPML_TAGGED_TPM_PROPERTY *found = &data.data.tpmProperties;

    if (tpm->lockout_said)
        return;
    tpm->lockout_said = true;
    if (tpm2_get_capability(tpm, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_LOCKOUT_INTERVAL, 1,
                            &data) == TSS2_RC_SUCCESS &&
        found->count == 1 && found->tpmProperty[0].property == TPM2_PT_LOCKOUT_INTERVAL) {
        log_warning(
            "The TPM is in dictionary-attack lockout; it lets go of a failed try every %u s",
            found->tpmProperty[0].value);
    }
}

TSS2_RC tpm_command_run_prepared(TpmCommand *command, TSS2_RC prepared, const TpmFrame *frame)
{
    TSS2_RC rc = prepared == TSS2_RC_SUCCESS ? tpm_command_run(command, frame) : prepared;

    if (tpm_rc_base(rc) == TPM2_RC_LOCKOUT)
        lockout_say(tpm_command_tpm(command));
    return rc;
}

TSS2_RC tpm2_flush_context(Tpm *tpm, TPM2_HANDLE handle)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_FlushContext_Prepare(sys, handle);

    return tpm_command_run_prepared(command, rc, &(TpmFrame){0});
}

TSS2_RC tpm2_start_auth_session(Tpm *tpm, const TpmObject *key, const TPM2B_NONCE *nonce_caller,
                                const TPM2B_ENCRYPTED_SECRET *encrypted, TPM2_SE type,
                                TPM2_HANDLE *ret, TPM2B_NONCE *ret_nonce_tpm)
{
    static const TPMT_SYM_DEF cipher = {
        .algorithm = TPM2_ALG_AES,
        .keyBits.aes = 128,
        .mode.aes = TPM2_ALG_CFB,
    };

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc =
        Tss2_Sys_StartAuthSession_Prepare(sys, key ? key->handle : TPM2_RH_NULL, TPM2_RH_NULL,
                                          nonce_caller, encrypted, type, &cipher, TPM2_ALG_SHA256);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_StartAuthSession_Complete(sys, ret, ret_nonce_tpm);
    return rc;
}

TSS2_RC tpm2_read_public(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret, TpmObject *ret_object)
{
    TPM2B_NAME name = {0}, qualified = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_ReadPublic_Prepare(sys, handle);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ReadPublic_Complete(sys, ret, &name, &qualified);
    return rc == TSS2_RC_SUCCESS ? object_take(handle, ret, ret_object) : rc;
}

TSS2_RC tpm2_create_primary(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                            const TPM2B_PUBLIC *template, TPM2B_PUBLIC *ret, TpmObject *ret_object)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside_info = {0};
    static const TPML_PCR_SELECTION creation_pcr = {0};
    const TpmObject owner = tpm_permanent(hierarchy);
    TPM2_HANDLE handle = TPM_NO_HANDLE;
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_CreatePrimary_Prepare(sys, hierarchy, &sensitive, template, &outside_info,
                                                &creation_pcr);

    rc = tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){
            .handles = {&owner}, .n_authorized = 1, .sessions = {session}, .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_CreatePrimary_Complete(sys, &handle, ret, &data, &hash, &ticket, &name);
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    rc = object_take(handle, ret, ret_object);
    if (rc != TSS2_RC_SUCCESS)
        (void)tpm2_flush_context(tpm, handle);
    return rc;
}

TSS2_RC tpm2_load(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                  const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public, TpmObject *ret)
{
    TPM2_HANDLE handle = TPM_NO_HANDLE;
    TPM2B_NAME name = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_Load_Prepare(sys, parent->handle, private, public);

    rc = tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){
            .handles = {parent}, .n_authorized = 1, .sessions = {session}, .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_Load_Complete(sys, &handle, &name);
    return rc == TSS2_RC_SUCCESS ? object_take(handle, public, ret) : rc;
}

TSS2_RC tpm2_load_external(Tpm *tpm, const TPM2B_PUBLIC *public, TPM2_HANDLE hierarchy,
                           TpmObject *ret)
{
    TPM2_HANDLE handle = TPM_NO_HANDLE;
    TPM2B_NAME name = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_LoadExternal_Prepare(sys, NULL, public, hierarchy);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_LoadExternal_Complete(sys, &handle, &name);
    return rc == TSS2_RC_SUCCESS ? object_take(handle, public, ret) : rc;
}

TSS2_RC tpm2_evict_control(Tpm *tpm, const TpmObject *object, TpmSession *session,
                           TPM2_HANDLE persistent)
{
    const TpmObject owner = tpm_permanent(TPM2_RH_OWNER);

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_EvictControl_Prepare(sys, TPM2_RH_OWNER, object->handle, persistent);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){.handles = {&owner, object}, .n_authorized = 1, .sessions = {session}});
}

TSS2_RC tpm2_sign(Tpm *tpm, const TpmObject *key, TpmSession *session, const TPM2B_DIGEST *digest,
                  const TPMT_SIG_SCHEME *scheme, TPMT_SIGNATURE *ret)
{
    /* An unrestricted key signs any digest; no ticket says that the TPM made the hash itself. */
    static const TPMT_TK_HASHCHECK no_ticket = {
        .tag = TPM2_ST_HASHCHECK,
        .hierarchy = TPM2_RH_NULL,
    };

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_Sign_Prepare(sys, key->handle, digest, scheme, &no_ticket);

    rc = tpm_command_run_prepared(
        command, rc, &(TpmFrame){.handles = {key}, .n_authorized = 1, .sessions = {session}});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_Sign_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_verify_signature(Tpm *tpm, const TpmObject *key, TpmSession *session,
                              const TPM2B_DIGEST *digest, const TPMT_SIGNATURE *signature,
                              TPMT_TK_VERIFIED *ret)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_VerifySignature_Prepare(sys, key->handle, digest, signature);

    rc =
        tpm_command_run_prepared(command, rc, &(TpmFrame){.handles = {key}, .sessions = {session}});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_VerifySignature_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_pcr_read(Tpm *tpm, const TPML_PCR_SELECTION *selection, uint32_t *ret_counter,
                      TPML_PCR_SELECTION *ret_selection, TPML_DIGEST *ret)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PCR_Read_Prepare(sys, selection);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_PCR_Read_Complete(sys, ret_counter, ret_selection, ret);
    return rc;
}

TSS2_RC tpm2_policy_pcr(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *pcr_digest,
                        const TPML_PCR_SELECTION *selection)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicyPCR_Prepare(sys, policy->object.handle, pcr_digest, selection);

    return tpm_command_run_prepared(command, rc, &(TpmFrame){.handles = {&policy->object}});
}

TSS2_RC tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *approved,
                              const TPM2B_NONCE *policy_ref, const TPM2B_NAME *key,
                              const TPMT_TK_VERIFIED *ticket)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicyAuthorize_Prepare(sys, policy->object.handle, approved, policy_ref,
                                                  key, ticket);

    return tpm_command_run_prepared(command, rc, &(TpmFrame){.handles = {&policy->object}});
}

TSS2_RC tpm2_policy_cp_hash(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *cp_hash)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicyCpHash_Prepare(sys, policy->object.handle, cp_hash);

    return tpm_command_run_prepared(command, rc, &(TpmFrame){.handles = {&policy->object}});
}

TSS2_RC tpm2_policy_nv_written(Tpm *tpm, const TpmSession *policy, bool written)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc =
        Tss2_Sys_PolicyNvWritten_Prepare(sys, policy->object.handle, written ? TPM2_YES : TPM2_NO);

    return tpm_command_run_prepared(command, rc, &(TpmFrame){.handles = {&policy->object}});
}

TSS2_RC tpm2_policy_nv(Tpm *tpm, const TpmObject *index, TpmSession *session,
                       const TpmSession *policy, const TPM2B_OPERAND *operand, uint16_t offset,
                       TPM2_EO operation)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_PolicyNV_Prepare(sys, index->handle, index->handle, policy->object.handle,
                                           operand, offset, operation);

    return tpm_command_run_prepared(command, rc,
                                    &(TpmFrame){.handles = {index, index, &policy->object},
                                                .n_authorized = 1,
                                                .sessions = {session}});
}

TSS2_RC tpm2_nv_read_public(Tpm *tpm, TPM2_HANDLE index, TPMS_NV_PUBLIC *ret, TPM2B_NAME *ret_name)
{
    TPM2B_NV_PUBLIC public = {0};

    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_ReadPublic_Prepare(sys, index);

    rc = tpm_command_run_prepared(command, rc, &(TpmFrame){0});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_NV_ReadPublic_Complete(sys, &public, ret_name);
    if (rc == TSS2_RC_SUCCESS)
        *ret = public.nvPublic;
    return rc;
}

TSS2_RC tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                     TpmSession *session, uint16_t size, uint16_t offset, TPM2B_MAX_NV_BUFFER *ret)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_Read_Prepare(sys, authorizes->handle, index->handle, size, offset);

    rc = tpm_command_run_prepared(command, rc,
                                  &(TpmFrame){.handles = {authorizes, index},
                                              .n_authorized = 1,
                                              .sessions = {session},
                                              .sized_answer = true});
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_NV_Read_Complete(sys, ret);
    return rc;
}

TSS2_RC tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *session,
                      const TPM2B_MAX_NV_BUFFER *data)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_Write_Prepare(sys, index->handle, index->handle, data, 0);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){.handles = {index, index}, .n_authorized = 1, .sessions = {session}});
}

TSS2_RC tpm2_nv_increment(Tpm *tpm, const TpmObject *index, TpmSession *session)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_Increment_Prepare(sys, index->handle, index->handle);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){.handles = {index, index}, .n_authorized = 1, .sessions = {session}});
}

TSS2_RC tpm2_nv_write_lock(Tpm *tpm, const TpmObject *index, TpmSession *session)
{
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(tpm);
    TSS2_SYS_CONTEXT *sys = tpm_command_sys(command);
    TSS2_RC rc = Tss2_Sys_NV_WriteLock_Prepare(sys, index->handle, index->handle);

    return tpm_command_run_prepared(
        command, rc,
        &(TpmFrame){.handles = {index, index}, .n_authorized = 1, .sessions = {session}});
}

/* ---- room in the TPM's slots, when there is none left ---- */

enum { HANDLES_MAX = 254 };

static bool is_held(const Tpm *tpm, TPM2_HANDLE handle)
{
    for (size_t i = 0; i < ELEMENTS(tpm->held); i++) {
        if (tpm->held[i] == handle)
            return true;
    }
    return false;
}

/* Flushes all handles of the kind of `first` but those in use; true if there was one. */
static bool handles_flush(Tpm *tpm, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA data = {0};
    bool flushed = false;

    if (tpm2_get_capability(tpm, NULL, TPM2_CAP_HANDLES, first, HANDLES_MAX, &data) !=
        TSS2_RC_SUCCESS)
        return false;
    for (uint32_t i = 0; i < data.data.handles.count; i++) {
        const TPM2_HANDLE handle = data.data.handles.handle[i];

        if (!is_held(tpm, handle))
            flushed = tpm2_flush_context(tpm, handle) == TSS2_RC_SUCCESS || flushed;
    }
    return flushed;
}

/* Flushes what stands in the way of a command that failed so. */
static bool way_clear(Tpm *tpm, TSS2_RC rc)
{
    bool saved;

    switch (tpm_rc_base(rc)) {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
        return handles_flush(tpm, TPM2_TRANSIENT_FIRST);
    case TPM2_RC_SESSION_MEMORY:
        return handles_flush(tpm, TPM2_LOADED_SESSION_FIRST);
    case TPM2_RC_SESSION_HANDLES:
    case TPM2_RC_CONTEXT_GAP:
        saved = handles_flush(tpm, TPM2_ACTIVE_SESSION_FIRST);
        return handles_flush(tpm, TPM2_LOADED_SESSION_FIRST) || saved;
    default:
        return false;
    }
}

bool tpm_reclaim(Tpm *tpm, TSS2_RC rc)
{
    /* Behind a resource manager the slots of others are their own, and it makes room by itself. */
    return rc != TSS2_RC_SUCCESS && tpm->exclusive && way_clear(tpm, rc);
}

/* The TPM 2.0 commands that the project gives, by the names and parameters of TPM 2.0 Part 3. Each
 * returns TSS2_RC_SUCCESS or an error for tpm_error(). Where a session is NULL, an empty password
 * authorizes; what is answered in a session is authentic. */
#pragma once

#include "tpm/command.h"
#include "tpm/publickey.h"
#include "tpm/tpm.h"

/* Runs a command whose preparation returned `prepared`: an error of that is passed on. A TPM in
 * lockout is logged, once. */
TSS2_RC tpm_command_run_prepared(TpmCommand *command, TSS2_RC prepared, const TpmFrame *frame);

/* `session` (NULL: none) audits: with a key, nobody between can lie about what is answered. */
TSS2_RC tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability, uint32_t property,
                            uint32_t count, TPMS_CAPABILITY_DATA *ret);
/* Nothing authenticates the answer: whoever sits between could as well count the days up. */
TSS2_RC tpm2_read_clock(Tpm *tpm, TPMS_TIME_INFO *ret);
TSS2_RC tpm2_flush_context(Tpm *tpm, TPM2_HANDLE handle);

/* With `key` (NULL: none) the salt in `encrypted` is for it. Symmetric is AES-128-CFB, the hash is
 * SHA-256. */
TSS2_RC tpm2_start_auth_session(Tpm *tpm, const TpmObject *key, const TPM2B_NONCE *nonce_caller,
                                const TPM2B_ENCRYPTED_SECRET *encrypted, TPM2_SE type,
                                TPM2_HANDLE *ret, TPM2B_NONCE *ret_nonce_tpm);

/* Objects. The Name that the TPM says is not looked at: *ret_object has the one computed from the
 * public area. */
TSS2_RC tpm2_read_public(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret, TpmObject *ret_object);
TSS2_RC tpm2_create_primary(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                            const TPM2B_PUBLIC *template, TPM2B_PUBLIC *ret, TpmObject *ret_object);
TSS2_RC tpm2_create(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                    const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
                    TPM2B_PRIVATE *ret_private, TPM2B_PUBLIC *ret_public);
TSS2_RC tpm2_load(Tpm *tpm, const TpmObject *parent, TpmSession *session,
                  const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public, TpmObject *ret);
TSS2_RC tpm2_load_external(Tpm *tpm, const TPM2B_PUBLIC *public, TPM2_HANDLE hierarchy,
                           TpmObject *ret);
TSS2_RC tpm2_evict_control(Tpm *tpm, const TpmObject *object, TpmSession *session,
                           TPM2_HANDLE persistent);

/* `session` ends with it unless it continues. */
TSS2_RC tpm2_sign(Tpm *tpm, const TpmObject *key, TpmSession *session, const TPM2B_DIGEST *digest,
                  const TPMT_SIG_SCHEME *scheme, TPMT_SIGNATURE *ret);

/* `session` (NULL: none) only protects. */
TSS2_RC tpm2_verify_signature(Tpm *tpm, const TpmObject *key, TpmSession *session,
                              const TPM2B_DIGEST *digest, const TPMT_SIGNATURE *signature,
                              TPMT_TK_VERIFIED *ret);
TSS2_RC tpm2_activate_credential(Tpm *tpm, const TpmObject *key, TpmSession *key_session,
                                 const TpmObject *ek, TpmSession *ek_session,
                                 const TPM2B_ID_OBJECT *blob, const TPM2B_ENCRYPTED_SECRET *secret,
                                 TPM2B_DIGEST *ret);

/* PCRs. */
TSS2_RC tpm2_pcr_read(Tpm *tpm, const TPML_PCR_SELECTION *selection, uint32_t *ret_counter,
                      TPML_PCR_SELECTION *ret_selection, TPML_DIGEST *ret);

/* Policy commands: what they do to `policy` shows when it authorizes. */
TSS2_RC tpm2_policy_pcr(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *pcr_digest,
                        const TPML_PCR_SELECTION *selection);
TSS2_RC tpm2_policy_authorize(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *approved,
                              const TPM2B_NONCE *policy_ref, const TPM2B_NAME *key,
                              const TPMT_TK_VERIFIED *ticket);
TSS2_RC tpm2_policy_cp_hash(Tpm *tpm, const TpmSession *policy, const TPM2B_DIGEST *cp_hash);
TSS2_RC tpm2_policy_nv_written(Tpm *tpm, const TpmSession *policy, bool written);
TSS2_RC tpm2_policy_nv(Tpm *tpm, const TpmObject *index, TpmSession *session,
                       const TpmSession *policy, const TPM2B_OPERAND *operand, uint16_t offset,
                       TPM2_EO operation);
TSS2_RC tpm2_policy_secret(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                           const TpmSession *policy);

/* NV indices, authorized by themselves or, where a hierarchy is asked for, by its empty authValue.
 */
TSS2_RC tpm2_nv_read_public(Tpm *tpm, TPM2_HANDLE index, TPMS_NV_PUBLIC *ret, TPM2B_NAME *ret_name);
TSS2_RC tpm2_nv_define_space(Tpm *tpm, TpmSession *session, const TPMS_NV_PUBLIC *public);
TSS2_RC tpm2_nv_undefine_space(Tpm *tpm, const TpmObject *index, TpmSession *session);
TSS2_RC tpm2_nv_read(Tpm *tpm, const TpmObject *authorizes, const TpmObject *index,
                     TpmSession *session, uint16_t size, uint16_t offset, TPM2B_MAX_NV_BUFFER *ret);
TSS2_RC tpm2_nv_write(Tpm *tpm, const TpmObject *index, TpmSession *session,
                      const TPM2B_MAX_NV_BUFFER *data);
TSS2_RC tpm2_nv_increment(Tpm *tpm, const TpmObject *index, TpmSession *session);
TSS2_RC tpm2_nv_write_lock(Tpm *tpm, const TpmObject *index, TpmSession *session);

/* Gives a hierarchy, whose authValue is empty, a new one. */
TSS2_RC tpm2_hierarchy_change_auth(Tpm *tpm, TPM2_HANDLE hierarchy, TpmSession *session,
                                   const TPM2B_AUTH *new_auth);

/* A permanent handle, as an object. */
TpmObject tpm_permanent(TPM2_HANDLE handle);

/* ---- room in the TPM's slots, when there is none left ---- */

/* Makes room after a command failed with `rc`: out of transient slots (TPM_RC_OBJECT_MEMORY), of
 * sessions (TPM_RC_SESSION_MEMORY, TPM_RC_SESSION_HANDLES), or the oldest saved session is too old
 * (TPM_RC_CONTEXT_GAP). On a TPM of our own, without resource manager, whatever is not held by this
 * connection was left by a program that died, and is flushed. True if the command is worth trying
 * once more. */
bool tpm_reclaim(Tpm *tpm, TSS2_RC rc);

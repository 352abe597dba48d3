/* TPM 2.0 commands that only tests give, beside those of tpm/commands.h: what an operating system,
 * a vendor or an attacker says to a TPM. Where nothing else is said, an empty password
 * authorizes. */
#pragma once

#include "tpm/commands.h"

TSS2_RC tpm2_get_random(Tpm *tpm, uint16_t size, TPM2B_DIGEST *ret);
TSS2_RC tpm2_pcr_extend(Tpm *tpm, TPM2_HANDLE pcr, const TPML_DIGEST_VALUES *digests);
TSS2_RC tpm2_context_save(Tpm *tpm, TPM2_HANDLE handle, TPMS_CONTEXT *ret);
TSS2_RC tpm2_context_load(Tpm *tpm, const TPMS_CONTEXT *context, TPM2_HANDLE *ret);
TSS2_RC tpm2_make_credential(Tpm *tpm, const TpmObject *ek, const TPM2B_DIGEST *credential,
                             const TPM2B_NAME *name, TPM2B_ID_OBJECT *ret_blob,
                             TPM2B_ENCRYPTED_SECRET *ret_secret);
TSS2_RC tpm2_policy_get_digest(Tpm *tpm, const TpmSession *policy, TPM2B_DIGEST *ret);
TSS2_RC tpm2_unseal(Tpm *tpm, const TpmObject *sealed, TpmSession *session,
                    TPM2B_SENSITIVE_DATA *ret);

/* NV commands by the right of a hierarchy: TPM2_RH_OWNER or TPM2_RH_PLATFORM. */
TSS2_RC tpm2_nv_define_space_as(Tpm *tpm, TPM2_HANDLE hierarchy, const TPMS_NV_PUBLIC *public);
TSS2_RC tpm2_nv_undefine_space_as(Tpm *tpm, TPM2_HANDLE hierarchy, TPM2_HANDLE index);
TSS2_RC tpm2_nv_write_as(Tpm *tpm, TPM2_HANDLE hierarchy, TPM2_HANDLE index,
                         const TPM2B_MAX_NV_BUFFER *data, uint16_t offset);

/* TPM2_HierarchyChangeAuth of the owner, whose authValue is `old`. */
TSS2_RC tpm2_owner_change_auth(Tpm *tpm, const TPM2B_AUTH *old, const TPM2B_AUTH *new);

/* Handles in the TPM from `first` on: TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST,
 * TPM2_ACTIVE_SESSION_FIRST. UINT_MAX if it does not say. */
unsigned tpm_handle_count(Tpm *tpm, TPM2_HANDLE first);

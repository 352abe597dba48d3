/* Under which condition the TPM lets the device key sign, and whether this platform meets it.
 *
 * The condition is part of the key and can't be changed: PolicyAuthorize by the vendor's policy
 * key, which approves of platform states (so that a firmware update needs a signature and no new
 * key); one platform state, PolicyPCR; or, for development, none. */
#pragma once

#include "base/reason.h"
#include "policy/pcrsignature.h"
#include "tpm/session.h"

typedef enum KeyPolicyKind {
    KEY_POLICY_NONE,   /* any program that reaches the TPM can sign: development only */
    KEY_POLICY_PCR,    /* PolicyPCR */
    KEY_POLICY_SIGNED, /* PolicyAuthorize */
    KEY_POLICY_KINDS
} KeyPolicyKind;

/* "none", "pcr", "signed". */
const char *key_policy_kind_name(KeyPolicyKind kind);

/* A PCR whose value is not the one that was approved of. */
typedef struct PcrMismatch {
    uint32_t mask; /* the PCRs that differ; 0: none, or no state says what it expects */
    PcrState expected;
    PcrState found;
} PcrMismatch;

typedef struct KeyPolicy {
    KeyPolicyKind kind;
    PolicyKey vendor;        /* of KEY_POLICY_SIGNED */
    PcrSignatures *states;   /* those that may fit: by the right signer, or the one of PolicyPCR */
    const PcrSignature *fit; /* the state that key_policy_fit() found us in; NULL: none yet */
    TPM2B_DIGEST pcr_digest; /* of the PCRs then */
    TPMT_TK_VERIFIED ticket; /* for `fit`, of KEY_POLICY_SIGNED */
    PcrMismatch mismatch;    /* where none fits: how far off the nearest one is */
} KeyPolicy;

/* Reads what goes with the key whose public area this is: for KEY_POLICY_SIGNED the vendor's public
 * key in `key_path`, and the states in `states_path` that it signed for; for KEY_POLICY_PCR the one
 * state there that is the key's. For KEY_POLICY_NONE neither file is needed. *ret is the caller's
 * to key_policy_free(). Returns 0, open's errno, -ENOMEM, or -EINVAL; `reason` says what was found
 * and what to do. */
int key_policy_read(const TPMT_PUBLIC *public, const char *key_path, const char *states_path,
                    KeyPolicy **ret, Reason *reason);

/* The same with states that were read already, from what messages call `states_path`; *states goes
 * over to the policy and is NULL then. */
int key_policy_from_states(const TPMT_PUBLIC *public, const char *key_path, PcrSignatures **states,
                           const char *states_path, KeyPolicy **ret, Reason *reason);
void key_policy_free(KeyPolicy *policy);
DEFINE_POINTER_CLEANUP(KeyPolicy, key_policy_free);

/* Finds the state that the platform is in among those approved of and, where a signature stands for
 * it, has the TPM check that and keeps the ticket, all before the critical path. 0;
 * -EKEYREJECTED if none fits (policy->mismatch tells how far off the nearest is), or where this TPM
 * has the PCRs of none of them; -EIO; reason filled. Nothing is to do for KEY_POLICY_NONE. */
int key_policy_fit(Tpm *tpm, KeyPolicy *policy, Reason *reason);

/* Satisfies the policy in a fresh policy session: TPM2_PolicyPCR, and TPM2_PolicyAuthorize with the
 * ticket. 0; -EKEYREJECTED if the platform is no longer in the state that was found; -EIO (error
 * filled). */
int key_policy_satisfy(Tpm *tpm, const KeyPolicy *policy, const TpmSession *session,
                       Reason *reason);

/* "PCR 7: expected …, found …" for each that differs, in one line; `ret` has `size` octets, at
 * least PCR_MISMATCH_TEXT_LEAST. What does not fit ends in "...". */
enum { PCR_MISMATCH_TEXT_LEAST = 4 };
void pcr_mismatch_print(const PcrMismatch *mismatch, char *ret, size_t size);

/* Policy digests (TPM 2.0 Part 1, 19.7), computed without a TPM: what a policy session's digest is
 * after the policy commands named here. All use SHA-256. And the key that approves of policies from
 * afar, by which the TPM checks what it approved of. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/reason.h"
#include "tpm/pcr.h"

#include <openssl/evp.h>
#include <stdbool.h>

enum { POLICY_DIGEST_SIZE = 32, POLICY_DIGEST_TEXT_SIZE = 2 * POLICY_DIGEST_SIZE + 1 };

/* Zeroed, it is the digest of a fresh policy session. */
typedef struct PolicyDigest {
    uint8_t octets[POLICY_DIGEST_SIZE];
} PolicyDigest;

/* What TPM2_PolicyPCR calls pcrDigest: SHA-256 over the values, in the order of their numbers.
 * `ret` has POLICY_DIGEST_SIZE octets. 0 or -EIO. */
int pcr_digest(const PcrState *state, uint8_t *ret);

/* Each extends the digest as the TPM command of that name does (Part 3, clause 23). They return 0,
 * or -EIO if OpenSSL fails. */
int policy_digest_pcr(PolicyDigest *digest, const PcrState *state);
int policy_digest_cp_hash(PolicyDigest *digest, const uint8_t cp_hash[POLICY_DIGEST_SIZE]);
int policy_digest_nv_written(PolicyDigest *digest, bool written);

/* TPM2_PolicyNV: `operation` (TPM2_EO_…) between the octets of the NV index at `offset` and
 * `operand`. The index is named by its Name, so that another index of the same handle won't do. */
int policy_digest_nv(PolicyDigest *digest, const TPM2B_NAME *index, Bytes operand, uint16_t offset,
                     TPM2_EO operation);

/* TPM2_PolicyAuthorize: replaces what was there by the Name of the key that approved of it. */
int policy_digest_authorize(PolicyDigest *digest, const TPM2B_NAME *key, Bytes policy_ref);

bool policy_digest_equal(const PolicyDigest *a, const PolicyDigest *b);

/* ---- the key of whoever decides from afar: the vendor, who approves of platform states, or the
 * operator, who approves of anchors. Its private half is never on the device ---- */

enum {
    POLICY_KEY_FINGERPRINT_SIZE = 32,
    POLICY_SIGNATURE_MAX = 512,
    POLICY_APPROVAL_MESSAGE_MAX = POLICY_DIGEST_SIZE + 64,
};

typedef struct PolicyKey {
    EVP_PKEY *pkey;      /* the private key too, where it was read from such a file */
    TPM2B_PUBLIC public; /* as TPM2_LoadExternal takes it */
    TPM2B_NAME name;     /* what a policy names it by */
    uint8_t fingerprint[POLICY_KEY_FINGERPRINT_SIZE]; /* SHA-256 of its bare public key in
                                                         DER: systemd-measure's "pkfp" */
} PolicyKey;

/* Reads a PEM file with a public key, or with `private` a file or pipe with an unencrypted private
 * one: RSA of 2048 bits with the exponent 65537, or ECDSA P-256, as every TPM 2.0 can check their
 * signatures. *ret is the caller's to policy_key_deinit(). Returns 0, open's errno, or -EINVAL;
 * `reason` says what was found and what to do. */
int policy_key_read(const char *path, bool private, PolicyKey *ret, Reason *reason);

/* The same of a public key from memory: `pem` is the content of the file that messages call `name`.
 */
int policy_key_decode(Bytes pem, const char *name, bool private, PolicyKey *ret, Reason *reason);
void policy_key_deinit(PolicyKey *key);

/* The digest that objects carry as authPolicy when this key decides. 0 or -EIO. */
int policy_key_authorize_digest(const PolicyKey *key, Bytes policy_ref, PolicyDigest *ret);

/* What the key signs when it approves (Part 3, 23.16), in `buffer` (POLICY_APPROVAL_MESSAGE_MAX
 * octets): approved | policy_ref. 0, or -ENOBUFS for a policy_ref that is too long. */
int policy_approval_message(const PolicyDigest *approved, Bytes policy_ref, uint8_t *buffer,
                            Bytes *ret);

/* True if this key approved of that policy. */
bool policy_key_approved(const PolicyKey *key, const PolicyDigest *approved, Bytes policy_ref,
                         Bytes signature);

/* Has the TPM check the approval (TPM2_LoadExternal, TPM2_VerifySignature, TPM2_FlushContext), and
 * yields the ticket by which TPM2_PolicyAuthorize believes it from then on, until the TPM is
 * cleared. 0, -EKEYREJECTED (the signature is not good), or -EIO (reason filled). */
int policy_key_ticket(Tpm *tpm, const PolicyKey *key, const PolicyDigest *approved,
                      Bytes policy_ref, Bytes signature, TPMT_TK_VERIFIED *ret, Reason *reason);

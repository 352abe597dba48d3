/* The key of whoever decides from afar: the vendor, who approves of platform states, or the
 * operator, who approves of anchors. Its private half is never on the device. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/reason.h"
#include "policy/policydigest.h"

#include <openssl/evp.h>

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

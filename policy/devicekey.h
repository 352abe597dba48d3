/* The device key, loaded in the TPM: it signs digests, and nothing else comes out of it. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "policy/keypolicy.h"
#include "policy/tss2key.h"
#include "tpm/tpm.h"

#include <openssl/evp.h>

typedef struct DeviceKey DeviceKey;

enum { DEVICE_KEY_SIGNATURE_MAX = 512 };

/* Makes a new signing key under the storage root key (fixedTPM, fixedParent, sensitiveDataOrigin,
 * sign; unrestricted, empty auth) in the form that tss2key_encode() writes. With `policy` it signs
 * in a session that meets this policy and in no other way; NULL: anybody who reaches the TPM can
 * use it (development). 0 or -EIO (reason filled). */
int device_key_create(Tpm *tpm, TpmKeyAlgorithm algorithm, const PolicyDigest *policy, Tss2Key *ret,
                      Reason *reason);

/* Loads `key`; it stays loaded until device_key_free(). Makes one signature over a random digest
 * with each scheme it will use and checks it, so that a key that can't sign shows at start-up, and
 * learns the TPM's PSS salt length. `policy` is the key's own, or NULL for a key without one; it
 * and `tpm` must outlive the key. 0; -EINVAL for a key outside the profile; -EKEYREJECTED if the
 * platform is not in a state that the policy allows (policy->mismatch); -ESTALE if this TPM is not,
 * or no longer, the one that the key was made in (TPM2_Clear takes the storage root key away), or
 * the private part is damaged; or
 * -EIO (reason filled). */
int device_key_load(Tpm *tpm, const Tss2Key *key, KeyPolicy *policy, DeviceKey **ret,
                    Reason *reason);
void device_key_free(DeviceKey *key);
DEFINE_POINTER_CLEANUP(DeviceKey, device_key_free);

/* The algorithm of a public area that the TPM made; 0, or -EINVAL for one outside the profile. */
int device_key_algorithm_of(const TPMT_PUBLIC *public, TpmKeyAlgorithm *ret);

TpmKeyAlgorithm device_key_algorithm(const DeviceKey *key);
EVP_PKEY *device_key_public(const DeviceKey *key); /* borrowed */
int device_key_pss_salt(const DeviceKey *key);     /* octets; 0 for ECDSA */

/* Gets ready to sign once: satisfies the key's policy in the session that the last signature left,
 * or in a new one. Nothing is done if that was done before. 0, -EKEYREJECTED (as above) or -EIO
 * (reason filled). */
int device_key_prepare(DeviceKey *key, Reason *reason);

/* Gives back the session that device_key_prepare() took of the TPM. A session kept for
 * long would keep others from saving theirs (TPM_RC_CONTEXT_GAP). */
void device_key_rest(DeviceKey *key);

/* TPM2_Sign, and no other command after device_key_prepare(): `digest` made with `digest_name`
 * ("SHA256", "SHA384"), `pss` for RSASSA-PSS. ECDSA signatures come as r | s, each as long as the
 * curve's order. `ret` has DEVICE_KEY_SIGNATURE_MAX octets. If a PCR was extended since (TPM_RC_
 * PCR_CHANGED), or the session is gone, it prepares and tries once more. 0, -EINVAL, -EKEYREJECTED,
 * or -EIO (reason filled). */
int device_key_sign(DeviceKey *key, const char *digest_name, bool pss, Bytes digest, uint8_t *ret,
                    size_t *ret_size, Reason *reason);

/* A vendor who signs for platform states: a policy key, and states of the bench's TPM. */
#pragma once

#include "key_bench.h"
#include "policy/keypolicy.h"
#include "provisioning/pcrsignature_file.h"

/* A new policy key, private half included: "RSA" or "P-256". The caller's to policy_key_deinit().
 */
PolicyKey vendor_key_new(const char *type);

/* Its public or private half as PEM text; the caller's to free(). */
char *vendor_key_pem(const PolicyKey *key, bool private);

/* The state of the bench's TPM now, in SHA-256. */
PcrState platform_state(uint32_t mask);

/* Extends a PCR of the bench's TPM. */
void platform_extend(unsigned pcr);

/* A file in the bench's folder; `ret_path` has 128 octets. */
void file_put(const char *name, const char *text, char *ret_path);

/* Writes the vendor's public key and these states, and reads them as the policy of a key with that
 * public area. */
KeyPolicy *vendor_policy(const PolicyKey *vendor, const PcrSignatures *states,
                         const TPMT_PUBLIC *public);

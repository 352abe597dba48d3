/* Platform states that were approved of: the file that systemd-measure writes
 * (tpm2-pcr-signature.json), a policy digest over PCRs and a signature for each. */
#pragma once

#include "policy/policykey.h"

#include <stdbool.h>

enum { PCR_SIGNATURES_MAX = 64, PCR_SIGNATURES_ERROR_SIZE = 512 };

/* One state. Its policy is TPM2_PolicyPCR over `expected`'s bank and PCRs, and nothing else. */
typedef struct PcrSignature {
    PolicyDigest policy; /* "pol" */
    bool is_signed;      /* an entry without "pkfp" and "sig" states a policy, and no approval */
    uint8_t fingerprint[POLICY_KEY_FINGERPRINT_SIZE]; /* "pkfp": of the key that signed */
    uint8_t signature[POLICY_SIGNATURE_MAX];          /* "sig" */
    size_t signature_size;
    /* "expected", which systemd-measure does not write: the values behind the digest, so that a
     * person can be told which PCR differs. Bank and mask are always there. */
    bool has_expected;
    PcrState expected;
} PcrSignature;

typedef struct PcrSignatures {
    size_t count;
    PcrSignature entries[PCR_SIGNATURES_MAX];
} PcrSignatures;

/* Reads a file. Members it does not know are skipped, as systemd does; an entry whose values do not
 * come to its digest is an error. *ret is the caller's to free(). Returns 0, open's errno, -ENOMEM,
 * or -EINVAL; `error` (PCR_SIGNATURES_ERROR_SIZE octets) names the file, the entry and what is
 * wrong. */
int pcr_signatures_read(const char *path, PcrSignatures **ret, char *error);

/* The same from memory: `json` is the content of the file that messages call `name`. */
int pcr_signatures_decode(Bytes json, const char *name, PcrSignatures **ret, char *error);

/* The file's text; *ret is the caller's to free(). 0 or -ENOMEM. */
int pcr_signatures_encode(const PcrSignatures *signatures, char **ret);

/* States the policy over `expected`, and has `key` approve of it unless that is NULL. 0, or -EIO.
 */
int pcr_signature_make(const PcrState *expected, const PolicyKey *key, PcrSignature *ret);

/* Adds an entry, in place of one of the same key, bank, PCRs and digest. 0, or -ENOSPC. */
int pcr_signatures_add(PcrSignatures *signatures, const PcrSignature *entry);

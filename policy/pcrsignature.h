/* Platform states that were approved of: a policy digest over PCRs and a signature for each, as
 * tre-provision(8) writes them to a device. The format is in tred.conf(5). */
#pragma once

#include "base/reason.h"
#include "policy/policykey.h"

#include <stdbool.h>

enum { PCR_SIGNATURES_MAX = 64 };

#define PCR_SIGNATURES_HEADING "pcr-signatures 1"

/* One state. Its policy is TPM2_PolicyPCR over `expected`'s bank and PCRs, and nothing else. */
typedef struct PcrSignature {
    PolicyDigest policy;
    bool is_signed; /* without key and signature an entry states a policy, and no approval */
    uint8_t fingerprint[POLICY_KEY_FINGERPRINT_SIZE]; /* of the key that signed */
    uint8_t signature[POLICY_SIGNATURE_MAX];
    size_t signature_size;
    /* The values behind the digest, which systemd-measure does not write: so that a person can be
     * told which PCR differs. Bank and mask are always there. */
    bool has_expected;
    PcrState expected;
} PcrSignature;

typedef struct PcrSignatures {
    size_t count;
    PcrSignature entries[PCR_SIGNATURES_MAX];
} PcrSignatures;

/* Takes the values in entry->expected for those behind its digest. 0, or -EINVAL: they do not come
 * to it. */
int pcr_signature_expect(PcrSignature *entry);

/* Reads a file. An entry whose values do not come to its digest is an error. *ret is the caller's
 * to free(). Returns 0, open's errno, -ENOMEM, or -EINVAL; `reason` names the file, the line and
 * what is wrong. */
int pcr_signatures_read(const char *path, PcrSignatures **ret, Reason *reason);

/* The same from memory: `text` is the content of the file that messages call `name`. */
int pcr_signatures_decode(Bytes text, const char *name, PcrSignatures **ret, Reason *reason);

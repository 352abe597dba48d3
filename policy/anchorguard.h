/* The guard of the SeGW anchors: an NV index in the TPM that says which version of the anchor
 * bundle is in force, and what its SHA-256 is. Each write needs the operator's approval of this
 * very write, and the TPM itself checks that: neither root nor tred can set the anchors back.
 *
 * The index's authPolicy is TPM2_PolicyAuthorize by the operator's policy key. What the operator
 * approves of is one of two policies, each good for one payload only:
 *
 * - first: PolicyNvWritten(NO), PolicyCpHash(TPM2_NV_Write(payload));
 * - update: PolicyNV(version in the index < the payload's), PolicyCpHash(TPM2_NV_Write(payload)).
 */
#pragma once

#include "base/reason.h"
#include "policy/policykey.h"
#include "tpm/nv.h"

#include <stdbool.h>
#include <stdint.h>

/* The owner's range of the TCG's registry of reserved handles (2.2). */
#define ANCHOR_GUARD_INDEX ((TPM2_HANDLE)0x01801101)

enum { ANCHOR_DIGEST_SIZE = 32, ANCHOR_GUARD_SIZE = 8 + ANCHOR_DIGEST_SIZE };

/* The highest version, so that it is a whole number wherever it is written down. */
#define ANCHOR_VERSION_MAX ((uint64_t)INT64_MAX)

/* What the index holds. */
typedef struct AnchorRecord {
    uint64_t version;                   /* from 1 on; 8 octets, big-endian */
    uint8_t digest[ANCHOR_DIGEST_SIZE]; /* SHA-256 of the bundle's octets */
} AnchorRecord;

bool anchor_record_equal(const AnchorRecord *a, const AnchorRecord *b);

/* The record of a bundle: its octets as they stand in the file. 0 or -EIO. */
int anchor_record_make(Bytes bundle, uint64_t version, AnchorRecord *ret);

typedef enum AnchorWrite {
    ANCHOR_WRITE_FIRST,  /* into an index that was never written: at the factory */
    ANCHOR_WRITE_UPDATE, /* over an older version */
    ANCHOR_WRITES
} AnchorWrite;

/* The operator's signature over the policy of one write; size 0: there is none. */
typedef struct AnchorSignature {
    size_t size;
    uint8_t octets[POLICY_SIGNATURE_MAX];
} AnchorSignature;

/* Without a TPM, for the operator's side and for tests; 0, or -EIO/-EINVAL if OpenSSL or the TSS
 * fails. */

/* The public area of the index that obeys `operator_key`; its Name by tpm_nv_name(). */
int anchor_guard_public(const PolicyKey *operator_key, bool written, TPMS_NV_PUBLIC *ret);

/* cpHash of the TPM2_NV_Write of `record` (TPM 2.0 Part 1, 18.7); `ret` has POLICY_DIGEST_SIZE
 * octets. */
int anchor_guard_cp_hash(const PolicyKey *operator_key, AnchorWrite write,
                         const AnchorRecord *record, uint8_t *ret);

/* The policy that the operator approves of. */
int anchor_guard_policy(const PolicyKey *operator_key, AnchorWrite write,
                        const AnchorRecord *record, PolicyDigest *ret);

/* True if the operator approved of this write. */
bool anchor_guard_approved(const PolicyKey *operator_key, AnchorWrite write,
                           const AnchorRecord *record, const AnchorSignature *signature);

/* With a TPM. */

typedef struct AnchorGuard {
    bool written;
    AnchorRecord record;    /* where it is written */
    PolicyDigest authority; /* authPolicy: policy_key_authorize_digest() of the operator's key, with
                              ANCHOR_POLICY_REF */
} AnchorGuard;

#define ANCHOR_POLICY_REF "tred-anchors"

/* Reads the index; the TPM's answer is authenticated. 0, -ENOENT (there is no index), -EBADMSG
 * (what stands there is no guard, so that nothing it holds can be believed), or -EIO. */
int anchor_guard_read(Tpm *tpm, AnchorGuard *ret, Reason *reason);

/* Whether the owner hierarchy has an authorization value, so that whoever is root can't take the
 * guard away by TPM2_NV_UndefineSpace and define another operator's. Nothing authenticates the
 * answer: it is for a warning. 0 or -EIO (reason filled). */
int anchor_guard_is_locked(Tpm *tpm, bool *ret, Reason *reason);

/* True if `guard` obeys this operator. */
bool anchor_guard_obeys(const AnchorGuard *guard, const PolicyKey *operator_key);

/* Writes `record`, as the operator approved by `signature`. Which of both writes it is comes from
 * the caller, and it is the TPM that judges it. 0; -EKEYREJECTED (the operator did not sign that);
 * -EACCES (the TPM refuses: written before, not newer than what is there, another payload than the
 * one approved of, or another operator's index); -ENOENT or -EIO. */
int anchor_guard_write(Tpm *tpm, const PolicyKey *operator_key, AnchorWrite write,
                       const AnchorRecord *record, const AnchorSignature *signature,
                       Reason *reason);

/* ---- for who makes the index, or takes it away (provisioning/devicetpm.h) ---- */

/* Opens the index if it is a guard, whoever's it is. 0, -ENOENT, -EBADMSG or -EIO (reason filled).
 */
int anchor_guard_open(Tpm *tpm, NvIndex *ret, AnchorGuard *guard, Reason *reason);

/* -EEXIST; `reason` says that the index is another operator's, or no guard. */
int anchor_guard_not_ours(Reason *reason);

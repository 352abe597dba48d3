/* Telling the TPM of an approval, so that it lets this one write through. */
#include "policy/anchorguard_internal.h"

#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <string.h>

static int command_fail(Reason *reason, const char *command, TSS2_RC rc)
{
    const TSS2_RC base = tpm_rc_base(rc);

    tpm_error(reason, command, rc);
    return base == TPM2_RC_POLICY || base == TPM2_RC_VALUE || base == TPM2_RC_POLICY_FAIL ? -EACCES
                                                                                          : -EIO;
}

/* TPM2_PolicyNV reads the index, so that the index's own (empty) authValue has to allow it. */
static int policy_nv(Tpm *tpm, const NvIndex *index, const TpmSession *session, uint64_t version,
                     Reason *reason)
{
    TPM2B_OPERAND operand = {.size = NV_NUMBER_SIZE};
    TpmSession *reading = NULL;
    TSS2_RC rc;
    int r;

    anchor_version_encode(version, operand.buffer);
    r = tpm_session_start(tpm, TPM2_SE_HMAC, &reading, reason);
    if (r < 0)
        return r;
    rc = tpm2_policy_nv(tpm, &index->object, reading, session, &operand, 0, TPM2_EO_UNSIGNED_LT);
    tpm_session_flush(tpm, reading);
    if (tpm_rc_base(rc) == TPM2_RC_POLICY) {
        return reason_set(reason, -EACCES,
                          "the TPM holds anchors of version %llu or a newer one already "
                          "(TPM2_PolicyNV); install a newer bundle",
                          (unsigned long long)version);
    }
    return rc == TSS2_RC_SUCCESS ? 0 : command_fail(reason, "TPM2_PolicyNV", rc);
}

static int policy_not_written(Tpm *tpm, const TpmSession *session, Reason *reason)
{
    const TSS2_RC rc = tpm2_policy_nv_written(tpm, session, false);

    return rc == TSS2_RC_SUCCESS ? 0 : command_fail(reason, "TPM2_PolicyNvWritten", rc);
}

static int policy_cp_hash(Tpm *tpm, const TpmSession *session, const uint8_t *cp_hash,
                          Reason *reason)
{
    TPM2B_DIGEST digest = {.size = POLICY_DIGEST_SIZE};
    TSS2_RC rc;

    memcpy(digest.buffer, cp_hash, POLICY_DIGEST_SIZE);
    rc = tpm2_policy_cp_hash(tpm, session, &digest);
    return rc == TSS2_RC_SUCCESS ? 0 : command_fail(reason, "TPM2_PolicyCpHash", rc);
}

static int policy_authorize(Tpm *tpm, const PolicyKey *operator_key, const TpmSession *session,
                            const PolicyDigest *approved, const TPMT_TK_VERIFIED *ticket,
                            Reason *reason)
{
    const Bytes reference = anchor_policy_ref();
    TPM2B_DIGEST digest = {.size = POLICY_DIGEST_SIZE};
    TPM2B_NONCE nonce = {.size = (UINT16)reference.size};
    TSS2_RC rc;

    memcpy(digest.buffer, approved->octets, POLICY_DIGEST_SIZE);
    memcpy(nonce.buffer, reference.data, reference.size);
    rc = tpm2_policy_authorize(tpm, session, &digest, &nonce, &operator_key->name, ticket);
    return rc == TSS2_RC_SUCCESS ? 0 : command_fail(reason, "TPM2_PolicyAuthorize", rc);
}

/* One write, in the making. */
typedef struct GuardWrite {
    const PolicyKey *operator_key;
    AnchorWrite write;
    const AnchorRecord *record;
    uint8_t cp_hash[POLICY_DIGEST_SIZE];
    PolicyDigest policy;
    TPMT_TK_VERIFIED ticket;
} GuardWrite;

static int write_in(Tpm *tpm, NvIndex *index, const GuardWrite *plan, TpmSession *session,
                    Reason *reason)
{
    uint8_t octets[ANCHOR_GUARD_SIZE];
    int r;

    r = plan->write == ANCHOR_WRITE_FIRST
            ? policy_not_written(tpm, session, reason)
            : policy_nv(tpm, index, session, plan->record->version, reason);
    if (r == 0)
        r = policy_cp_hash(tpm, session, plan->cp_hash, reason);
    if (r == 0)
        r = policy_authorize(tpm, plan->operator_key, session, &plan->policy, &plan->ticket,
                             reason);
    if (r < 0)
        return r;
    anchor_record_encode(plan->record, octets);
    return nv_write(tpm, index, session, BYTES_OF(octets), reason);
}

static int plan_make(Tpm *tpm, const AnchorSignature *signature, GuardWrite *plan, Reason *reason)
{
    if (anchor_guard_cp_hash(plan->operator_key, plan->write, plan->record, plan->cp_hash) < 0 ||
        anchor_guard_policy(plan->operator_key, plan->write, plan->record, &plan->policy) < 0) {
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    }
    return policy_key_ticket(tpm, plan->operator_key, &plan->policy, anchor_policy_ref(),
                             (Bytes){signature->octets, signature->size}, &plan->ticket, reason);
}

int anchor_guard_write(Tpm *tpm, const PolicyKey *operator_key, AnchorWrite write,
                       const AnchorRecord *record, const AnchorSignature *signature, Reason *reason)
{
    GuardWrite plan = {.operator_key = operator_key, .write = write, .record = record};
    TpmSession *session = NULL;
    NvIndex index;
    int r;

    r = nv_open(tpm, ANCHOR_GUARD_INDEX, &index, reason);
    if (r < 0)
        return r;
    r = plan_make(tpm, signature, &plan, reason);
    if (r == 0)
        r = tpm_session_start(tpm, TPM2_SE_POLICY, &session, reason);
    if (r == 0)
        r = write_in(tpm, &index, &plan, session, reason);
    tpm_session_flush(tpm, session);
    return r;
}

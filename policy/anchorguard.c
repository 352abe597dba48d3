/* The guard of the anchors in the TPM: which write the operator approves of, telling the TPM so,
 * and which bundle is in force. */
#include "policy/anchorguard.h"

#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

static const TPMA_NV guard_attributes =
    TPMA_NV_POLICYWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA;

enum { NV_WRITE_PARAMETERS_SIZE = 2 + ANCHOR_GUARD_SIZE + 2 };

/* policyRef of every approval. */
static Bytes policy_ref(void)
{
    return (Bytes){(const uint8_t *)ANCHOR_POLICY_REF, strlen(ANCHOR_POLICY_REF)};
}

bool anchor_record_equal(const AnchorRecord *a, const AnchorRecord *b)
{
    return a->version == b->version && bytes_equal(BYTES_OF(a->digest), BYTES_OF(b->digest));
}

int anchor_record_make(Bytes bundle, uint64_t version, AnchorRecord *ret)
{
    *ret = (AnchorRecord){.version = version};
    return EVP_Digest(bundle.size > 0 ? (const void *)bundle.data : "", bundle.size, ret->digest,
                      NULL, EVP_sha256(), NULL) == 1
               ? 0
               : -EIO;
}

/* The octets of the index: `ret` has ANCHOR_GUARD_SIZE of them. */
static void record_encode(const AnchorRecord *record, uint8_t *ret)
{
    Writer writer;

    writer_init(&writer, ret, ANCHOR_GUARD_SIZE);
    writer_u64(&writer, record->version);
    writer_bytes(&writer, BYTES_OF(record->digest));
}

static void record_decode(const uint8_t *octets, AnchorRecord *ret)
{
    Reader reader;
    Bytes digest;

    *ret = (AnchorRecord){0};
    reader_init(&reader, (Bytes){octets, ANCHOR_GUARD_SIZE});
    if (reader_u64(&reader, &ret->version) == 0 &&
        reader_take(&reader, ANCHOR_DIGEST_SIZE, &digest) == 0)
        memcpy(ret->digest, digest.data, digest.size);
}

/* The public area with the operator known by the digest alone, as the TPM shows it. */
static TPMS_NV_PUBLIC public_of(const PolicyDigest *operator_key, bool written)
{
    TPMS_NV_PUBLIC public = {
        .nvIndex = ANCHOR_GUARD_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = guard_attributes | (written ? TPMA_NV_WRITTEN : 0),
        .authPolicy.size = POLICY_DIGEST_SIZE,
        .dataSize = ANCHOR_GUARD_SIZE,
    };

    memcpy(public.authPolicy.buffer, operator_key->octets, POLICY_DIGEST_SIZE);
    return public;
}

int anchor_guard_public(const PolicyKey *operator_key, bool written, TPMS_NV_PUBLIC *ret)
{
    PolicyDigest digest;
    int r = policy_key_authorize_digest(operator_key, policy_ref(), &digest);

    if (r < 0)
        return r;
    *ret = public_of(&digest, written);
    return 0;
}

/* The Name changes once, with the first write, as TPMA_NV_WRITTEN is part of it: an approval of the
 * first write is of no use for a second one. */
static int guard_name(const PolicyKey *operator_key, AnchorWrite write, TPM2B_NAME *ret)
{
    TPMS_NV_PUBLIC public;
    int r = anchor_guard_public(operator_key, write == ANCHOR_WRITE_UPDATE, &public);

    return r < 0 ? r : tpm_nv_name(&public, ret);
}

/* cpHash = H(commandCode | Name(authHandle) | Name(nvIndex) | data | offset), the index being its
 * own authHandle (Part 3, 31.7). */
int anchor_guard_cp_hash(const PolicyKey *operator_key, AnchorWrite write,
                         const AnchorRecord *record, uint8_t *ret)
{
    uint8_t octets[ANCHOR_GUARD_SIZE];
    uint8_t buffer[4 + 2 * sizeof(TPMU_NAME) + NV_WRITE_PARAMETERS_SIZE];
    TPM2B_NAME name;
    Writer writer;
    Bytes command;
    int r = guard_name(operator_key, write, &name);

    if (r < 0)
        return r;
    record_encode(record, octets);
    writer_init(&writer, buffer, sizeof(buffer));
    writer_u32(&writer, TPM2_CC_NV_Write);
    writer_bytes(&writer, (Bytes){name.name, name.size});
    writer_bytes(&writer, (Bytes){name.name, name.size});
    writer_u16(&writer, ANCHOR_GUARD_SIZE);
    writer_bytes(&writer, BYTES_OF(octets));
    writer_u16(&writer, 0); /* offset */
    r = writer_finish(&writer, &command);
    if (r < 0)
        return r;
    return EVP_Digest(command.data, command.size, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

/* A version as the index begins with it; `ret` has NV_NUMBER_SIZE octets. */
static void version_encode(uint64_t version, uint8_t *ret)
{
    Writer writer;

    writer_init(&writer, ret, NV_NUMBER_SIZE);
    writer_u64(&writer, version);
}

/* What stands in the policy before PolicyCpHash: the condition on what the index holds. */
static int policy_condition(const PolicyKey *operator_key, AnchorWrite write, uint64_t version,
                            PolicyDigest *digest)
{
    uint8_t operand[NV_NUMBER_SIZE];
    TPM2B_NAME name;
    int r;

    if (write == ANCHOR_WRITE_FIRST)
        return policy_digest_nv_written(digest, false);
    r = guard_name(operator_key, write, &name);
    if (r < 0)
        return r;
    version_encode(version, operand);
    return policy_digest_nv(digest, &name, BYTES_OF(operand), 0, TPM2_EO_UNSIGNED_LT);
}

int anchor_guard_policy(const PolicyKey *operator_key, AnchorWrite write,
                        const AnchorRecord *record, PolicyDigest *ret)
{
    uint8_t cp_hash[POLICY_DIGEST_SIZE];
    int r;

    *ret = (PolicyDigest){0};
    r = policy_condition(operator_key, write, record->version, ret);
    if (r < 0)
        return r;
    r = anchor_guard_cp_hash(operator_key, write, record, cp_hash);
    return r < 0 ? r : policy_digest_cp_hash(ret, cp_hash);
}

bool anchor_guard_approved(const PolicyKey *operator_key, AnchorWrite write,
                           const AnchorRecord *record, const AnchorSignature *signature)
{
    PolicyDigest policy;

    return signature->size > 0 && anchor_guard_policy(operator_key, write, record, &policy) == 0 &&
           policy_key_approved(operator_key, &policy, policy_ref(),
                               (Bytes){signature->octets, signature->size});
}

int anchor_guard_not_ours(Reason *reason)
{
    return reason_set(
        reason, -EEXIST,
        "the NV index 0x%08x is not the anchors' guard of this operator; it was left as "
        "it is: look at it with 'tpm2_nvreadpublic 0x%08x' and, if nothing needs it, "
        "remove it with 'tpm2_nvundefine 0x%08x'",
        ANCHOR_GUARD_INDEX, ANCHOR_GUARD_INDEX, ANCHOR_GUARD_INDEX);
}

static bool public_equal(const TPMS_NV_PUBLIC *a, const TPMS_NV_PUBLIC *b)
{
    return a->nvIndex == b->nvIndex && a->nameAlg == b->nameAlg && a->attributes == b->attributes &&
           a->dataSize == b->dataSize &&
           bytes_equal((Bytes){a->authPolicy.buffer, a->authPolicy.size},
                       (Bytes){b->authPolicy.buffer, b->authPolicy.size});
}

int anchor_guard_open(Tpm *tpm, NvIndex *ret, AnchorGuard *guard, Reason *reason)
{
    TPMS_NV_PUBLIC expected;
    int r;

    r = nv_open(tpm, ANCHOR_GUARD_INDEX, ret, reason);
    if (r < 0)
        return r;
    *guard = (AnchorGuard){.written = ret->public.attributes & TPMA_NV_WRITTEN};
    if (ret->public.authPolicy.size == POLICY_DIGEST_SIZE)
        memcpy(guard->authority.octets, ret->public.authPolicy.buffer, POLICY_DIGEST_SIZE);
    expected = public_of(&guard->authority, guard->written);
    if (public_equal(&ret->public, &expected))
        return 0;
    (void)anchor_guard_not_ours(reason);
    return -EBADMSG;
}

int anchor_guard_read(Tpm *tpm, AnchorGuard *ret, Reason *reason)
{
    uint8_t octets[ANCHOR_GUARD_SIZE];
    NvIndex index;
    int r;

    r = anchor_guard_open(tpm, &index, ret, reason);
    if (r < 0 || !ret->written)
        return r;
    r = nv_read(tpm, &index, octets, sizeof(octets), reason);
    if (r == 0)
        record_decode(octets, &ret->record);
    return r;
}

bool anchor_guard_obeys(const AnchorGuard *guard, const PolicyKey *operator_key)
{
    PolicyDigest digest;

    return policy_key_authorize_digest(operator_key, policy_ref(), &digest) == 0 &&
           policy_digest_equal(&digest, &guard->authority);
}

int anchor_guard_is_locked(Tpm *tpm, bool *ret, Reason *reason)
{
    TPMS_CAPABILITY_DATA data = {0};
    const TPML_TAGGED_TPM_PROPERTY *found = &data.data.tpmProperties;
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);

    if (r < 0)
        return r;
    rc = tpm2_get_capability(tpm, session, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_PERMANENT, 1, &data);
    tpm_session_flush(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_GetCapability (TPM_PT_PERMANENT)", rc);
        return -EIO;
    }
    *ret = found->count == 1 && found->tpmProperty[0].property == TPM2_PT_PERMANENT &&
           found->tpmProperty[0].value & TPMA_PERMANENT_OWNERAUTHSET;
    return 0;
}

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

    version_encode(version, operand.buffer);
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
    const Bytes reference = policy_ref();
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
    if (r == 0) {
        r = policy_authorize(tpm, plan->operator_key, session, &plan->policy, &plan->ticket,
                             reason);
    }
    if (r < 0)
        return r;
    record_encode(plan->record, octets);
    return nv_write(tpm, index, session, BYTES_OF(octets), reason);
}

static int plan_make(Tpm *tpm, const AnchorSignature *signature, GuardWrite *plan, Reason *reason)
{
    if (anchor_guard_cp_hash(plan->operator_key, plan->write, plan->record, plan->cp_hash) < 0 ||
        anchor_guard_policy(plan->operator_key, plan->write, plan->record, &plan->policy) < 0) {
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    }
    return policy_key_ticket(tpm, plan->operator_key, &plan->policy, policy_ref(),
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

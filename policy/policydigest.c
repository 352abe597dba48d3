/* Computes what a policy comes to, without asking a TPM. */
#include "policy/policydigest.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <string.h>
#include <tss2/tss2_mu.h>

enum { PARTS_MAX = 4 };

/* ret = SHA-256 over the parts, one after another; `ret` may be one of them. */
static int hash(const Bytes *parts, size_t n, uint8_t *ret)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        return -EIO;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].size > 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].size) != 1)
            return -EIO;
    }
    return EVP_DigestFinal_ex(ctx, ret, NULL) == 1 ? 0 : -EIO;
}

/* digest = H(digest | command | a | b) */
static int extend(PolicyDigest *digest, TPM2_CC command, Bytes a, Bytes b)
{
    uint8_t code[4];
    Writer writer;

    writer_init(&writer, code, sizeof(code));
    writer_u32(&writer, command);
    return hash((const Bytes[]){BYTES_OF(digest->octets), BYTES_OF(code), a, b}, PARTS_MAX,
                digest->octets);
}

int pcr_digest(const PcrState *state, uint8_t *ret)
{
    const size_t size = pcr_value_size(state->bank);
    Bytes values[PCR_COUNT];
    size_t n = 0;

    for (unsigned i = 0; i < PCR_COUNT; i++) {
        if (state->mask >> i & 1)
            values[n++] = (Bytes){state->values[i], size};
    }
    return hash(values, n, ret);
}

/* Part 3, 23.7: the selection as it is marshalled, then pcrDigest. */
int policy_digest_pcr(PolicyDigest *digest, const PcrState *state)
{
    const TPML_PCR_SELECTION selection = pcr_selection(state->bank, state->mask);
    uint8_t marshalled[sizeof(selection)];
    uint8_t values_hash[POLICY_DIGEST_SIZE];
    size_t size = 0;
    int r;

    if (Tss2_MU_TPML_PCR_SELECTION_Marshal(&selection, marshalled, sizeof(marshalled), &size) !=
        TSS2_RC_SUCCESS)
        return -EIO;
    r = pcr_digest(state, values_hash);
    if (r < 0)
        return r;
    return extend(digest, TPM2_CC_PolicyPCR, (Bytes){marshalled, size}, BYTES_OF(values_hash));
}

int policy_digest_cp_hash(PolicyDigest *digest, const uint8_t cp_hash[POLICY_DIGEST_SIZE])
{
    return extend(digest, TPM2_CC_PolicyCpHash, (Bytes){cp_hash, POLICY_DIGEST_SIZE}, (Bytes){0});
}

int policy_digest_nv_written(PolicyDigest *digest, bool written)
{
    const uint8_t octet = written ? TPM2_YES : TPM2_NO;

    return extend(digest, TPM2_CC_PolicyNvWritten, (Bytes){&octet, 1}, (Bytes){0});
}

int policy_digest_nv(PolicyDigest *digest, const TPM2B_NAME *index, Bytes operand, uint16_t offset,
                     TPM2_EO operation)
{
    uint8_t comparison[4];
    uint8_t arguments[POLICY_DIGEST_SIZE];
    Writer writer;
    int r;

    writer_init(&writer, comparison, sizeof(comparison));
    writer_u16(&writer, offset);
    writer_u16(&writer, operation);
    r = hash((const Bytes[]){operand, BYTES_OF(comparison)}, 2, arguments);
    if (r < 0)
        return r;
    return extend(digest, TPM2_CC_PolicyNV, BYTES_OF(arguments), (Bytes){index->name, index->size});
}

/* Part 3, 23.16 and PolicyUpdate() of 23.2.3: the reference gets a hash of its own, even an empty
 * one. */
int policy_digest_authorize(PolicyDigest *digest, const TPM2B_NAME *key, Bytes policy_ref)
{
    int r;

    *digest = (PolicyDigest){0};
    r = extend(digest, TPM2_CC_PolicyAuthorize, (Bytes){key->name, key->size}, (Bytes){0});
    if (r < 0)
        return r;
    return hash((const Bytes[]){BYTES_OF(digest->octets), policy_ref}, 2, digest->octets);
}

int policy_approval_hash(const PolicyDigest *approved, Bytes policy_ref, uint8_t *ret)
{
    return hash((const Bytes[]){BYTES_OF(approved->octets), policy_ref}, 2, ret);
}

bool policy_digest_equal(const PolicyDigest *a, const PolicyDigest *b)
{
    return bytes_equal(BYTES_OF(a->octets), BYTES_OF(b->octets));
}

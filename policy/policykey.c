/* What a policy comes to, without asking a TPM; and the key that approves of policies from afar:
 * reads it, and has the TPM check what it approved of. */
#include "policy/policykey.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"
#include "tpm/session.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
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

/* What the key signs when it approves of `approved` (Part 3, 23.16): SHA-256(approved |
 * policy_ref). `ret` has POLICY_DIGEST_SIZE octets. 0 or -EIO. */
static int policy_approval_hash(const PolicyDigest *approved, Bytes policy_ref, uint8_t *ret)
{
    return hash((const Bytes[]){BYTES_OF(approved->octets), policy_ref}, 2, ret);
}

bool policy_digest_equal(const PolicyDigest *a, const PolicyDigest *b)
{
    return bytes_equal(BYTES_OF(a->octets), BYTES_OF(b->octets));
}

/* ---- the policy key ---- */

enum { FILE_SIZE_MAX = 64 * 1024, RSA_BITS = 2048, RSA_EXPONENT = 65537, P256_SIZE = 32 };

/* It only verifies: a key that could also decrypt would be another key with another Name. */
static const TPMA_OBJECT verify_attributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH;

static int rsa_public(EVP_PKEY *pkey, TPMT_PUBLIC *ret)
{
    _cleanup_(BN_freep) BIGNUM *n = NULL;
    _cleanup_(BN_freep) BIGNUM *e = NULL;

    if (EVP_PKEY_get_bits(pkey) != RSA_BITS ||
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1 || !BN_is_word(e, RSA_EXPONENT))
        return -EINVAL;
    ret->type = TPM2_ALG_RSA;
    ret->parameters.rsaDetail = (TPMS_RSA_PARMS){
        .symmetric.algorithm = TPM2_ALG_NULL,
        .scheme.scheme = TPM2_ALG_NULL,
        .keyBits = RSA_BITS,
    };
    ret->unique.rsa.size = RSA_BITS / 8;
    return BN_bn2binpad(n, ret->unique.rsa.buffer, RSA_BITS / 8) == RSA_BITS / 8 ? 0 : -EINVAL;
}

static int ecc_public(EVP_PKEY *pkey, TPMT_PUBLIC *ret)
{
    TPMS_ECC_POINT *q = &ret->unique.ecc;
    _cleanup_(BN_freep) BIGNUM *x = NULL;
    _cleanup_(BN_freep) BIGNUM *y = NULL;
    char group[32] = "";

    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 ||
        strcmp(group, SN_X9_62_prime256v1) != 0 ||
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
        return -EINVAL;
    ret->type = TPM2_ALG_ECC;
    ret->parameters.eccDetail = (TPMS_ECC_PARMS){
        .symmetric.algorithm = TPM2_ALG_NULL,
        .scheme.scheme = TPM2_ALG_NULL,
        .curveID = TPM2_ECC_NIST_P256,
        .kdf.scheme = TPM2_ALG_NULL,
    };
    q->x.size = q->y.size = P256_SIZE;
    return BN_bn2binpad(x, q->x.buffer, P256_SIZE) == P256_SIZE &&
                   BN_bn2binpad(y, q->y.buffer, P256_SIZE) == P256_SIZE
               ? 0
               : -EINVAL;
}

static int public_fill(PolicyKey *key)
{
    TPMT_PUBLIC *area = &key->public.publicArea;
    int r;

    area->nameAlg = TPM2_ALG_SHA256;
    area->objectAttributes = verify_attributes;
    r = EVP_PKEY_is_a(key->pkey, "RSA") ? rsa_public(key->pkey, area) : ecc_public(key->pkey, area);
    return r < 0 ? r : tpm_object_name(&key->public, &key->name);
}

/* Over the bare key (PKCS #1, or the point), as systemd does it: not over SubjectPublicKeyInfo. */
static int fingerprint_fill(PolicyKey *key)
{
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const int size = i2d_PublicKey(key->pkey, &der);

    if (size <= 0 || EVP_Digest(der, (size_t)size, key->fingerprint, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    return 0;
}

/* A device has no one to type a pass phrase, and a signing machine can decrypt into a pipe. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
    (void)buffer, (void)size, (void)writing, (void)userdata;
    return -1;
}

int policy_key_decode(Bytes pem, const char *name, bool private, PolicyKey *ret, Reason *reason)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    _cleanup_(BIO_free_allp) BIO *bio =
        BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.size);

    if (!bio)
        return -ENOMEM;
    key.pkey = private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                       : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    if (!key.pkey) {
        return reason_set(
            reason, -EINVAL, "%.200s holds no %s key in PEM%s", name,
            private ? "private" : "public",
            private ? " without a pass phrase; decrypt it with '--key <(openssl pkey -in FILE)'"
                    : "; make one with 'openssl pkey -pubout'");
    }
    if (public_fill(&key) < 0) {
        return reason_set(
            reason, -EINVAL,
            "%.200s holds a key that is not RSA-2048 (with the exponent 65537) or ECDSA "
            "P-256, which every TPM can check; make one of these",
            name);
    }
    if (fingerprint_fill(&key) < 0)
        return reason_set(reason, -EINVAL, "%.200s: OpenSSL can't encode the key", name);
    *ret = key;
    key = (PolicyKey){0};
    return 0;
}

int policy_key_read(const char *path, bool private, PolicyKey *ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *pem = NULL;
    size_t size = 0;
    /* A private key may come down a pipe, from what has decrypted it. */
    int r = private ? file_read_stream(path, FILE_SIZE_MAX, &pem, &size)
                    : file_read(path, FILE_SIZE_MAX, &pem, &size);

    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    r = policy_key_decode((Bytes){pem, size}, path, private, ret, reason);
    if (private)
        OPENSSL_cleanse(pem, size);
    return r;
}

void policy_key_deinit(PolicyKey *key)
{
    EVP_PKEY_free(key->pkey);
    *key = (PolicyKey){0};
}

int policy_key_authorize_digest(const PolicyKey *key, Bytes policy_ref, PolicyDigest *ret)
{
    *ret = (PolicyDigest){0};
    return policy_digest_authorize(ret, &key->name, policy_ref);
}

/* approved | policy_ref, of which TPM2_VerifySignature is given the hash (Part 3, 23.16). */
int policy_approval_message(const PolicyDigest *approved, Bytes policy_ref, uint8_t *buffer,
                            Bytes *ret)
{
    Writer writer;

    writer_init(&writer, buffer, POLICY_APPROVAL_MESSAGE_MAX);
    writer_bytes(&writer, BYTES_OF(approved->octets));
    writer_bytes(&writer, policy_ref);
    return writer_finish(&writer, ret);
}

bool policy_key_approved(const PolicyKey *key, const PolicyDigest *approved, Bytes policy_ref,
                         Bytes signature)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t buffer[POLICY_APPROVAL_MESSAGE_MAX];
    Bytes message;
    bool good;

    if (policy_approval_message(approved, policy_ref, buffer, &message) < 0)
        return false;
    good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) == 1 &&
           EVP_DigestVerify(ctx, signature.data, signature.size, message.data, message.size) == 1;
    ERR_clear_error();
    return good;
}

static int ecdsa_to_tpm(Bytes der, TPMS_SIGNATURE_ECC *ret)
{
    const unsigned char *at = der.data;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der.size);

    ret->hash = TPM2_ALG_SHA256;
    ret->signatureR.size = ret->signatureS.size = P256_SIZE;
    if (!signature ||
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret->signatureR.buffer, P256_SIZE) != P256_SIZE ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret->signatureS.buffer, P256_SIZE) != P256_SIZE) {
        ERR_clear_error();
        return -EKEYREJECTED;
    }
    return 0;
}

static int signature_to_tpm(const PolicyKey *key, Bytes signature, TPMT_SIGNATURE *ret)
{
    TPMS_SIGNATURE_RSA *rsa = &ret->signature.rsassa;

    if (key->public.publicArea.type == TPM2_ALG_ECC) {
        ret->sigAlg = TPM2_ALG_ECDSA;
        return ecdsa_to_tpm(signature, &ret->signature.ecdsa);
    }
    ret->sigAlg = TPM2_ALG_RSASSA;
    rsa->hash = TPM2_ALG_SHA256;
    rsa->sig.size = RSA_BITS / 8;
    return tpm_integer_pad(signature, rsa->sig.buffer, RSA_BITS / 8) < 0 ? -EKEYREJECTED : 0;
}

static int not_approved(Reason *reason)
{
    return reason_set(reason, -EKEYREJECTED,
                      "the signature is not one that the policy key made over this policy; get the "
                      "file again from who signs policies");
}

static int key_verify(Tpm *tpm, const TpmObject *object, const uint8_t *hash,
                      const TPMT_SIGNATURE *signature, TPMT_TK_VERIFIED *ret, Reason *reason)
{
    TPM2B_DIGEST digest = {.size = POLICY_DIGEST_SIZE};
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    memcpy(digest.buffer, hash, POLICY_DIGEST_SIZE);
    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_verify_signature(tpm, object, session, &digest, signature, ret);
    tpm_session_flush(tpm, session);
    if (tpm_rc_base(rc) == TPM2_RC_SIGNATURE)
        return not_approved(reason);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_VerifySignature", rc);
        return -EIO;
    }
    return 0;
}

int policy_key_ticket(Tpm *tpm, const PolicyKey *key, const PolicyDigest *approved,
                      Bytes policy_ref, Bytes signature, TPMT_TK_VERIFIED *ret, Reason *reason)
{
    TPMT_SIGNATURE tpm_signature = {0};
    uint8_t hash[POLICY_DIGEST_SIZE];
    TpmObject object = {0};
    TSS2_RC rc;
    int r;

    if (policy_approval_hash(approved, policy_ref, hash) < 0)
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    if (signature_to_tpm(key, signature, &tpm_signature) < 0)
        return not_approved(reason);
    /* Loaded into the owner hierarchy, so that the ticket outlives a restart of the TPM (Part 3,
     * 12.3). */
    rc = tpm2_load_external(tpm, &key->public, TPM2_RH_OWNER, &object);
    if (tpm_reclaim(tpm, rc))
        rc = tpm2_load_external(tpm, &key->public, TPM2_RH_OWNER, &object);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_LoadExternal (policy key)", rc);
        return -EIO;
    }
    tpm_hold(tpm, object.handle); /* making room for the session must not take it */
    r = key_verify(tpm, &object, hash, &tpm_signature, ret, reason);
    tpm_object_release(tpm, &object);
    return r;
}

/* Finds the TPM's endorsement key, and the certificate that came with it; and checks that a TPM
 * vendor vouches for it. */
#include "provisioning/endorsement.h"

#include "crypto/openssl.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <tss2/tss2_mu.h>

enum {
    EK_RSA_OCTETS = 256,
    EK_ECC_OCTETS = 32,
    NV_CHUNK = 512, /* any TPM moves as much at once (PC Client Platform TPM Profile, 3.7.1) */
};

/* restricted and decrypt: it opens what is meant for this TPM and answers nothing else.
 * adminWithPolicy without userWithAuth: authPolicy is the one way to use it. */
#define EK_ATTRIBUTES                                                                              \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |            \
     TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

/* PolicySecret of the endorsement hierarchy (TCG EK Credential Profile, B.3.1, PolicyA of SHA-256).
 */
#define EK_POLICY_OCTETS                                                                           \
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7,      \
        0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14,  \
        0x69, 0xaa

#define EK_SYMMETRIC                                                                               \
    {                                                                                              \
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB                    \
    }

/* `unique` is zeros in full length: another value there would be another key. */
static const TPM2B_PUBLIC templates[ENDORSEMENT_TEMPLATES] = {
    [ENDORSEMENT_ECC_P256].publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = EK_ATTRIBUTES,
            .authPolicy = {.size = 32, .buffer = {EK_POLICY_OCTETS}},
            .parameters.eccDetail =
                {
                    .symmetric = EK_SYMMETRIC,
                    .scheme.scheme = TPM2_ALG_NULL,
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
            .unique.ecc = {.x.size = EK_ECC_OCTETS, .y.size = EK_ECC_OCTETS},
        },
    [ENDORSEMENT_RSA_2048].publicArea =
        {
            .type = TPM2_ALG_RSA,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = EK_ATTRIBUTES,
            .authPolicy = {.size = 32, .buffer = {EK_POLICY_OCTETS}},
            .parameters.rsaDetail =
                {
                    .symmetric = EK_SYMMETRIC,
                    .scheme.scheme = TPM2_ALG_NULL,
                    .keyBits = 2048,
                },
            .unique.rsa.size = EK_RSA_OCTETS,
        },
};

/* TCG EK Credential Profile 2.2.1.4. */
static const TPM2_HANDLE certificate_indices[ENDORSEMENT_TEMPLATES] = {
    [ENDORSEMENT_ECC_P256] = 0x01c0000a,
    [ENDORSEMENT_RSA_2048] = 0x01c00002,
};

static const char *const template_names[ENDORSEMENT_TEMPLATES] = {
    [ENDORSEMENT_ECC_P256] = "ECC P-256 (L-2)",
    [ENDORSEMENT_RSA_2048] = "RSA-2048 (L-1)",
};

/* Areas as the TPM hashes them: what is not used of a union is not compared. */
static bool area_equal(const TPMT_PUBLIC *a, const TPMT_PUBLIC *b)
{
    uint8_t octets[2][sizeof(TPMT_PUBLIC)];
    size_t sizes[2] = {0, 0};

    return Tss2_MU_TPMT_PUBLIC_Marshal(a, octets[0], sizeof(octets[0]), &sizes[0]) ==
               TSS2_RC_SUCCESS &&
           Tss2_MU_TPMT_PUBLIC_Marshal(b, octets[1], sizeof(octets[1]), &sizes[1]) ==
               TSS2_RC_SUCCESS &&
           bytes_equal((Bytes){octets[0], sizes[0]}, (Bytes){octets[1], sizes[1]});
}

int endorsement_template_of(const TPM2B_PUBLIC *public, EndorsementTemplate *ret)
{
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        TPMT_PUBLIC area = public->publicArea;

        if (area.type != templates[i].publicArea.type)
            continue;
        area.unique = templates[i].publicArea.unique;
        if (area_equal(&area, &templates[i].publicArea)) {
            *ret = (EndorsementTemplate)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int index_open(Tpm *tpm, TPM2_HANDLE handle, TpmObject *ret, TpmObject *ret_auth,
                      size_t *ret_size, Reason *reason)
{
    TPMS_NV_PUBLIC public = {0};
    TSS2_RC rc;

    *ret = (TpmObject){.handle = handle};
    /* A certificate proves itself, and the password that it is read with goes without an HMAC: the
     * Name may be the TPM's. */
    rc = tpm2_nv_read_public(tpm, handle, &public, &ret->name);
    if (rc == (TPM2_RC_HANDLE | TPM2_RC_1))
        return -ENOENT;
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_NV_ReadPublic (EK certificate)", rc);
        return -EIO;
    }
    if (public.dataSize > ENDORSEMENT_CERTIFICATE_MAX) {
        return reason_set(
            reason, -EINVAL,
            "the NV index 0x%08x of the EK certificate has %u octets, more than the %d "
            "that a certificate takes; this TPM can't be used for the proof",
            handle, public.dataSize, ENDORSEMENT_CERTIFICATE_MAX);
    }
    /* Its own, empty auth where that is allowed: the owner's may have been thrown away. */
    *ret_auth = public.attributes & TPMA_NV_AUTHREAD ? *ret : tpm_permanent(TPM2_RH_OWNER);
    *ret_size = public.dataSize;
    return 0;
}

static int chunk_read(Tpm *tpm, const TpmObject *auth, const TpmObject *index, uint8_t *ret,
                      size_t size, size_t offset, Reason *reason)
{
    TPM2B_MAX_NV_BUFFER chunk = {0};
    TSS2_RC rc = tpm2_nv_read(tpm, auth, index, NULL, (uint16_t)size, (uint16_t)offset, &chunk);

    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_NV_Read (EK certificate)", rc);
        return -EIO;
    }
    if (chunk.size != size) {
        return reason_set(reason, -EIO,
                          "TPM2_NV_Read: the TPM returned %u octets where %zu were asked for",
                          chunk.size, size);
    }
    memcpy(ret + offset, chunk.buffer, size);
    return 0;
}

/* Some vendors fill the index up after the certificate, so what follows the DER is left alone. */
static int certificate_parse(Bytes octets, TPM2_HANDLE handle, X509 **ret, Reason *reason)
{
    const unsigned char *position = octets.data;
    X509 *read = d2i_X509(NULL, &position, (long)octets.size);
    int r = -EINVAL;

    if (read) {
        r = endorsement_certificate_decode(bytes_slice(octets, 0, (size_t)(position - octets.data)),
                                           ret);
    }
    X509_free(read);
    if (r == -EINVAL) {
        reason_set(reason, 0,
                   "what the NV index 0x%08x holds is not an X.509 certificate; write the EK "
                   "certificate there that the TPM's vendor gives out for this TPM",
                   handle);
    }
    return r;
}

/* -ENOENT, without a word, if the index is not there. */
static int certificate_read(Tpm *tpm, TPM2_HANDLE handle, X509 **ret, Reason *reason)
{
    uint8_t octets[ENDORSEMENT_CERTIFICATE_MAX];
    TpmObject index, auth;
    size_t size = 0;
    int r = index_open(tpm, handle, &index, &auth, &size, reason);

    for (size_t done = 0; r == 0 && done < size; done += NV_CHUNK) {
        const size_t wanted = size - done < NV_CHUNK ? size - done : NV_CHUNK;

        r = chunk_read(tpm, &auth, &index, octets, wanted, done, reason);
    }
    return r < 0 ? r : certificate_parse((Bytes){octets, size}, handle, ret, reason);
}

static int certificate_find(Endorsement *ek, Reason *reason)
{
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        int r = certificate_read(ek->tpm, certificate_indices[i], &ek->certificate, reason);

        ek->template = (EndorsementTemplate)i;
        if (r != -ENOENT)
            return r;
    }
    return reason_set(
        reason, -ENOENT,
        "this TPM holds no EK certificate at the NV indices 0x%08x and 0x%08x; write "
        "the one there that the TPM's vendor gives out for this TPM, or use another TPM",
        certificate_indices[ENDORSEMENT_RSA_2048], certificate_indices[ENDORSEMENT_ECC_P256]);
}

int endorsement_certificate_read(Tpm *tpm, X509 **ret, Reason *reason)
{
    Endorsement ek = {.tpm = tpm};
    int r = certificate_find(&ek, reason);

    if (r == 0)
        *ret = ek.certificate;
    return r;
}

int endorsement_key_make(Tpm *tpm, EndorsementTemplate template, TpmObject *ret,
                         TPM2B_PUBLIC *ret_public, Reason *reason)
{
    TSS2_RC rc;

    *ret_public = (TPM2B_PUBLIC){0};
    rc = tpm2_create_primary(tpm, TPM2_RH_ENDORSEMENT, NULL, &templates[template], ret_public, ret);
    if (tpm_reclaim(tpm, rc)) {
        *ret_public = (TPM2B_PUBLIC){0};
        rc = tpm2_create_primary(tpm, TPM2_RH_ENDORSEMENT, NULL, &templates[template], ret_public,
                                 ret);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_CreatePrimary (EK)", rc);
        return -EIO;
    }
    tpm_hold(tpm, ret->handle);
    return 0;
}

int endorsement_open(Tpm *tpm, Endorsement **ret, Reason *reason)
{
    _cleanup_(endorsement_freep) Endorsement *ek = calloc(1, sizeof(*ek));
    int r;

    if (!ek)
        return reason_set(reason, -ENOMEM, "out of memory");
    ek->tpm = tpm;
    r = certificate_find(ek, reason);
    if (r == 0)
        r = endorsement_key_make(tpm, ek->template, &ek->object, &ek->public, reason);
    if (r < 0)
        return r;
    if (!endorsement_certificate_fits(ek->certificate, &ek->public)) {
        return reason_set(
            reason, -EKEYREJECTED,
            "the EK certificate at the NV index 0x%08x is not for the EK that this TPM "
            "makes from the template %s: the certificate is another TPM's, or this TPM "
            "has a template of its own, or its endorsement seed was changed "
            "(TPM2_ChangeEPS)",
            certificate_indices[ek->template], template_names[ek->template]);
    }
    *ret = steal_pointer(ek);
    return 0;
}

void endorsement_free(Endorsement *endorsement)
{
    if (!endorsement)
        return;
    tpm_object_release(endorsement->tpm, &endorsement->object);
    X509_free(endorsement->certificate);
    free(endorsement);
}

/* ---- whether a TPM vendor vouches for it ---- */

/* tcg-kp-EKCertificate (TCG EK Credential Profile 3.2.16). */
#define EK_CERTIFICATE_OID "2.23.133.8.1"

/* 112 bits: RSA-2048, SHA-256 and better, on the whole way to the root. */
enum { CHAIN_SECURITY_LEVEL = 2, SUBJECT_SIZE = 120 };

static void usages_freep(EXTENDED_KEY_USAGE **usages)
{
    EXTENDED_KEY_USAGE_free(*usages);
}

static void store_freep(X509_STORE **store)
{
    X509_STORE_free(*store);
}

/* The certificates themselves belong to somebody else. */
static void stack_freep(STACK_OF(X509) **stack)
{
    sk_X509_free(*stack);
}

int endorsement_certificate_decode(Bytes der, X509 **ret)
{
    const unsigned char *position = der.data;
    X509 *certificate;

    if (der.size == 0 || der.size > ENDORSEMENT_CERTIFICATE_MAX)
        return -EINVAL;
    certificate = d2i_X509(NULL, &position, (long)der.size);
    ERR_clear_error();
    if (!certificate || position != der.data + der.size) {
        X509_free(certificate);
        return -EINVAL;
    }
    *ret = certificate;
    return 0;
}

bool endorsement_certificate_fits(const X509 *certificate, const TPM2B_PUBLIC *public)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
    const EVP_PKEY *certified = X509_get0_pubkey(certificate);
    const bool fits =
        certified && tpm_public_to_pkey(public, &pkey) == 0 && EVP_PKEY_eq(certified, pkey) == 1;

    ERR_clear_error();
    return fits;
}

static bool has_ek_usage(const X509 *certificate)
{
    _cleanup_(usages_freep) EXTENDED_KEY_USAGE *usages =
        X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);

    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        char oid[sizeof(EK_CERTIFICATE_OID) + 1] = "";

        (void)OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usages, i), 1);
        if (strcmp(oid, EK_CERTIFICATE_OID) == 0)
            return true;
    }
    return false;
}

/* A vendor's CA may certify other things too, such as keys in software: the extensions tell. The
 * rest of a sentence that starts with the certificate, or NULL. */
static const char *extension_flaw(X509 *certificate, const TPM2B_PUBLIC *public)
{
    const bool rsa = public->publicArea.type == TPM2_ALG_RSA;
    const uint32_t needed = rsa ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT;
    const uint32_t usage = X509_get_key_usage(certificate);

    if (X509_get_extension_flags(certificate) & EXFLAG_CA)
        return "is a CA's, not an EK's";
    if (!has_ek_usage(certificate))
        return "is not for an EK (its extendedKeyUsage lacks " EK_CERTIFICATE_OID ")";
    /* All bits set stands for an absent extension. */
    if (usage != UINT32_MAX && (usage & needed))
        return NULL;
    return rsa ? "is not for an EK (its keyUsage lacks keyEncipherment)"
               : "is not for an EK (its keyUsage lacks keyAgreement)";
}

static int anchors_sort(const STACK_OF(X509) *anchors, X509_STORE *roots, STACK_OF(X509) *between)
{
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        X509 *certificate = sk_X509_value(anchors, i);
        const bool root = X509_self_signed(certificate, 0) == 1;

        if (root ? X509_STORE_add_cert(roots, certificate) != 1
                 : sk_X509_push(between, certificate) == 0)
            return -ENOMEM;
    }
    return 0;
}

static int chain_refuse(X509_STORE_CTX *context, const X509 *certificate, Reason *reason)
{
    const int error = X509_STORE_CTX_get_error(context);
    const X509 *bad = X509_STORE_CTX_get_current_cert(context);
    char subject[SUBJECT_SIZE] = "";
    char issuer[SUBJECT_SIZE] = "";

    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        certificate_issuer(bad ? bad : certificate, issuer, sizeof(issuer));
        return reason_set(
            reason, -EKEYREJECTED,
            "the EK certificate has no chain to a root of the TPM vendors that are "
            "trusted here: the certificate of its issuer '%s' is missing; if that is a "
            "vendor to trust, add its certificates to the EK anchors",
            issuer);
    default:
        certificate_subject(bad ? bad : certificate, subject, sizeof(subject));
        return reason_set(reason, -EKEYREJECTED,
                          "the chain of the EK certificate does not hold: %s, at '%s'; the device "
                          "can't be certified with this EK certificate",
                          X509_verify_cert_error_string(error), subject);
    }
}

static int chain_check(X509 *certificate, const STACK_OF(X509) *anchors, Reason *reason)
{
    _cleanup_(store_freep) X509_STORE *roots = X509_STORE_new();
    _cleanup_(stack_freep) STACK_OF(X509) *between = sk_X509_new_null();
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *context = X509_STORE_CTX_new();
    int r = -ENOMEM;

    if (roots && between && context)
        r = anchors_sort(anchors, roots, between);
    if (r == 0 && X509_STORE_CTX_init(context, roots, certificate, between) != 1)
        r = -ENOMEM;
    if (r < 0) {
        reason_set(reason, 0, "out of memory");
    } else {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(context), CHAIN_SECURITY_LEVEL);
        if (X509_verify_cert(context) != 1)
            r = chain_refuse(context, certificate, reason);
    }
    ERR_clear_error();
    return r;
}

int endorsement_certificate_check(X509 *certificate, const TPM2B_PUBLIC *public,
                                  const STACK_OF(X509) *anchors, Reason *reason)
{
    char subject[SUBJECT_SIZE] = "";
    const char *flaw;

    if (!endorsement_certificate_fits(certificate, public)) {
        return reason_set(
            reason, -EKEYREJECTED,
            "the EK certificate is for another EK than the request's; the device must "
            "show the certificate of its own TPM");
    }
    flaw = extension_flaw(certificate, public);
    if (flaw) {
        certificate_subject(certificate, subject, sizeof(subject));
        return reason_set(
            reason, -EKEYREJECTED,
            "the certificate shown as the EK's (subject '%s') %s; the device must show "
            "the EK certificate of its TPM's vendor",
            subject, flaw);
    }
    return chain_check(certificate, anchors, reason);
}

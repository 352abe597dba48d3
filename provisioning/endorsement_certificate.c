/* Checks that a TPM vendor vouches for an EK. */
#include "provisioning/endorsement_certificate.h"

#include "crypto/openssl.h"
#include "tpm/publickey.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

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

int endorsement_certificate_hash(const X509 *certificate, uint8_t *ret)
{
    unsigned int size = 0;

    return X509_digest(certificate, EVP_sha256(), ret, &size) == 1 && size == ENDORSEMENT_HASH_SIZE
               ? 0
               : -EIO;
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

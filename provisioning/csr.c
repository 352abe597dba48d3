/* Makes the CSR for a device key, which the key in the TPM signs, and judges one; and the step
 * "csr". */
#include "provisioning/csr.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "provisioning/step.h"
#include "tpm/publickey.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { COMMON_NAME_MAX = 64 }; /* RFC 5280, A.1: ub-common-name */

static void extensions_freep(STACK_OF(X509_EXTENSION) **extensions)
{
    sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static int extension_push(STACK_OF(X509_EXTENSION) *extensions, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);

    if (!extension)
        return -EIO;
    if (sk_X509_EXTENSION_push(extensions, extension) == 0) {
        X509_EXTENSION_free(extension);
        return -ENOMEM;
    }
    return 0;
}

static int extensions_add(X509_REQ *csr, const char *fqdn)
{
    _cleanup_(extensions_freep) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    char alt_name[FQDN_SIZE_MAX + 8];
    int r;

    if (!extensions)
        return -ENOMEM;
    (void)snprintf(alt_name, sizeof(alt_name), "DNS:%s", fqdn);
    r = extension_push(extensions, NID_subject_alt_name, alt_name);
    if (r == 0)
        r = extension_push(extensions, NID_key_usage, "critical,digitalSignature");
    if (r == 0 && X509_REQ_add_extensions(csr, extensions) != 1)
        r = -EIO;
    return r;
}

static int content_fill(X509_REQ *csr, EVP_PKEY *public_key, const char *fqdn)
{
    if (X509_REQ_set_version(csr, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(csr, public_key) != 1)
        return -EIO;
    /* The name that counts is in subjectAltName; the common name is for people's eyes. */
    if (strlen(fqdn) <= COMMON_NAME_MAX &&
        X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(csr), NID_commonName, MBSTRING_ASC,
                                   (const unsigned char *)fqdn, -1, -1, 0) != 1)
        return -EIO;
    return extensions_add(csr, fqdn);
}

/* Signs `csr`'s content with the device key: *ret is the signature as X.509 has it. */
static int content_sign(DeviceKey *key, X509_REQ *csr, const char *digest_name, unsigned char **ret,
                        size_t *ret_size, Reason *reason)
{
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char *content = NULL;
    const int content_size = i2d_re_X509_REQ_tbs(csr, &content);
    size_t digest_size = 0;
    size_t size = 0;
    int good;
    int r;

    if (content_size <= 0)
        return -ENOMEM;
    good =
        EVP_Q_digest(NULL, digest_name, NULL, content, (size_t)content_size, digest, &digest_size);
    OPENSSL_free(content);
    if (good != 1)
        return -EIO;
    r = device_key_sign(key, digest_name, false, (Bytes){digest, digest_size}, signature, &size,
                        reason);
    if (r < 0)
        return -EIO;
    if (device_key_algorithm(key) == TPM_KEY_RSA_2048) {
        *ret = OPENSSL_memdup(signature, size);
        *ret_size = size;
        return *ret ? 0 : -ENOMEM;
    }
    r = signature_ecdsa_to_der((Bytes){signature, size}, ret);
    *ret_size = r > 0 ? (size_t)r : 0;
    return r > 0 ? 0 : -ENOMEM;
}

static int signature_set(X509_REQ *csr, int nid, unsigned char *signature, size_t size)
{
    _cleanup_(ASN1_BIT_STRING_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    _cleanup_(X509_ALGOR_freep) X509_ALGOR *algorithm = X509_ALGOR_new();
    /* RFC 4055 5: NULL parameters for RSA; RFC 5758 3.2: none for ECDSA. */
    const int parameters = nid == NID_sha256WithRSAEncryption ? V_ASN1_NULL : V_ASN1_UNDEF;

    if (!bits || !algorithm || ASN1_BIT_STRING_set(bits, signature, (int)size) != 1)
        return -ENOMEM;
    bits->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07);
    bits->flags |= ASN1_STRING_FLAG_BITS_LEFT; /* whole octets: no unused bits at the end */
    if (X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), parameters, NULL) != 1 ||
        X509_REQ_set1_signature_algo(csr, algorithm) != 1)
        return -EIO;
    X509_REQ_set0_signature(csr, steal_pointer(bits));
    return 0;
}

static int csr_sign(DeviceKey *key, X509_REQ *csr, Reason *reason)
{
    static const struct {
        const char *digest;
        int nid;
    } schemes[TPM_KEY_ALGORITHMS] = {
        [TPM_KEY_ECDSA_P256] = {"SHA256", NID_ecdsa_with_SHA256},
        [TPM_KEY_ECDSA_P384] = {"SHA384", NID_ecdsa_with_SHA384},
        [TPM_KEY_RSA_2048] = {"SHA256", NID_sha256WithRSAEncryption},
    };
    const TpmKeyAlgorithm algorithm = device_key_algorithm(key);
    unsigned char *signature = NULL;
    size_t size = 0;
    int r;

    r = content_sign(key, csr, schemes[algorithm].digest, &signature, &size, reason);
    if (r == 0)
        r = signature_set(csr, schemes[algorithm].nid, signature, size);
    OPENSSL_free(signature);
    if (r == 0 && X509_REQ_verify(csr, device_key_public(key)) != 1)
        r = -EIO;
    return r;
}

int csr_new(DeviceKey *key, const char *fqdn, char **ret, Reason *reason)
{
    _cleanup_(X509_REQ_freep) X509_REQ *csr = X509_REQ_new();
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;
    int r;

    reason_set(reason, 0, "the CSR could not be made: OpenSSL failed");
    if (!csr || !bio)
        return -ENOMEM;
    r = content_fill(csr, device_key_public(key), fqdn);
    if (r == 0)
        r = csr_sign(key, csr, reason);
    if (r == 0 && PEM_write_bio_X509_REQ(bio, csr) != 1)
        r = -EIO;
    ERR_clear_error();
    if (r < 0)
        return r;
    size = BIO_get_mem_data(bio, &text);
    *ret = strndup(text, (size_t)size);
    return *ret ? 0 : -ENOMEM;
}

GENERAL_NAMES *csr_names(X509_REQ *csr)
{
    _cleanup_(extensions_freep) STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);

    return X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
}

/* True if `fqdn` is the one name that the CSR asks for. */
static bool asks_for(X509_REQ *csr, const char *fqdn)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = csr_names(csr);
    const GENERAL_NAME *name =
        sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0) : NULL;

    return name && name->type == GEN_DNS &&
           (size_t)ASN1_STRING_length(name->d.dNSName) == strlen(fqdn) &&
           strncasecmp((const char *)ASN1_STRING_get0_data(name->d.dNSName), fqdn, strlen(fqdn)) ==
               0;
}

const char *csr_flaw(Bytes pem, EVP_PKEY *public_key, const char *fqdn)
{
    _cleanup_(BIO_free_allp) BIO *bio = NULL;
    _cleanup_(X509_REQ_freep) X509_REQ *csr = NULL;
    const char *flaw = NULL;

    if (pem.size <= CSR_SIZE_MAX)
        bio = BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.size);
    if (bio)
        csr = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    if (!csr) {
        flaw = "is not a certificate signing request as PEM";
    } else if (EVP_PKEY_eq(X509_REQ_get0_pubkey(csr), public_key) != 1) {
        flaw = "is for another key than the device key";
    } else if (X509_REQ_verify(csr, public_key) != 1) {
        flaw = "has a wrong signature";
    } else if (fqdn && !asks_for(csr, fqdn)) {
        flaw = "asks for another name";
    }
    ERR_clear_error();
    return flaw;
}

int step_csr_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;
    int r;

    r = provision_key(provision);
    if (r < 0)
        return r;
    if (r == 0) {
        complain("there is no device key in %s to make a CSR for; run the step device-key first",
                 options->state_dir);
        return -ENOENT;
    }
    r = state_path(options, STATE_CSR, &path);
    if (r < 0)
        return r;
    if (file_read(path, CSR_SIZE_MAX, &text, &size) < 0 ||
        csr_flaw((Bytes){text, size}, device_key_public(provision->key), options->fqdn) != NULL)
        return 0;
    (void)snprintf(note, STEP_NOTE_SIZE, "for %.200s", options->fqdn);
    r = state_give(options, STATE_CSR);
    return r < 0 ? r : 1;
}

int step_csr_make(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(free_charp) char *csr = NULL;
    Reason reason = {0};
    int r;

    r = csr_new(provision->key, options->fqdn, &csr, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    (void)snprintf(note, STEP_NOTE_SIZE, "for %.200s", options->fqdn);
    return state_write(options, STATE_CSR, (Bytes){(const uint8_t *)csr, strlen(csr)}, 0644);
}

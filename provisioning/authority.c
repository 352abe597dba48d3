/* An authority: judges whether it may certify devices, and makes a device's certificate. */
#include "provisioning/authority.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_FILE_MAX = 64 * 1024,
    SERIAL_SIZE = 16,        /* of the 20 octets that RFC 5280 4.1.2.2 allows */
    COMMON_NAME_MAX = 64,    /* RFC 5280, A.1: ub-common-name */
    BACKDATE_SECONDS = 3600, /* clocks differ, the new certificate is to hold at once */
    SUBJECT_SIZE = 160,
};

struct Authority {
    EVP_PKEY *key;
    STACK_OF(X509) *chain; /* its own certificate first, then its issuers */
};

DEFINE_POINTER_CLEANUP(ASN1_INTEGER, ASN1_INTEGER_free);

static void x509_freep(X509 **certificate)
{
    X509_free(*certificate);
}

/* The rest of a sentence that starts with the certificate, or NULL. */
static const char *issuer_flaw(X509 *certificate)
{
    const char *flaw = profile_anchor_flaw(certificate);

    if (flaw)
        return flaw;
    if (!date_is_from(X509_get0_notAfter(certificate), time(NULL)))
        return "has expired, by this machine's clock";
    if (!date_is_by(X509_get0_notBefore(certificate), time(NULL)))
        return "is not valid yet, by this machine's clock";
    if (!X509_get0_subject_key_id(certificate))
        return "has no subjectKeyIdentifier (RFC 5280 4.2.1.2)";
    return NULL;
}

int authority_new(const STACK_OF(X509) *certificates, EVP_PKEY *key, Authority **ret,
                  Reason *reason)
{
    _cleanup_(authority_freep) Authority *authority = calloc(1, sizeof(*authority));
    char subject[SUBJECT_SIZE] = "";
    const char *flaw;
    X509 *issuer;
    int r;

    reason_set(reason, 0, "out of memory");
    if (!authority || EVP_PKEY_up_ref(key) != 1)
        return -ENOMEM;
    authority->key = key;
    r = certificates_order(certificates, key, &authority->chain);
    if (r == -ENOKEY) {
        reason_set(reason, 0,
                   "none of the authority's certificates is for its key; name the certificate "
                   "and the key that belong together");
    }
    if (r < 0)
        return r;
    issuer = sk_X509_value(authority->chain, 0);
    flaw = issuer_flaw(issuer);
    if (!flaw && !EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC"))
        flaw = "has a key that is neither RSA nor ECDSA (TS 33.310 6.1.1)";
    if (flaw) {
        certificate_subject(issuer, subject, sizeof(subject));
        return reason_set(reason, -EINVAL,
                          "the authority's certificate (%s) %s; it can't issue certificates",
                          subject, flaw);
    }
    *ret = steal_pointer(authority);
    return 0;
}

static int key_read(const char *path, EVP_PKEY **ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    _cleanup_(BIO_free_allp) BIO *bio = NULL;
    size_t size = 0;
    int r;

    r = file_read(path, KEY_FILE_MAX, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    bio = BIO_new_mem_buf(text, (int)size);
    *ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    OPENSSL_cleanse(text, size);
    ERR_clear_error();
    if (*ret)
        return 0;
    return reason_set(reason, -EINVAL,
                      "%.200s holds no private key in PEM, or its passphrase was wrong", path);
}

int authority_read(const char *certificates, const char *key, Authority **ret, Reason *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *found = NULL;
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
    int r;

    r = certificates_read(certificates, &found, reason);
    if (r == 0)
        r = key_read(key, &pkey, reason);
    return r < 0 ? r : authority_new(found, pkey, ret, reason);
}

void authority_free(Authority *authority)
{
    if (!authority)
        return;
    EVP_PKEY_free(authority->key);
    sk_X509_pop_free(authority->chain, X509_free);
    free(authority);
}

/* Random, so that nobody foretells what will be signed; positive, and of the same length always. */
static int serial_set(X509 *certificate)
{
    _cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *serial = NULL;
    _cleanup_(BN_freep) BIGNUM *number = NULL;
    uint8_t octets[SERIAL_SIZE];

    if (RAND_bytes(octets, sizeof(octets)) != 1)
        return -EIO;
    octets[0] = (uint8_t)((octets[0] & 0x7f) | 0x40);
    number = BN_bin2bn(octets, sizeof(octets), NULL);
    serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    return serial && X509_set_serialNumber(certificate, serial) == 1 ? 0 : -ENOMEM;
}

static int name_add(X509_NAME *name, int nid, const char *text)
{
    return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC, (const unsigned char *)text, -1, -1,
                                      0) == 1
               ? 0
               : -EIO;
}

/* The name that counts is in subjectAltName; this one is for people's eyes. */
static int subject_set(X509 *certificate, const char *fqdn, const char *device_serial)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    int r = 0;

    if (strlen(fqdn) <= COMMON_NAME_MAX)
        r = name_add(name, NID_commonName, fqdn);
    /* X.520 serialNumber is a PrintableString, which knows no underscore. */
    if (r == 0 && device_serial[0] != '\0' && !strchr(device_serial, '_'))
        r = name_add(name, NID_serialNumber, device_serial);
    return r;
}

static int validity_set(X509 *certificate, const X509 *issuer, unsigned days)
{
    ASN1_TIME *from = X509_getm_notBefore(certificate);
    ASN1_TIME *until = X509_getm_notAfter(certificate);

    if (!X509_gmtime_adj(from, -BACKDATE_SECONDS) ||
        !X509_time_adj_ex(until, (int)days, -BACKDATE_SECONDS, NULL))
        return -EIO;
    if (ASN1_TIME_compare(until, X509_get0_notAfter(issuer)) > 0 &&
        X509_set1_notAfter(certificate, X509_get0_notAfter(issuer)) != 1)
        return -ENOMEM;
    return 0;
}

static int extension_add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    int added;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
    added = extension ? X509_add_ext(certificate, extension, -1) : 0;
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : -EIO;
}

/* TS 33.310 6.1.3 and RFC 5280 4.2.1. */
static int extensions_set(X509 *certificate, X509 *issuer, const char *fqdn)
{
    /* RFC 5280 4.2.1.6: critical where the subject is empty. */
    const bool nameless = X509_NAME_entry_count(X509_get_subject_name(certificate)) == 0;
    char names[FQDN_SIZE_MAX + 16];
    const struct {
        int nid;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_subject_alt_name, names},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
    };
    int r = 0;

    (void)snprintf(names, sizeof(names), "%sDNS:%s", nameless ? "critical," : "", fqdn);
    for (size_t i = 0; r == 0 && i < ELEMENTS(extensions); i++)
        r = extension_add(certificate, issuer, extensions[i].nid, extensions[i].value);
    return r;
}

/* TS 33.310 6.1.1: SHA-256 shall, SHA-384 should. */
static const EVP_MD *digest_for(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

static int certificate_make(const Authority *authority, EVP_PKEY *public_key, const char *fqdn,
                            const char *device_serial, unsigned days, X509 *ret)
{
    X509 *issuer = sk_X509_value(authority->chain, 0);
    int r;

    if (X509_set_version(ret, X509_VERSION_3) != 1 || X509_set_pubkey(ret, public_key) != 1 ||
        X509_set_issuer_name(ret, X509_get_subject_name(issuer)) != 1)
        return -EIO;
    r = serial_set(ret);
    if (r == 0)
        r = subject_set(ret, fqdn, device_serial);
    if (r == 0)
        r = validity_set(ret, issuer, days);
    if (r == 0)
        r = extensions_set(ret, issuer, fqdn);
    if (r == 0 && X509_sign(ret, authority->key, digest_for(authority->key)) <= 0)
        r = -EIO;
    return r;
}

static int chain_add(STACK_OF(X509) *chain, X509 *certificate)
{
    if (X509_up_ref(certificate) != 1)
        return -ENOMEM;
    if (sk_X509_push(chain, certificate) == 0) {
        X509_free(certificate);
        return -ENOMEM;
    }
    return 0;
}

int authority_issue(const Authority *authority, EVP_PKEY *public_key, const char *fqdn,
                    const char *device_serial, unsigned days, STACK_OF(X509) **ret)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    _cleanup_(x509_freep) X509 *certificate = X509_new();
    int r;

    if (days == 0 || days > AUTHORITY_DAYS_MAX)
        return -EINVAL;
    if (!chain || !certificate)
        return -ENOMEM;
    r = certificate_make(authority, public_key, fqdn, device_serial, days, certificate);
    if (r == 0)
        r = chain_add(chain, certificate);
    for (int i = 0; r == 0 && i < sk_X509_num(authority->chain); i++) {
        X509 *issuer = sk_X509_value(authority->chain, i);

        if (X509_self_signed(issuer, 0) != 1)
            r = chain_add(chain, issuer);
    }
    ERR_clear_error();
    if (r == 0)
        *ret = steal_pointer(chain);
    return r;
}

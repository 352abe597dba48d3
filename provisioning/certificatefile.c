/* The device's certificate: what keeps it from being this device's, how it is shown and stored, and
 * tre-provision install-cert. */
#include "provisioning/certificatefile.h"

#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/tss2key.h"
#include "tpm/publickey.h"
#include "verify/certificates.h"
#include "verify/profile.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

const char *device_certificate_flaw(X509 *certificate, EVP_PKEY *public_key, const char *fqdn)
{
    char found[FQDN_SIZE_MAX];
    const char *flaw;

    if (public_key && EVP_PKEY_eq(X509_get0_pubkey(certificate), public_key) != 1)
        return "is not for the device key";
    flaw = profile_end_entity_flaw(certificate);
    if (!flaw)
        flaw = profile_signature_flaw(certificate);
    if (flaw)
        return flaw;
    if (certificate_fqdn(certificate, found) < 0)
        return "has no FQDN as dNSName in its subjectAltName (TS 33.310 6.1.3)";
    if (fqdn && !certificate_has_fqdn(certificate, fqdn))
        return "is for another name than this device's";
    if (!date_is_from(X509_get0_notAfter(certificate), time(NULL)))
        return "has expired";
    if (!date_is_by(X509_get0_notBefore(certificate), time(NULL)))
        return "is not valid yet";
    return NULL;
}

enum { SUBJECT_SIZE = 160, DATE_SIZE = 32 };

static void date_print(const ASN1_TIME *time, char *ret)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(ret, DATE_SIZE, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(ret, DATE_SIZE, "?");
}

void certificate_print(const char *what, const X509 *certificate)
{
    char subject[SUBJECT_SIZE] = "";
    char from[DATE_SIZE];
    char until[DATE_SIZE];

    certificate_subject(certificate, subject, sizeof(subject));
    date_print(X509_get0_notBefore(certificate), from);
    date_print(X509_get0_notAfter(certificate), until);
    (void)printf("%-18s %s, valid %s to %s\n", what, subject, from, until);
}

void validity_warn(const X509 *certificate)
{
    char subject[SUBJECT_SIZE] = "";

    certificate_subject(certificate, subject, sizeof(subject));
    if (!date_is_from(X509_get0_notAfter(certificate), time(NULL)))
        complain("warning: the certificate of %s has expired, by this machine's clock", subject);
    if (!date_is_by(X509_get0_notBefore(certificate), time(NULL))) {
        complain("warning: the certificate of %s is not valid yet, by this machine's clock",
                 subject);
    }
}

int certificates_write(const ProvisionOptions *options, const char *name,
                       const STACK_OF(X509) *certificates)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;

    for (int i = 0; i < sk_X509_num(certificates); i++) {
        if (!bio || PEM_write_bio_X509(bio, sk_X509_value(certificates, i)) != 1) {
            complain("out of memory");
            return -ENOMEM;
        }
    }
    size = BIO_get_mem_data(bio, &text);
    return state_write(options, name, (Bytes){(const uint8_t *)text, (size_t)size}, 0644);
}

static int device_public_read(const ProvisionOptions *options, EVP_PKEY **ret)
{
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    Tss2Key key;
    int r;

    r = state_path(options, STATE_KEY, &path);
    if (r < 0)
        return r;
    r = tss2key_read(path, &key, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = tpm_public_to_pkey(&key.public, ret);
    if (r < 0) {
        complain("%s holds no key of the profile (ECDSA P-256, P-384, RSA-2048); make one with "
                 "'tre-provision init --force'",
                 path);
    }
    return r;
}

static int device_certificate_check(const ProvisionOptions *options, X509 *certificate)
{
    const char *flaw = profile_end_entity_flaw(certificate);
    char subject[SUBJECT_SIZE] = "";
    char fqdn[FQDN_SIZE_MAX];
    time_t begins;

    certificate_subject(certificate, subject, sizeof(subject));
    if (!flaw)
        flaw = profile_signature_flaw(certificate);
    if (!flaw && certificate_fqdn(certificate, fqdn) < 0)
        flaw = "has no FQDN as dNSName in its subjectAltName (TS 33.310 6.1.3)";
    if (!flaw && (!date_read(X509_get0_notBefore(certificate), &begins) ||
                  !date_is_from(X509_get0_notAfter(certificate), begins + 1)))
        flaw = "ends before it begins, or has a date that does not parse";
    if (!flaw)
        return 0;
    complain("%s: the device's certificate (%s) %s; have the CSR signed again", options->file,
             subject, flaw);
    return -EINVAL;
}

int provision_install_cert(const ProvisionOptions *options)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *public_key = NULL;
    _cleanup_(close_fdp) int lock = -1;
    Reason reason = {0};
    char fqdn[FQDN_SIZE_MAX] = "";
    int r;

    r = state_lock(options, &lock); /* the key stays what it is until its certificate is stored */
    if (r == 0)
        r = device_public_read(options, &public_key);
    if (r < 0)
        return r;
    r = certificates_read(options->file, &certificates, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = certificates_order(certificates, public_key, &chain);
    if (r < 0) {
        complain("none of the %d certificates in %s is for the key in %s/" STATE_KEY
                 "; have that key's CSR signed",
                 sk_X509_num(certificates), options->file, options->state_dir);
        return r;
    }
    r = device_certificate_check(options, sk_X509_value(chain, 0));
    if (r < 0)
        return r;
    r = certificates_write(options, STATE_CERTIFICATES, chain);
    if (r < 0)
        return r;
    (void)certificate_fqdn(sk_X509_value(chain, 0), fqdn);
    (void)printf("identity           %s\n", fqdn);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        certificate_print(i == 0 ? "certificate" : "issued by", sk_X509_value(chain, i));
        validity_warn(sk_X509_value(chain, i));
    }
    return tred_reload();
}

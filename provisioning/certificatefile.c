/* How are certificates stored, and shown to who installs them? */
#include "provisioning/certificatefile.h"

#include "crypto/openssl.h"
#include "verify/certificates.h"
#include "verify/dates.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>

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

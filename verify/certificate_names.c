/* Reads what a certificate says: its names, of which only a plain FQDN counts, and its dates, which
 * CRLs and OCSP responses have too. */
#include "crypto/openssl.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Calls `match` for each dNSName until it is content. */
static bool dns_name_find(const X509 *certificate,
                          bool (*match)(const char *name, size_t size, void *data), void *data)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS)
            continue;
        if (match((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                  (size_t)ASN1_STRING_length(name->d.dNSName), data))
            return true;
    }
    return false;
}

static bool fqdn_copy(const char *name, size_t size, void *data)
{
    char *ret = data;

    if (!fqdn_is_valid(name, size))
        return false;
    memcpy(ret, name, size);
    ret[size] = '\0';
    return true;
}

int certificate_fqdn(const X509 *certificate, char *ret)
{
    return dns_name_find(certificate, fqdn_copy, ret) ? 0 : -ENOENT;
}

static bool fqdn_equal(const char *name, size_t size, void *data)
{
    const char *fqdn = *(const char **)data;

    return fqdn_is_valid(name, size) && size == strlen(fqdn) && strncasecmp(name, fqdn, size) == 0;
}

bool certificate_has_fqdn(const X509 *certificate, const char *fqdn)
{
    return dns_name_find(certificate, fqdn_equal, &fqdn);
}

/* Why a dNSName is no plain FQDN. */
static const char *dns_name_flaw(const char *name, size_t size)
{
    if (fqdn_is_valid(name, size))
        return "";
    if (size == 0)
        return " (empty)";
    if (memchr(name, '*', size))
        return " (a wildcard)";
    if (memchr(name, '_', size))
        return " (an underscore)";
    if (name[size - 1] == '.')
        return " (a dot at its end)";
    return " (no FQDN in A-label form)";
}

/* One name as OpenSSL writes it, all that is not ASCII escaped. */
static void general_name_print(BIO *bio, const GENERAL_NAME *name)
{
    const ASN1_STRING *text;

    switch (name->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI:
        text = name->d.ia5;
        (void)BIO_printf(bio, "%s",
                         name->type == GEN_DNS     ? "DNS:"
                         : name->type == GEN_EMAIL ? "email:"
                                                   : "URI:");
        (void)ASN1_STRING_print_ex(bio, text, ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB);
        if (name->type == GEN_DNS) {
            (void)BIO_printf(bio, "%s",
                             dns_name_flaw((const char *)ASN1_STRING_get0_data(text),
                                           (size_t)ASN1_STRING_length(text)));
        }
        break;
    case GEN_IPADD:
    case GEN_RID:
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): OpenSSL's printer takes no const */
        (void)GENERAL_NAME_print(bio, (GENERAL_NAME *)(uintptr_t)name);
        break;
    default:
        (void)BIO_printf(bio, "a name of another form");
    }
}

/* What was printed, as far as there is room for it. */
static void printed_copy(BIO *bio, char *ret, size_t size)
{
    char *text = NULL;
    const long length = bio ? BIO_get_mem_data(bio, &text) : 0;

    if (length > 0) {
        (void)snprintf(ret, size, "%.*s", (int)length, text);
    } else {
        (void)snprintf(ret, size, "no name");
    }
}

void certificate_names_print(const X509 *certificate, char *ret, size_t size)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());

    for (int i = 0; bio && i < sk_GENERAL_NAME_num(names); i++) {
        if (i > 0)
            (void)BIO_printf(bio, ", ");
        general_name_print(bio, sk_GENERAL_NAME_value(names, i));
    }
    printed_copy(bio, ret, size);
}

void certificate_name_print(const X509_NAME *name, char *ret, size_t size)
{
    /* One line, names of types short, all that is not ASCII escaped: it goes into logs. */
    const unsigned long flags = XN_FLAG_ONELINE & ~(unsigned long)XN_FLAG_SPC_EQ;
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());

    if (bio && X509_NAME_print_ex(bio, name, 0, flags) < 0)
        (void)BIO_reset(bio); /* for want of memory: a part of a name is another name */
    ERR_clear_error();
    printed_copy(bio, ret, size);
}

void certificate_subject(const X509 *certificate, char *ret, size_t size)
{
    certificate_name_print(X509_get_subject_name(certificate), ret, size);
}

void certificate_issuer(const X509 *certificate, char *ret, size_t size)
{
    certificate_name_print(X509_get_issuer_name(certificate), ret, size);
}

bool date_read(const ASN1_TIME *date, time_t *ret)
{
    struct tm tm;

    if (!date || ASN1_TIME_to_tm(date, &tm) != 1)
        return false;
    *ret = timegm(&tm);
    return true;
}

bool date_is_by(const ASN1_TIME *date, time_t time)
{
    time_t seconds;

    return date_read(date, &seconds) && seconds <= time;
}

bool date_is_from(const ASN1_TIME *date, time_t time)
{
    time_t seconds;

    return date_read(date, &seconds) && seconds >= time;
}

/* Reads files of certificates, and puts a chain in order. */
#include "verify/certificates.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define PEM_BEGIN "-----BEGIN "

enum {
    CERTIFICATES_FILE_MAX = 1024 * 1024,
    DER_SEQUENCE = 0x30,
    DER_LONG_LENGTH = 0x80,
    LABEL_MAX = 63,
};

/* Takes `certificate` over, also when it fails. */
static int certificates_add(STACK_OF(X509) *certificates, X509 *certificate, const char *name,
                            Reason *reason)
{
    if (sk_X509_num(certificates) >= CERTIFICATES_MAX) {
        X509_free(certificate);
        return reason_set(
            reason, -EINVAL,
            "%.200s holds more than %d certificates; leave those out that are not needed", name,
            CERTIFICATES_MAX);
    }
    if (sk_X509_push(certificates, certificate) == 0) {
        X509_free(certificate);
        return -ENOMEM;
    }
    return 0;
}

static int der_decode(Bytes bytes, const char *name, STACK_OF(X509) *certificates, Reason *reason)
{
    const unsigned char *position = bytes.data;
    const unsigned char *const end = bytes.data + bytes.size;

    while (position < end) {
        const size_t offset = (size_t)(position - bytes.data);
        X509 *certificate = d2i_X509(NULL, &position, (long)(bytes.size - offset));
        int r;

        if (!certificate) {
            return reason_set(
                reason, -EINVAL,
                "%.200s: certificate %d at octet %zu is not a DER certificate; take it "
                "out, or replace it with a good copy",
                name, sk_X509_num(certificates) + 1, offset);
        }
        r = certificates_add(certificates, certificate, name, reason);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Where the next line that begins a PEM block is, from `offset` on; the size if there is none. */
static size_t pem_next(Bytes bytes, size_t offset)
{
    const size_t marker = strlen(PEM_BEGIN);

    while (offset + marker <= bytes.size) {
        const uint8_t *newline;

        if (memcmp(bytes.data + offset, PEM_BEGIN, marker) == 0)
            return offset;
        newline = memchr(bytes.data + offset, '\n', bytes.size - offset);
        if (!newline)
            break;
        offset = (size_t)(newline - bytes.data) + 1;
    }
    return bytes.size;
}

static size_t line_number(Bytes bytes, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset; i++) {
        if (bytes.data[i] == '\n')
            line++;
    }
    return line;
}

static bool label_is_certificate(const char *label)
{
    return strcmp(label, PEM_STRING_X509) == 0 || strcmp(label, PEM_STRING_X509_OLD) == 0;
}

/* Reads the block at the start of `bytes`. *ret_used is what it takes up. */
static X509 *pem_block_decode(Bytes bytes, size_t *ret_used, char *ret_label)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.size);
    _cleanup_(openssl_free_textp) char *label = NULL;
    _cleanup_(openssl_free_textp) char *header = NULL;
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const unsigned char *end;
    X509 *certificate;
    long size = 0;

    ret_label[0] = '\0';
    if (!bio || PEM_read_bio(bio, &label, &header, &der, &size) != 1)
        return NULL;
    *ret_used = bytes.size - BIO_ctrl_pending(bio);
    (void)snprintf(ret_label, LABEL_MAX + 1, "%s", label);
    if (!label_is_certificate(label))
        return NULL;
    end = der;
    certificate = d2i_X509(NULL, &end, size);
    if (certificate && end != der + size) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static int pem_decode(Bytes bytes, const char *name, STACK_OF(X509) *certificates, Reason *reason)
{
    size_t offset = pem_next(bytes, 0);

    for (unsigned block = 1; offset < bytes.size; block++) {
        char label[LABEL_MAX + 1];
        size_t used = 0;
        X509 *certificate;
        int r;

        certificate = pem_block_decode(bytes_slice(bytes, offset, bytes.size), &used, label);
        if (!certificate && label[0] != '\0' && !label_is_certificate(label)) {
            return reason_set(
                reason, -EINVAL,
                "%.200s: PEM block %u (line %zu) is '%s', not a certificate; take it out", name,
                block, line_number(bytes, offset), label);
        }
        if (!certificate) {
            return reason_set(
                reason, -EINVAL,
                "%.200s: PEM block %u (line %zu) is damaged; take it out, or replace it "
                "with a good copy",
                name, block, line_number(bytes, offset));
        }
        r = certificates_add(certificates, certificate, name, reason);
        if (r < 0)
            return r;
        offset = pem_next(bytes, offset + used);
    }
    return 0;
}

/* A certificate is longer than 127 octets, and text has no octet of 0x80 or more after a '0'. */
static bool is_der(Bytes bytes)
{
    return bytes.size >= 2 && bytes.data[0] == DER_SEQUENCE && bytes.data[1] >= DER_LONG_LENGTH;
}

int certificates_decode(Bytes bytes, const char *name, STACK_OF(X509) **ret, Reason *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = sk_X509_new_null();
    int r;

    if (!certificates)
        return -ENOMEM;
    if (bytes.size > CERTIFICATES_FILE_MAX) {
        return reason_set(reason, -EINVAL,
                          "%.200s is larger than %d octets; leave certificates out that are not "
                          "needed",
                          name, CERTIFICATES_FILE_MAX);
    }
    if (is_der(bytes)) {
        r = der_decode(bytes, name, certificates, reason);
    } else {
        r = pem_decode(bytes, name, certificates, reason);
    }
    if (r < 0)
        return r;
    if (sk_X509_num(certificates) == 0)
        return reason_set(reason, -EINVAL, "%.200s holds no certificate, neither as PEM nor as DER",
                          name);
    *ret = steal_pointer(certificates);
    return 0;
}

int certificates_read(const char *path, STACK_OF(X509) **ret, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;
    int r;

    r = file_read(path, CERTIFICATES_FILE_MAX, &data, &size);
    if (r == -EFBIG) {
        return reason_set(reason, -EINVAL,
                          "%.200s is larger than %d octets; is it a certificate file?", path,
                          CERTIFICATES_FILE_MAX);
    }
    if (r < 0)
        return reason_set(reason, r, "%.200s can't be read: %s", path, strerror(-r));
    return certificates_decode((Bytes){data, size}, path, ret, reason);
}

static X509 *find_by_key(const STACK_OF(X509) *certificates, const EVP_PKEY *public_key)
{
    X509 *found = NULL;

    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *candidate = sk_X509_value(certificates, i);
        const EVP_PKEY *pkey = X509_get0_pubkey(candidate);

        if (!pkey || EVP_PKEY_eq(pkey, public_key) != 1)
            continue;
        if (!found ||
            ASN1_TIME_compare(X509_get0_notAfter(candidate), X509_get0_notAfter(found)) > 0)
            found = candidate;
    }
    return found;
}

static X509 *find_issuer(const STACK_OF(X509) *certificates, X509 *subject)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        X509 *candidate = sk_X509_value(certificates, i);
        EVP_PKEY *pkey = X509_get0_pubkey(candidate);

        /* Names may be shared by an old and a new issuer; the signature tells them apart. */
        if (pkey && X509_check_issued(candidate, subject) == X509_V_OK &&
            X509_verify(subject, pkey) == 1)
            return candidate;
    }
    return NULL;
}

int certificates_order(const STACK_OF(X509) *certificates, EVP_PKEY *public_key,
                       STACK_OF(X509) **ret)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *next = find_by_key(certificates, public_key);

    if (!chain)
        return -ENOMEM;
    /* At most as many as there are: cross-signed issuers could go round for ever. */
    for (int i = 0; next && i < sk_X509_num(certificates); i++) {
        if (i > 0 && X509_self_signed(next, 0) == 1)
            break;
        if (X509_up_ref(next) != 1)
            return -ENOMEM;
        if (sk_X509_push(chain, next) == 0) {
            X509_free(next);
            return -ENOMEM;
        }
        next = find_issuer(certificates, next);
    }
    ERR_clear_error();
    if (sk_X509_num(chain) == 0)
        return -ENOKEY;
    *ret = steal_pointer(chain);
    return 0;
}

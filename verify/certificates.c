/* Reads files of certificates, and PEM blocks out of text, keeps certificates that were read last,
 * and puts a chain in order. */
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
#include <stdlib.h>
#include <string.h>

enum {
    CERTIFICATES_FILE_MAX = 1024 * 1024,
    DER_SEQUENCE = 0x30,
    DER_LONG_LENGTH = 0x80,
};

/* ---- PEM blocks ---- */

static const char BEGIN[] = "-----BEGIN ";
static const uint8_t UTF8_MARK[] = {0xef, 0xbb, 0xbf};

static bool begins_with(Bytes bytes, const void *octets, size_t size)
{
    return bytes.size >= size && memcmp(bytes.data, octets, size) == 0;
}

/* How many octets before a line's text belong to no line. */
static size_t indent_of(Bytes line)
{
    size_t size = 0;

    for (;;) {
        const Bytes rest = bytes_slice(line, size, line.size);

        if (begins_with(rest, UTF8_MARK, sizeof(UTF8_MARK))) {
            size += sizeof(UTF8_MARK);
        } else if (begins_with(rest, " ", 1) || begins_with(rest, "\t", 1)) {
            size++;
        } else {
            return size;
        }
    }
}

/* Lines end in LF, and begin with their text. */
int pem_reader_init(PemReader *reader, Bytes octets)
{
    size_t from = 0;

    *reader = (PemReader){.text = malloc(octets.size + 1)};
    if (!reader->text)
        return -ENOMEM;
    while (from < octets.size) {
        from += indent_of(bytes_slice(octets, from, octets.size));
        for (bool ended = false; from < octets.size && !ended; from++) {
            const uint8_t octet = octets.data[from];
            const bool is_cr_lf =
                octet == '\r' && from + 1 < octets.size && octets.data[from + 1] == '\n';

            ended = octet == '\n' || (octet == '\r' && !is_cr_lf);
            if (!is_cr_lf)
                reader->text[reader->size++] = ended ? '\n' : octet;
        }
    }
    return 0;
}

void pem_reader_deinit(PemReader *reader)
{
    free(reader->text);
    *reader = (PemReader){0};
}

static Bytes rest_of(const PemReader *reader)
{
    return (Bytes){reader->text + reader->position, reader->size - reader->position};
}

/* True if there is a line that begins a block, where it then is. */
static bool begin_find(PemReader *reader)
{
    while (!begins_with(rest_of(reader), BEGIN, strlen(BEGIN))) {
        const Bytes rest = rest_of(reader);
        const uint8_t *end = rest.size > 0 ? memchr(rest.data, '\n', rest.size) : NULL;

        if (!end)
            return false;
        reader->position += (size_t)(end - rest.data) + 1;
    }
    return true;
}

static size_t line_of(const PemReader *reader)
{
    size_t line = 1;

    for (size_t i = 0; i < reader->position; i++)
        line += reader->text[i] == '\n';
    return line;
}

int pem_reader_next(PemReader *reader, PemBlock *ret)
{
    _cleanup_(BIO_free_allp) BIO *bio = NULL;
    _cleanup_(openssl_free_textp) char *label = NULL, *header = NULL;
    long size = 0;

    *ret = (PemBlock){0};
    if (!begin_find(reader))
        return 0;
    const Bytes rest = rest_of(reader);
    ret->number = ++reader->n_blocks;
    ret->line = line_of(reader);
    bio = BIO_new_mem_buf(rest.data, (int)rest.size);
    if (!bio || PEM_read_bio(bio, &label, &header, &ret->der, &size) != 1) {
        ERR_clear_error();
        return -EBADMSG;
    }
    reader->position += rest.size - BIO_ctrl_pending(bio);
    ret->size = (size_t)size;
    /* It goes into messages. */
    (void)snprintf(ret->label, sizeof(ret->label), "%s", label);
    for (char *octet = ret->label; *octet; octet++) {
        if (*octet < ' ' || *octet > '~')
            *octet = '?';
    }
    return 1;
}

void pem_block_deinit(PemBlock *block)
{
    OPENSSL_free(block->der);
    *block = (PemBlock){0};
}

/* What a file that holds no certificate or CRL as it should most likely is, and what to do with it:
 * ". It is …"; empty where that can't be told. `label`: of a PEM block, or NULL. */
static const char *pem_hint(Bytes octets, const char *label)
{
    enum { LOOKED_AT = 40 };
    /* 1.2.840.113549.1.7.2, signedData; and version 3, which stands first in a PFX. */
    static const uint8_t signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                          0xf7, 0x0d, 0x01, 0x07, 0x02};
    static const uint8_t pfx[] = {0x02, 0x01, 0x03, 0x30};
    const size_t size = octets.size < LOOKED_AT ? octets.size : LOOKED_AT;

    if (label && (strcmp(label, PEM_STRING_PKCS7) == 0 || strcmp(label, PEM_STRING_CMS) == 0)) {
        return ". It is PKCS #7; take the certificates out of it with 'openssl pkcs7 -print_certs "
               "-in FILE -out FILE.pem'";
    }
    if (label || size == 0)
        return "";
    if (begins_with(octets, "\xff\xfe", 2) || begins_with(octets, "\xfe\xff", 2))
        return ". It is UTF-16 text; save it as ASCII";
    if (octets.data[0] == '0' && memmem(octets.data, size, signed_data, sizeof(signed_data))) {
        return ". It is PKCS #7; take the certificates out of it with 'openssl pkcs7 -inform DER "
               "-print_certs -in FILE -out FILE.pem'";
    }
    if (octets.data[0] == '0' && memmem(octets.data, size < 8 ? size : 8, pfx, sizeof(pfx))) {
        return ". It is PKCS #12; take the certificates out of it with 'openssl pkcs12 -nokeys "
               "-in FILE -out FILE.pem'";
    }
    return "";
}

/* ---- files ---- */

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
                "out, or replace it with a good copy%s",
                name, sk_X509_num(certificates) + 1, offset,
                offset == 0 ? pem_hint(bytes, NULL) : "");
        }
        r = certificates_add(certificates, certificate, name, reason);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool label_is_certificate(const char *label)
{
    return strcmp(label, PEM_STRING_X509) == 0 || strcmp(label, PEM_STRING_X509_OLD) == 0;
}

/* The certificate of a block, and nothing after it; NULL if it is none. */
static X509 *block_decode(const PemBlock *block)
{
    const unsigned char *end = block->der;
    X509 *certificate = d2i_X509(NULL, &end, (long)block->size);

    if (certificate && end == block->der + block->size)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static int block_add(const PemBlock *block, const char *name, STACK_OF(X509) *certificates,
                     Reason *reason)
{
    X509 *certificate;

    if (!label_is_certificate(block->label)) {
        return reason_set(
            reason, -EINVAL,
            "%.200s: PEM block %u (line %zu) is '%s', not a certificate; take it out%s", name,
            block->number, block->line, block->label, pem_hint((Bytes){0}, block->label));
    }
    certificate = block_decode(block);
    return certificate ? certificates_add(certificates, certificate, name, reason) : -EBADMSG;
}

static int pem_decode(Bytes bytes, const char *name, STACK_OF(X509) *certificates, Reason *reason)
{
    _cleanup_(pem_reader_deinit) PemReader reader = {0};
    PemBlock block = {0};
    int r = pem_reader_init(&reader, bytes);

    while (r == 0) {
        r = pem_reader_next(&reader, &block);
        if (r == 0)
            break;
        if (r > 0)
            r = block_add(&block, name, certificates, reason);
        if (r == -EBADMSG) {
            r = reason_set(reason, -EINVAL,
                           "%.200s: PEM block %u (line %zu) is damaged; take it out, or replace it "
                           "with a good copy",
                           name, block.number, block.line);
        }
        pem_block_deinit(&block);
    }
    return r;
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
    if (sk_X509_num(certificates) == 0) {
        return reason_set(reason, -EINVAL,
                          "%.200s holds no certificate, neither as PEM nor as DER%s", name,
                          pem_hint(bytes, NULL));
    }
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

static const SeenCertificate *find(const PeerSeen *seen, Bytes der)
{
    for (size_t i = 0; i < PEER_SEEN_MAX; i++) {
        const SeenCertificate *place = &seen->places[i];

        if (place->certificate && bytes_equal((Bytes){place->der, place->size}, der))
            return place;
    }
    return NULL;
}

X509 *peer_seen_find(const PeerSeen *seen, Bytes der)
{
    const SeenCertificate *place = find(seen, der);

    return place && X509_up_ref(place->certificate) == 1 ? place->certificate : NULL;
}

static void place_free(SeenCertificate *place)
{
    X509_free(place->certificate);
    free(place->der);
    *place = (SeenCertificate){0};
}

void peer_seen_keep(PeerSeen *seen, Bytes der, X509 *certificate)
{
    SeenCertificate *place = &seen->places[seen->next];
    uint8_t *copy;

    if (der.size == 0 || find(seen, der))
        return;
    copy = malloc(der.size);
    if (!copy || X509_up_ref(certificate) != 1) {
        free(copy);
        return;
    }
    memcpy(copy, der.data, der.size);
    place_free(place);
    *place = (SeenCertificate){certificate, copy, der.size};
    seen->next = (seen->next + 1) % PEER_SEEN_MAX;
}

void peer_seen_deinit(PeerSeen *seen)
{
    for (size_t i = 0; i < PEER_SEEN_MAX; i++)
        place_free(&seen->places[i]);
    seen->next = 0;
}

/* Reads PEM blocks out of text. */
#include "verify/pem.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

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
        } else if (rest.size > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t')) {
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
    (void)snprintf(ret->label, sizeof(ret->label), "%s", label);
    return 1;
}

void pem_block_deinit(PemBlock *block)
{
    OPENSSL_free(block->der);
    *block = (PemBlock){0};
}

const char *pem_hint(Bytes octets, const char *label)
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

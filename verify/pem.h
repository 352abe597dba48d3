/* PEM blocks as people's files have them (RFC 7468): with text before, between and after, lines
 * that end in LF, CR LF or CR, blanks or a byte order mark before them. None is passed over. */
#pragma once

#include "base/bytes.h"

enum { PEM_LABEL_SIZE = 64 };

typedef struct PemReader {
    uint8_t *text; /* the file's, its lines brought into the form that OpenSSL reads */
    size_t size, position;
    unsigned n_blocks;
} PemReader;

typedef struct PemBlock {
    unsigned number; /* from 1 */
    size_t line;     /* of its first line, from 1 */
    char label[PEM_LABEL_SIZE];
    unsigned char *der; /* OpenSSL's */
    size_t size;
} PemBlock;

/* Looks through the octets of a file. 0 or -ENOMEM. */
int pem_reader_init(PemReader *reader, Bytes octets);
void pem_reader_deinit(PemReader *reader);

/* The next block, for pem_block_deinit(). 1; 0 where there is no more; -EBADMSG where one is
 * damaged, with its number and line. */
int pem_reader_next(PemReader *reader, PemBlock *ret);
void pem_block_deinit(PemBlock *block);

/* What a file that holds no certificate or CRL as it should most likely is, and what to do with it:
 * ". It is …"; empty where that can't be told. `label`: of a PEM block, or NULL. */
const char *pem_hint(Bytes octets, const char *label);

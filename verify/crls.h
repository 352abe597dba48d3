/* Certificate revocation lists, as an operator's tool lays them down: files, PEM or DER, whole
 * lists and deltas, in a directory; with them the certificates of indirect CRL issuers. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"

#include <openssl/x509.h>

enum {
    CRLS_MAX = 512,
    CRL_ISSUERS_MAX = 16,
    CRL_FILE_SIZE_MAX = 8 * 1024 * 1024,
};

typedef struct CrlStore {
    STACK_OF(X509_CRL) *crls;
    STACK_OF(X509)
    *issuers; /* not trusted: a chain to an anchor is looked for when they are used */
} CrlStore;

/* 0 or -ENOMEM. */
int crl_store_init(CrlStore *store);
void crl_store_deinit(CrlStore *store);

/* Adds what is in the file `path`, or in every file of the directory `path` (names that begin with
 * a dot are passed over). Of a directory, a file that can't be used is left out, and the rest is
 * taken: `reason` then names the first of them, and is empty otherwise. Returns 0, -ENOMEM, or for
 * `path` itself an errno or -EINVAL, with `reason`. */
int crl_store_read(CrlStore *store, const char *path, Reason *reason);

/* The same from memory, for one file that messages call `name`: all of it is added, or nothing. A
 * list without nextUpdate is
 * refused (RFC 5280 5.1.2.5). */
int crl_store_decode(CrlStore *store, Bytes bytes, const char *name, Reason *reason);

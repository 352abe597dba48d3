/* The SeGW root anchors: the certificates that a SeGW's chain must end in, and their hashes for
 * CERTREQ. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/reason.h"

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ANCHOR_HASH_SIZE = 20,
    ANCHORS_MAX = 64,
    ANCHORS_FILE_SIZE_MAX = 1024 * 1024,
};

typedef struct AnchorStore {
    unsigned n_references;
    STACK_OF(X509) *certificates;
    size_t count; /* of hashes: certificates of one key, old and renewed, share theirs */
    uint8_t hashes[ANCHORS_MAX][ANCHOR_HASH_SIZE]; /* SHA-1 of SubjectPublicKeyInfo, RFC 7296 3.7 */
    uint8_t hash_of[ANCHORS_MAX];                  /* of each certificate, its place among them */
} AnchorStore;

/* Every certificate of a bundle, which messages call `name`; each must be fit to be an anchor (a CA
 * with a key of at least 112 bits of security). *ret is the caller's: sk_X509_pop_free(). 0,
 * -ENOMEM or -EINVAL with `reason`. */
int anchors_decode(Bytes bundle, const char *name, STACK_OF(X509) **ret, Reason *reason);

/* Reads every certificate of `path` (PEM or DER, any number and order). Each must be a CA with a
 * key of at least 112 bits of security (RSA-2048). One that is there twice counts once. Returns 0,
 * -ENOENT or another errno, or -EINVAL; `reason` then names the file and the position of what is
 * wrong. */
int anchor_store_read(const char *path, AnchorStore **ret, Reason *reason);

/* The same of a bundle in memory, which messages call `name`. */
int anchor_store_decode(Bytes bundle, const char *name, AnchorStore **ret, Reason *reason);

enum { ANCHOR_FINGERPRINT_SIZE = 32 }; /* SHA-256 of the certificate in DER */

/* Those of `anchors` that have one of `count` fingerprints, which may be none; with count 0 all.
 * *ret is the caller's: anchor_store_unref(). 0, -ENOMEM or -EIO. */
int anchor_store_choose(AnchorStore *anchors, const uint8_t fingerprints[][ANCHOR_FINGERPRINT_SIZE],
                        size_t count, AnchorStore **ret);
AnchorStore *anchor_store_ref(AnchorStore *anchors);
void anchor_store_unref(AnchorStore *anchors);
DEFINE_POINTER_CLEANUP(AnchorStore, anchor_store_unref);

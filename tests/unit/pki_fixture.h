/* A PKI of a test's own: certificates made in memory, with the flaws that a test asks for. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

typedef struct Pki {
    EVP_PKEY *key;
    X509 *certificate;
} Pki;

enum { PKI_HOUR = 3600, PKI_DAY = 24 * PKI_HOUR };

/* What goes into a certificate. Zero and NULL mean: the sound choice, or none. */
typedef struct PkiSpec {
    const char *common_name;       /* mandatory */
    const char *subject_alt_name;  /* as in openssl.cnf: "DNS:segw.example" */
    const char *sections;          /* those of openssl.cnf that the values name, if any */
    const char *basic_constraints; /* "critical,CA:TRUE" */
    const char *key_usage;         /* "critical,digitalSignature" */
    const char *extended_usage;    /* "serverAuth" */
    const char *key; /* "P-256" (when NULL), "P-384", "P-521", "ED25519", "RSA-1024", "RSA-2048" */
    const char *digest;   /* "SHA256" (when NULL) */
    long valid_from;      /* seconds from now; a day ago when 0 */
    long valid_until;     /* seconds from now; in a day when 0 */
    EVP_PKEY *public_key; /* certify this key instead of a new one; borrowed */
} PkiSpec;

/* Makes a key and its certificate, signed by `issuer`, or by itself if that is NULL. A test's
 * fixture: it aborts when the library fails. */
Pki pki_issue(const PkiSpec *spec, const Pki *issuer);
void pki_deinit(Pki *pki);

/* The usual three: a root, an intermediate of it, and specs to start from. */
Pki pki_root(const char *common_name);
Pki pki_intermediate(const char *common_name, const Pki *issuer);
PkiSpec pki_segw_spec(const char *fqdn);

/* A CRL of `issuer`'s; `revoked` (NULL: none) is revoked in it. Times are seconds from now. */
X509_CRL *pki_crl(const Pki *issuer, const X509 *revoked, long this_update, long next_update);

/* DER of an OCSP response by `issuer` that calls `certificate` good or revoked; `*ret_size` octets
 * that are the caller's: OPENSSL_free(). */
unsigned char *pki_ocsp(const Pki *issuer, const X509 *certificate, int is_revoked,
                        size_t *ret_size);

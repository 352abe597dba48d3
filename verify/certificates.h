/* Certificate files as people have them, several certificates each, PEM or DER, in any order; what
 * a certificate says; and PEM blocks, of CRLs as well. */
#pragma once

#include "base/bytes.h"
#include "base/fqdn.h"
#include "base/reason.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <time.h>

enum { CERTIFICATES_MAX = 64 };

/* Reads every certificate of `path` (at most CERTIFICATES_MAX, 1 MiB), DER certificates one after
 * another or PEM blocks with any text between. *ret is the caller's: sk_X509_pop_free(). Returns 0,
 * open's errno, or -EINVAL; `reason` then names the file and the position of the bad one. A block
 * that is something else (a private key, say) is bad too, and so is a file with no certificate. */
int certificates_read(const char *path, STACK_OF(X509) **ret, Reason *reason);

/* The same from memory: `bytes` is the content of the file that messages call `name`. For tests and
 * the fuzz target. Returns 0, -EINVAL (reason filled) or -ENOMEM. */
int certificates_decode(Bytes bytes, const char *name, STACK_OF(X509) **ret, Reason *reason);

/* Puts a chain in order: first the certificate of `public_key` (of several, the one that is valid
 * longest), then its issuer, and so on, without the self-signed root: a peer has it already, or
 * does not trust it. What is not on the way is dropped. *ret is the caller's: sk_X509_pop_free().
 * 0, -ENOKEY if none has that key, -ENOMEM. */
int certificates_order(const STACK_OF(X509) *certificates, EVP_PKEY *public_key,
                       STACK_OF(X509) **ret);

static inline void certificates_freep(STACK_OF(X509) **certificates)
{
    sk_X509_pop_free(*certificates, X509_free);
}

/* The first dNSName of subjectAltName that is a plain FQDN. `ret` has FQDN_SIZE_MAX octets.
 * Returns 0, or -ENOENT if there is none (a CN is no substitute: TS 33.310 6.1.3b). */
int certificate_fqdn(const X509 *certificate, char *ret);

/* True if subjectAltName has the dNSName `fqdn` (case-insensitive; a wildcard matches nothing). */
bool certificate_has_fqdn(const X509 *certificate, const char *fqdn);

/* What subjectAltName has, for a person: "DNS:*.example (a wildcard), IP:192.0.2.1", cut to `size`
 * octets; "no name" if there is none. */
void certificate_names_print(const X509 *certificate, char *ret, size_t size);

/* The subject or issuer as one line of printable ASCII ("O=Operator, CN=SeGW"), cut to `size`
 * octets. */
void certificate_subject(const X509 *certificate, char *ret, size_t size);
void certificate_issuer(const X509 *certificate, char *ret, size_t size);
void certificate_name_print(const X509_NAME *name, char *ret, size_t size);

/* True if `date` (NULL: there is none) parses and is not later than `time`. */
bool date_is_by(const ASN1_TIME *date, time_t time);

/* True if it parses and is not earlier. Both are true of the second itself: notBefore, notAfter,
 * thisUpdate and nextUpdate include it (RFC 5280 4.1.2.5, 5.1.2.5). */
bool date_is_from(const ASN1_TIME *date, time_t time);

/* Seconds since 1970, or false. */
bool date_read(const ASN1_TIME *date, time_t *ret);

enum { PEER_SEEN_MAX = 4 }; /* a SeGW's own and its intermediates */

typedef struct SeenCertificate {
    X509 *certificate; /* NULL: a free place */
    uint8_t *der;
    size_t size;
} SeenCertificate;

/* Reading a certificate takes OpenSSL longer than verifying its signature, and a SeGW shows the
 * same ones for months. What is kept is what was read from the same octets, and no judgement. */
typedef struct PeerSeen {
    SeenCertificate places[PEER_SEEN_MAX];
    size_t next; /* the place that is given to another */
} PeerSeen;

/* The certificate with these octets, a reference of the caller's; NULL if it is not kept. */
X509 *peer_seen_find(const PeerSeen *seen, Bytes der);

/* Keeps a certificate that was read from `der`, where it is not kept and there is memory. */
void peer_seen_keep(PeerSeen *seen, Bytes der, X509 *certificate);

void peer_seen_deinit(PeerSeen *seen);

/* ---- PEM blocks (RFC 7468), with text before, between and after, lines that end in LF, CR LF or
 * CR, blanks or a byte order mark before them. None is passed over. ---- */

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

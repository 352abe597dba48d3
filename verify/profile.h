/* The certificate profile (TS 33.310 6.1): what makes a certificate unfit for its place, and what
 * an operator asks of a SeGW's, built in or in a file of one's own (tred-profile(5)). */
#pragma once

#include "base/config.h"
#include "base/reason.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* What is wrong with a certificate as a SeGW's or a device's own, or as an anchor: the rest of a
 * sentence that starts with the certificate, "is a CA's (…)". NULL if it is fit. Names, dates and
 * the chain are judged elsewhere. */
const char *profile_end_entity_flaw(X509 *certificate);
const char *profile_anchor_flaw(X509 *certificate);

/* The same for the algorithm that its issuer signed it with. Says nothing of an anchor, which
 * nobody vouches for. */
const char *profile_signature_flaw(X509 *certificate);

/* Whether anything may be signed with the algorithm, a certificate, a CRL or an OCSP response: the
 * rule is AUTH's (crypto/auth_algorithm.h): ECDSA or RSA with SHA-256 or better, and of PSS all
 * parameters named, MGF1 with the same hash, and a salt at least as long as it. */
bool profile_signature_is_fit(const X509_ALGOR *algorithm);

enum { /* hashes that a certificate may be signed with */
       PROFILE_SHA256 = 1 << 0,
       PROFILE_SHA384 = 1 << 1,
       PROFILE_SHA512 = 1 << 2,
};

enum { /* keys that a certificate may have */
       PROFILE_RSA = 1 << 0,
       PROFILE_P256 = 1 << 1,
       PROFILE_P384 = 1 << 2,
       PROFILE_P521 = 1 << 3,
};

/* What holds at one depth of the chain. */
typedef struct ProfileRule {
    unsigned hashes; /* PROFILE_SHA…, of the signature over it */
    unsigned keys;   /* PROFILE_RSA, PROFILE_P… */
    uint64_t rsa_bits_min;
    uint64_t rsa_bits_max;
} ProfileRule;

typedef enum ProfileExtendedUsage {
    EXTENDED_USAGE_ABSENT_OR_IKE, /* one that is there must not forbid IKE (RFC 4945 5.1.3.12) */
    EXTENDED_USAGE_IKE,           /* it must be there and name IKE */
    EXTENDED_USAGE_ANY,           /* not looked at */
} ProfileExtendedUsage;

typedef struct PeerProfile {
    ProfileRule end_entity;
    bool key_usage_required;        /* keyUsage there, critical, with digitalSignature */
    bool subject_alt_name_required; /* a dNSName there */
    bool crl_distribution_point_required;
    unsigned extended_usage; /* ProfileExtendedUsage */

    ProfileRule issuers;

    uint64_t intermediates_max; /* between the end entity and its anchor */
    uint64_t serial_octets_max;
    bool conforming;         /* refuse what a CA conforming to RFC 5280 4 would not issue */
    bool cross_certificates; /* allow them */

    bool rsa_pkcs1; /* AUTH by RSA with PKCS#1 v1.5 padding allowed */

    uint64_t crl_hours_max;   /* a CRL's age; 0: until its nextUpdate */
    uint64_t crl_grace_hours; /* past its nextUpdate */
    uint64_t ocsp_hours_max;  /* an OCSP response's age */
    uint64_t skew_seconds; /* by which the clock of who signs CRLs and OCSP responses may be off */
} PeerProfile;

/* The profile of TS 33.310 6.1, as tred has it built in under the name "3gpp". */
PeerProfile peer_profile_3gpp(void);

/* Reads `path` over the built-in profile: what the file leaves out stays as it is there. Returns 0,
 * -ENOMEM, or another -errno with `reason` naming file, line and key. */
int peer_profile_read(const char *path, PeerProfile *ret, Reason *reason);

/* The same from memory; `name` stands for the path in `reason`. */
int peer_profile_parse(const char *name, Bytes text, PeerProfile *ret, Reason *reason);

/* "sha256, sha384" and "rsa, p256", as in a profile file; `ret` has `size` octets. */
void peer_profile_print_hashes(unsigned hashes, char *ret, size_t size);
void peer_profile_print_keys(unsigned keys, char *ret, size_t size);

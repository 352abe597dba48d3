/* Checks of what a peer shows: that it is small and sound enough to be looked at, which come first,
 * so that no certificate can make the others cost much; and that it is of the SeGW that is
 * configured. */
#include "verify/peer_internal.h"

#include "crypto/openssl.h"
#include "ikewire/registry.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

enum {
    RSA_EXPONENT_BITS_MIN = 17, /* FIPS 186-5 A.1.1: 65537 or more */
    RSA_EXPONENT_BITS_MAX = 32, /* a long one makes each verification as slow as signing */
    EC_BITS_MAX = 521,
    NAMES_MAX = 64,    /* in one subjectAltName */
    SUBTREES_MAX = 64, /* in one nameConstraints */
    POLICIES_MAX = 32, /* in one certificate's policies, and in its mappings */
    EXTENSIONS_MAX = 32,
};

DEFINE_POINTER_CLEANUP(NAME_CONSTRAINTS, NAME_CONSTRAINTS_free);
DEFINE_POINTER_CLEANUP(CERTIFICATEPOLICIES, CERTIFICATEPOLICIES_free);

int peer_check_count(PeerCase *peer, PeerCheck *check)
{
    const size_t count = peer->evidence->n_certificates;

    peer_check_expect(check, "1 to %d", PEER_CERTIFICATES_MAX);
    if (count == 0)
        return peer_check_fail(check, PEER_E_NOT_TRUSTED, NULL, "certificates", "none");
    if (count > PEER_CERTIFICATES_MAX) {
        return peer_check_fail(check, PEER_E_MALFORMED, NULL, "number of certificates", "%zu",
                               count);
    }
    peer_check_expect(check, "at most %d", PEER_OCSP_MAX);
    if (peer->evidence->n_ocsp > PEER_OCSP_MAX) {
        return peer_check_fail(check, PEER_E_MALFORMED, NULL, "number of OCSP responses", "%zu",
                               peer->evidence->n_ocsp);
    }
    return 0;
}

int peer_check_size(PeerCase *peer, PeerCheck *check)
{
    const PeerEvidence *evidence = peer->evidence;
    size_t total = 0;

    peer_check_expect(check, "1 to %d octets", PEER_CERTIFICATE_SIZE_MAX);
    for (size_t i = 0; i < evidence->n_certificates; i++) {
        const size_t size = evidence->certificates[i].size;

        if (size == 0 || size > PEER_CERTIFICATE_SIZE_MAX) {
            return peer_check_fail(check, PEER_E_MALFORMED, NULL, "certificate's size",
                                   "%zu octets (certificate number %zu)", size, i + 1);
        }
        total += size;
    }
    for (size_t i = 0; i < evidence->n_ocsp; i++)
        total += evidence->ocsp[i].size;
    peer_check_expect(check, "at most %d octets", PEER_EVIDENCE_SIZE_MAX);
    if (total > PEER_EVIDENCE_SIZE_MAX) {
        return peer_check_fail(check, PEER_E_MALFORMED, NULL, "evidence's size", "%zu octets",
                               total);
    }
    return 0;
}

/* One certificate of the octets, and nothing after it; NULL if they are something else. */
static X509 *certificate_read(const PeerSeen *seen, Bytes der)
{
    const unsigned char *end = der.data;
    X509 *certificate = seen ? peer_seen_find(seen, der) : NULL;

    if (certificate)
        return certificate;
    certificate = d2i_X509(NULL, &end, (long)der.size);
    if (certificate && end == der.data + der.size)
        return certificate;
    X509_free(certificate);
    return NULL;
}

int peer_check_encoding(PeerCase *peer, PeerCheck *check)
{
    peer_check_expect(check, "one X.509 version 3 certificate in DER, and nothing after it");
    for (size_t i = 0; i < peer->evidence->n_certificates; i++) {
        const Bytes der = peer->evidence->certificates[i];
        X509 *certificate = certificate_read(peer->policy->seen, der);

        if (!certificate) {
            return peer_check_fail(check, PEER_E_MALFORMED, NULL, "CERT payload",
                                   "something else (certificate number %zu, %zu octets)", i + 1,
                                   der.size);
        }
        if (sk_X509_push(peer->sent, certificate) == 0) {
            X509_free(certificate);
            return -ENOMEM;
        }
        if (X509_get_version(certificate) != X509_VERSION_3) {
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "version", "%ld",
                                   X509_get_version(certificate) + 1);
        }
    }
    return 0;
}

/* OpenSSL looks at those that it knows, and not at all of them. */
static bool has_any_twice(const X509 *certificate)
{
    const int count = X509_get_ext_count(certificate);

    for (int i = 1; i < count; i++) {
        const ASN1_OBJECT *type = X509_EXTENSION_get_object(X509_get_ext(certificate, i));

        if (X509_get_ext_by_OBJ(certificate, type, -1) != i)
            return true;
    }
    return false;
}

int peer_check_extensions(PeerCase *peer, PeerCheck *check)
{
    for (int i = 0; i < sk_X509_num(peer->sent); i++) {
        X509 *certificate = sk_X509_value(peer->sent, i);
        const int count = X509_get_ext_count(certificate);

        peer_check_expect(check, "at most %d", EXTENSIONS_MAX);
        if (count > EXTENSIONS_MAX) {
            peer_check_blame(peer, check, certificate);
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "number of extensions", "%d",
                                   count);
        }
        peer_check_expect(check, "extensions that parse, each once");
        if (X509_get_extension_flags(certificate) & EXFLAG_INVALID || has_any_twice(certificate)) {
            peer_check_blame(peer, check, certificate);
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "extension",
                                   "not to be parsed, or there twice");
        }
    }
    return 0;
}

static int rsa_cost(const X509 *certificate, const EVP_PKEY *key, const PeerProfile *profile,
                    PeerCheck *check)
{
    _cleanup_(BN_freep) BIGNUM *exponent = NULL;
    const uint64_t most = profile->end_entity.rsa_bits_max > profile->issuers.rsa_bits_max
                              ? profile->end_entity.rsa_bits_max
                              : profile->issuers.rsa_bits_max;
    int bits;

    peer_check_expect(check, "at most %u bits", (unsigned)most);
    if ((uint64_t)EVP_PKEY_get_bits(key) > most) {
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "RSA modulus", "of %d bits",
                               EVP_PKEY_get_bits(key));
    }
    peer_check_expect(check, "an odd number from 65537 to 2^32");
    if (EVP_PKEY_get_bn_param(key, "e", &exponent) != 1)
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "RSA exponent", "not there");
    bits = BN_num_bits(exponent);
    if (bits < RSA_EXPONENT_BITS_MIN || bits > RSA_EXPONENT_BITS_MAX || !BN_is_odd(exponent)) {
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "RSA exponent",
                               "a number of %d bits", bits);
    }
    return 0;
}

int peer_key_cost(const X509 *certificate, const PeerProfile *profile, PeerCheck *check)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[64];

    peer_check_expect(check, "RSA, or ECDSA on a named curve");
    if (!key) {
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "public key",
                               "of an unknown type, or does not parse");
    }
    if (EVP_PKEY_is_a(key, "RSA"))
        return rsa_cost(certificate, key, profile, check);
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_bits(key) > EC_BITS_MAX ||
        EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1) {
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "public key", "of type %s",
                               EVP_PKEY_get0_type_name(key));
    }
    return 0;
}

/* Before any signature is checked: with a key of the sender's choice that can take seconds. */
int peer_check_key_cost(PeerCase *peer, PeerCheck *check)
{
    for (int i = 0; i < sk_X509_num(peer->sent); i++) {
        const X509 *certificate = sk_X509_value(peer->sent, i);
        const int r = peer_key_cost(certificate, peer->policy->profile, check);

        if (r != 0) {
            peer_check_blame(peer, check, certificate);
            return r;
        }
    }
    return 0;
}

static int names_count(const X509 *certificate)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    return names ? sk_GENERAL_NAME_num(names) : 0;
}

static int subtrees_count(const X509 *certificate)
{
    _cleanup_(NAME_CONSTRAINTS_freep) NAME_CONSTRAINTS *constraints =
        X509_get_ext_d2i(certificate, NID_name_constraints, NULL, NULL);
    int count = 0;

    if (constraints && constraints->permittedSubtrees)
        count += sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees);
    if (constraints && constraints->excludedSubtrees)
        count += sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees);
    return count;
}

static int policies_count(const X509 *certificate)
{
    _cleanup_(CERTIFICATEPOLICIES_freep) CERTIFICATEPOLICIES *policies =
        X509_get_ext_d2i(certificate, NID_certificate_policies, NULL, NULL);

    return policies ? sk_POLICYINFO_num(policies) : 0;
}

static int mappings_count(const X509 *certificate)
{
    POLICY_MAPPINGS *mappings = X509_get_ext_d2i(certificate, NID_policy_mappings, NULL, NULL);
    const int count = mappings ? sk_POLICY_MAPPING_num(mappings) : 0;

    sk_POLICY_MAPPING_pop_free(mappings, POLICY_MAPPING_free);
    return count;
}

/* Names are held against subtrees, and policies against mappings, each against each. */
int peer_check_name_cost(PeerCase *peer, PeerCheck *check)
{
    static const struct {
        const char *field;
        int (*count)(const X509 *certificate);
        int maximum;
    } lists[] = {
        {"names in subjectAltName", names_count, NAMES_MAX},
        {"subtrees in nameConstraints", subtrees_count, SUBTREES_MAX},
        {"certificatePolicies", policies_count, POLICIES_MAX},
        {"policyMappings", mappings_count, POLICIES_MAX},
    };

    for (int i = 0; i < sk_X509_num(peer->sent); i++) {
        const X509 *certificate = sk_X509_value(peer->sent, i);

        for (size_t j = 0; j < ELEMENTS(lists); j++) {
            const int count = lists[j].count(certificate);

            peer_check_expect(check, "at most %d", lists[j].maximum);
            if (count > lists[j].maximum) {
                peer_check_blame(peer, check, certificate);
                return peer_check_fail(check, PEER_E_UNFIT, certificate, lists[j].field, "%d",
                                       count);
            }
        }
    }
    return 0;
}

/* ---- is it the one that we were told to talk to? ---- */

enum { NAME_SHOWN = 120, NAMES_SHOWN = 200 };

/* Octets from the peer, fit for a log line. */
static void octets_print(Bytes octets, char *ret, size_t size)
{
    size_t length = 0;

    for (; length < octets.size && length + 1 < size; length++) {
        const uint8_t octet = octets.data[length];
        ret[length] = (char)(octet > ' ' && octet < 0x7f ? octet : '?');
    }
    ret[length] = '\0';
}

/* No wildcard, and a CN is no substitute (TS 33.310 6.1.3b). */
int peer_check_subject_alt_name(PeerCase *peer, PeerCheck *check)
{
    const X509 *leaf = sk_X509_value(peer->chain, 0);
    char fqdn[FQDN_SIZE_MAX], names[NAMES_SHOWN];

    if (!peer->policy->profile->subject_alt_name_required)
        return PEER_SKIP;
    peer_check_expect(check, "a dNSName that is an FQDN in A-label form, without wildcard%s%.100s",
                      peer->policy->segw_name ? ": " : "",
                      peer->policy->segw_name ? peer->policy->segw_name : "");
    if (certificate_fqdn(leaf, fqdn) == 0)
        return 0;
    certificate_names_print(leaf, names, sizeof(names));
    return peer_check_fail(check, PEER_E_IDENTITY, leaf, "subjectAltName", "without an FQDN: %s",
                           names);
}

/* RFC 7296 3.5, TS 33.310 6.2: the SeGW names itself by an FQDN, and it is the one configured. */
int peer_check_idr(PeerCase *peer, PeerCheck *check)
{
    const char *name = peer->policy->segw_name;
    const Bytes idr = peer->evidence->idr;
    char found[NAME_SHOWN];

    if (!peer->evidence->has_idr || !name)
        return PEER_SKIP;
    peer_check_expect(check, "an FQDN (ID type 2), %.120s", name);
    if (peer->evidence->idr_type != IKE_ID_FQDN) {
        return peer_check_fail(check, PEER_E_IDENTITY, NULL, "IDr", "of type %u (%s)",
                               peer->evidence->idr_type,
                               ike_id_type_name(peer->evidence->idr_type));
    }
    octets_print(idr, found, sizeof(found));
    if (idr.size != strlen(name) || strncasecmp((const char *)idr.data, name, idr.size) != 0)
        return peer_check_fail(check, PEER_E_IDENTITY, NULL, "IDr", "%s", found);
    return 0;
}

int peer_check_name(PeerCase *peer, PeerCheck *check)
{
    const X509 *leaf = sk_X509_value(peer->chain, 0);
    const char *name = peer->policy->segw_name;
    char names[NAMES_SHOWN];

    if (!name)
        return PEER_SKIP;
    if (certificate_has_fqdn(leaf, name))
        return 0;
    certificate_names_print(leaf, names, sizeof(names));
    peer_check_expect(check, "%.150s among its dNSNames", name);
    return peer_check_fail(check, PEER_E_IDENTITY, leaf, "subjectAltName", "for %s", names);
}

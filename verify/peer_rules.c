/* Checks that each certificate of the path fits the profile (TS 33.310 6.1), and is as RFC 5280 4
 * tells CAs to issue them where OpenSSL does not look: serial numbers, what only a CA's may have,
 * and the forms of names. */
#include "crypto/openssl.h"
#include "verify/peer_internal.h"
#include "verify/profile.h"

#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { NAMES_SIZE = 128, USAGES_SIZE = 256 };

static const ProfileRule *rule_at(const PeerCase *peer, int depth)
{
    return depth == 0 ? &peer->policy->profile->end_entity : &peer->policy->profile->issuers;
}

static unsigned hash_bit(int digest)
{
    switch (digest) {
    case NID_sha256:
        return PROFILE_SHA256;
    case NID_sha384:
        return PROFILE_SHA384;
    case NID_sha512:
        return PROFILE_SHA512;
    default:
        return 0;
    }
}

/* What OpenSSL finds below its security level: no profile can ask for less than 112 bits. */
static int strength_check(const PeerCase *peer, PathRule rule, const char *field, PeerCheck *check)
{
    const PathFinding *finding = &peer->path[rule];

    peer_check_expect(check, "112 bits of security or more");
    if (finding->verdict == X509_V_OK)
        return 0;
    peer_check_blame(peer, check, finding->culprit);
    return peer_check_fail(check, PEER_E_UNFIT, finding->culprit, field, "too weak: %s",
                           X509_verify_cert_error_string(finding->verdict));
}

/* Of the anchor nothing is asked: it is trusted as it stands, and nobody vouches for it. */
int peer_check_signature_hash(PeerCase *peer, PeerCheck *check)
{
    for (int depth = 0; depth < peer_chain_below_anchor(peer); depth++) {
        X509 *certificate = sk_X509_value(peer->chain, depth);
        const unsigned allowed = rule_at(peer, depth)->hashes;
        char names[NAMES_SIZE];
        const X509_ALGOR *algorithm = NULL;
        int digest = NID_undef;

        (void)X509_get_signature_info(certificate, &digest, NULL, NULL, NULL);
        X509_get0_signature(NULL, &algorithm, certificate);
        if (hash_bit(digest) & allowed && profile_signature_is_fit(algorithm))
            continue;
        peer_check_blame(peer, check, certificate);
        if (hash_bit(digest) & allowed) {
            peer_check_expect(check, "ECDSA or RSA; of PSS, MGF1 with the signature's hash and a "
                                     "salt at least as long as that");
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "signature's algorithm",
                                   "%s with other parameters or another key",
                                   OBJ_nid2sn(X509_get_signature_nid(certificate)));
        }
        peer_profile_print_hashes(allowed, names, sizeof(names));
        peer_check_expect(check, "%s", names);
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "signature's hash", "%s",
                               digest == NID_undef ? "unknown" : OBJ_nid2sn(digest));
    }
    return strength_check(peer, PATH_HASH, "signature's hash", check);
}

static unsigned curve_bit(const char *group)
{
    if (strcmp(group, SN_X9_62_prime256v1) == 0)
        return PROFILE_P256;
    if (strcmp(group, SN_secp384r1) == 0)
        return PROFILE_P384;
    return strcmp(group, SN_secp521r1) == 0 ? PROFILE_P521 : 0;
}

static int key_check(const ProfileRule *rule, const X509 *certificate, PeerCheck *check)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    const unsigned bits = (unsigned)EVP_PKEY_get_bits(key);
    const bool is_rsa = EVP_PKEY_is_a(key, "RSA");
    char group[64] = "", names[NAMES_SIZE];

    if (!is_rsa)
        (void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    peer_profile_print_keys(rule->keys, names, sizeof(names));
    peer_check_expect(check, "%s", names);
    if (!((is_rsa ? PROFILE_RSA : curve_bit(group)) & rule->keys)) {
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "key", "%s %s",
                               EVP_PKEY_get0_type_name(key), group);
    }
    peer_check_expect(check, "%u to %u bits", (unsigned)rule->rsa_bits_min,
                      (unsigned)rule->rsa_bits_max);
    if (is_rsa && (bits < rule->rsa_bits_min || bits > rule->rsa_bits_max))
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "RSA key", "of %u bits", bits);
    return 0;
}

int peer_check_key(PeerCase *peer, PeerCheck *check)
{
    for (int depth = 0; depth < peer_chain_below_anchor(peer); depth++) {
        const X509 *certificate = sk_X509_value(peer->chain, depth);
        const int r = key_check(rule_at(peer, depth), certificate, check);

        if (r != 0) {
            peer_check_blame(peer, check, certificate);
            return r;
        }
    }
    return strength_check(peer, PATH_KEY_SIZE, "key", check);
}

int peer_check_serial(PeerCase *peer, PeerCheck *check)
{
    const uint64_t maximum = peer->policy->profile->serial_octets_max;

    peer_check_expect(check, "at most %u octets", (unsigned)maximum);
    for (int depth = 0; depth < peer_chain_below_anchor(peer); depth++) {
        const X509 *certificate = sk_X509_value(peer->chain, depth);
        const int size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), NULL) - 2;

        /* As encoded, with the octet that a sign may need, without tag and length. */
        if (size < 0 || (uint64_t)size > maximum) {
            peer_check_blame(peer, check, certificate);
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "serialNumber", "%d octets",
                                   size);
        }
    }
    return 0;
}

/* Sent in the wrong order, most likely. */
static bool has_end_entity_behind(const PeerCase *peer)
{
    for (int i = 1; i < sk_X509_num(peer->sent); i++) {
        if (!(X509_get_extension_flags(sk_X509_value(peer->sent, i)) & EXFLAG_CA))
            return true;
    }
    return false;
}

int peer_check_end_entity(PeerCase *peer, PeerCheck *check)
{
    X509 *leaf = sk_X509_value(peer->chain, 0);

    peer_check_expect(check, "an end entity's: basicConstraints absent, or cA FALSE");
    if (!(X509_get_extension_flags(leaf) & EXFLAG_CA))
        return 0;
    if (has_end_entity_behind(peer)) {
        peer_check_expect(check, "the SeGW's own (RFC 7296 3.6)");
        peer_check_remedy(check, "Let the SeGW send its own certificate first, and those of CAs "
                                 "after it");
        return peer_check_fail(check, PEER_E_UNFIT, leaf, "place as the first of those sent",
                               "a CA's, and an end entity's comes after it");
    }
    return peer_check_fail(check, PEER_E_UNFIT, leaf, "basicConstraints", "a CA's (cA TRUE)");
}

static bool key_usage_is_critical(const X509 *certificate)
{
    const int at = X509_get_ext_by_NID(certificate, NID_key_usage, -1);

    return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at));
}

int peer_check_key_usage(PeerCase *peer, PeerCheck *check)
{
    X509 *leaf = sk_X509_value(peer->chain, 0);
    const bool is_there = X509_get_extension_flags(leaf) & EXFLAG_KUSAGE;

    peer_check_expect(check, "critical, digitalSignature among it");
    if (!is_there && peer->policy->profile->key_usage_required)
        return peer_check_fail(check, PEER_E_UNFIT, leaf, "keyUsage", "not there");
    if (is_there && !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
        return peer_check_fail(check, PEER_E_UNFIT, leaf, "keyUsage", "without digitalSignature");
    if (is_there && peer->policy->profile->key_usage_required && !key_usage_is_critical(leaf))
        return peer_check_fail(check, PEER_E_UNFIT, leaf, "keyUsage", "not critical");
    return 0;
}

/* What an IKE peer's extKeyUsage may name: RFC 4945 5.1.3.12 and RFC 4809 3.1.5 have
 * iKEIntermediate in the wild, id-kp-ipsecIKE and anyExtendedKeyUsage; serverAuth (RFC 7296's
 * users) is common. */
static bool usages_allow_ike(const EXTENDED_KEY_USAGE *usages, char *found)
{
    static const char *const ike[] = {"1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.8.2.2", "2.5.29.37.0",
                                      "1.3.6.1.5.5.7.3.1"};

    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        const size_t length = strlen(found);
        char oid[64] = "";

        (void)OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usages, i), 1);
        for (size_t j = 0; j < ELEMENTS(ike); j++) {
            if (strcmp(oid, ike[j]) == 0)
                return true;
        }
        (void)snprintf(found + length, USAGES_SIZE - length, "%s%s", length > 0 ? ", " : "", oid);
    }
    return false;
}

int peer_check_extended_usage(PeerCase *peer, PeerCheck *check)
{
    const unsigned rule = peer->policy->profile->extended_usage;
    const X509 *leaf = sk_X509_value(peer->chain, 0);
    char found[USAGES_SIZE] = "";
    EXTENDED_KEY_USAGE *usages;
    int r = 0;

    if (rule == EXTENDED_USAGE_ANY)
        return PEER_SKIP;
    usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    peer_check_expect(check, "%sipsecIKE, iKEIntermediate, serverAuth or anyExtendedKeyUsage",
                      rule == EXTENDED_USAGE_IKE ? "" : "none, or ");
    if (!usages && rule == EXTENDED_USAGE_IKE) {
        r = peer_check_fail(check, PEER_E_UNFIT, leaf, "extKeyUsage", "not there");
    } else if (usages && !usages_allow_ike(usages, found)) {
        r = peer_check_fail(check, PEER_E_UNFIT, leaf, "extKeyUsage", "%s",
                            found[0] != '\0' ? found : "empty: it names no purpose");
    }
    sk_ASN1_OBJECT_pop_free(usages, ASN1_OBJECT_free);
    return r;
}

int peer_check_distribution_point(PeerCase *peer, PeerCheck *check)
{
    const X509 *leaf = sk_X509_value(peer->chain, 0);

    if (!peer->policy->profile->crl_distribution_point_required)
        return PEER_SKIP;
    peer_check_expect(check, "a distribution point");
    if (X509_get_ext_by_NID(leaf, NID_crl_distribution_points, -1) < 0)
        return peer_check_fail(check, PEER_E_UNFIT, leaf, "cRLDistributionPoints", "not there");
    return 0;
}

enum { IPV4_SIZE = 4, IPV6_SIZE = 16 };

/* RFC 5280 4.1.2.2 */
static int serial_check(const X509 *certificate, PeerCheck *check)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    const ASN1_STRING *octets = (const ASN1_STRING *)serial;
    bool is_zero = true;

    peer_check_expect(check, "a positive number (RFC 5280 4.1.2.2)");
    if (ASN1_STRING_type(octets) == V_ASN1_NEG_INTEGER)
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "serialNumber", "negative");
    for (int i = 0; i < ASN1_STRING_length(octets); i++)
        is_zero = is_zero && ASN1_STRING_get0_data(octets)[i] == 0;
    if (is_zero)
        return peer_check_fail(check, PEER_E_UNFIT, certificate, "serialNumber", "zero");
    return 0;
}

/* RFC 5280 4.2.1.5, 4.2.1.10, 4.2.1.11, 4.2.1.14: what is said of certificates below. */
static int constraints_check(const X509 *leaf, PeerCheck *check)
{
    static const struct {
        int nid;
        const char *name;
    } of_cas[] = {
        {NID_name_constraints, "nameConstraints"},
        {NID_policy_constraints, "policyConstraints"},
        {NID_policy_mappings, "policyMappings"},
        {NID_inhibit_any_policy, "inhibitAnyPolicy"},
    };

    peer_check_expect(check, "in certificates of CAs alone (RFC 5280 4.2.1)");
    for (size_t i = 0; i < ELEMENTS(of_cas); i++) {
        if (X509_get_ext_by_NID(leaf, of_cas[i].nid, -1) >= 0) {
            return peer_check_fail(check, PEER_E_UNFIT, leaf, of_cas[i].name,
                                   "there, in an end entity's certificate");
        }
    }
    return 0;
}

/* Printable ASCII without blanks, of at least one octet. */
static bool is_plain(const ASN1_STRING *text)
{
    const unsigned char *octets = ASN1_STRING_get0_data(text);

    for (int i = 0; i < ASN1_STRING_length(text); i++) {
        if (octets[i] <= ' ' || octets[i] >= 0x7f)
            return false;
    }
    return ASN1_STRING_length(text) > 0;
}

static bool has_octet(const ASN1_STRING *text, char octet)
{
    return memchr(ASN1_STRING_get0_data(text), octet, (size_t)ASN1_STRING_length(text));
}

/* What is wrong with a name's form (RFC 5280 4.2.1.6); NULL: nothing. */
static const char *name_flaw(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        return is_plain(name->d.dNSName) ? NULL : "a dNSName that is empty or not of plain ASCII";
    case GEN_EMAIL:
        return is_plain(name->d.rfc822Name) && has_octet(name->d.rfc822Name, '@')
                   ? NULL
                   : "an rfc822Name that is no mailbox";
    case GEN_URI: /* absolute: a scheme comes first */
        return is_plain(name->d.uniformResourceIdentifier) &&
                       has_octet(name->d.uniformResourceIdentifier, ':')
                   ? NULL
                   : "a uniformResourceIdentifier that is no absolute URI";
    case GEN_IPADD:
        return ASN1_STRING_length(name->d.iPAddress) == IPV4_SIZE ||
                       ASN1_STRING_length(name->d.iPAddress) == IPV6_SIZE
                   ? NULL
                   : "an iPAddress of neither 4 nor 16 octets";
    default:
        return NULL;
    }
}

static int names_check(const X509 *certificate, PeerCheck *check)
{
    _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    peer_check_expect(check, "names of the forms of RFC 5280 4.2.1.6");
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const char *flaw = name_flaw(sk_GENERAL_NAME_value(names, i));

        if (flaw) {
            return peer_check_fail(check, PEER_E_UNFIT, certificate, "subjectAltName", "with %s",
                                   flaw);
        }
    }
    return 0;
}

static int certificate_check(const PeerCase *peer, int depth, PeerCheck *check)
{
    const X509 *certificate = sk_X509_value(peer->chain, depth);
    int r = serial_check(certificate, check);

    if (r == 0 && depth == 0)
        r = constraints_check(certificate, check);
    if (r == 0)
        r = names_check(certificate, check);
    if (r != 0)
        peer_check_blame(peer, check, certificate);
    return r;
}

/* Of the anchor nothing is asked: its name and its key are what is trusted (RFC 5280 6.1.1 d). */
int peer_check_conforming(PeerCase *peer, PeerCheck *check)
{
    int r;

    if (!peer->policy->profile->conforming)
        return PEER_SKIP;
    r = peer_path_conforming(peer, check);
    for (int depth = 0; r == 0 && depth < peer_chain_below_anchor(peer); depth++)
        r = certificate_check(peer, depth, check);
    return r;
}

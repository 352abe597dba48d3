/* Checks that each certificate of the path is as RFC 5280 4 tells CAs to issue them, where OpenSSL
 * does not look: serial numbers, what only a CA's may have, and the forms of names. */
#include "verify/peer_internal.h"

#include "crypto/openssl.h"

#include <openssl/x509v3.h>
#include <string.h>

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

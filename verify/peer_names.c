/* Checks that the SeGW is the one that is configured. */
#include "verify/peer_internal.h"

#include "ikewire/registry.h"
#include "verify/certificates.h"

#include <string.h>
#include <strings.h>

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
        return peer_check_fail(check, PEER_E_IDENTITY, NULL, "IDr", "of type %u",
                               peer->evidence->idr_type);
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

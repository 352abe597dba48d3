/* What keeps a certificate from being this device's? */
#include "provisioning/certificateflaw.h"

#include "verify/certificates.h"
#include "verify/dates.h"
#include "verify/profile.h"

const char *device_certificate_flaw(X509 *certificate, EVP_PKEY *public_key, const char *fqdn)
{
    char found[FQDN_SIZE_MAX];
    const char *flaw;

    if (public_key && EVP_PKEY_eq(X509_get0_pubkey(certificate), public_key) != 1)
        return "is not for the device key";
    flaw = profile_end_entity_flaw(certificate);
    if (!flaw)
        flaw = profile_signature_flaw(certificate);
    if (flaw)
        return flaw;
    if (certificate_fqdn(certificate, found) < 0)
        return "has no FQDN as dNSName in its subjectAltName (TS 33.310 6.1.3)";
    if (fqdn && !certificate_has_fqdn(certificate, fqdn))
        return "is for another name than this device's";
    if (!date_is_from(X509_get0_notAfter(certificate), time(NULL)))
        return "has expired";
    if (!date_is_by(X509_get0_notBefore(certificate), time(NULL)))
        return "is not valid yet";
    return NULL;
}

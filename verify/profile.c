/* Holds a certificate against what its place asks for: tables of checks, one line for each clause.
 */
#include "verify/profile.h"

#include "base/cleanup.h"
#include "crypto/auth_algorithm.h"
#include "crypto/openssl.h"

#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048, SECURITY_BITS_MIN = 112 };

typedef struct ProfileCheck {
    bool (*is_fit)(X509 *certificate);
    const char *flaw;
} ProfileCheck;

static bool extensions_parse(X509 *certificate)
{
    return !(X509_get_extension_flags(certificate) & EXFLAG_INVALID);
}

static bool is_no_ca(X509 *certificate)
{
    return !(X509_get_extension_flags(certificate) & EXFLAG_CA);
}

static bool has_key_usage(X509 *certificate)
{
    return X509_get_extension_flags(certificate) & EXFLAG_KUSAGE;
}

static bool may_sign(X509 *certificate)
{
    return X509_get_key_usage(certificate) & KU_DIGITAL_SIGNATURE;
}

static bool key_is_in_profile(X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[32] = "";

    if (!key)
        return false;
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
        return false;
    return strcmp(group, SN_X9_62_prime256v1) == 0 || strcmp(group, SN_secp384r1) == 0;
}

/* With another it could sign nothing that is taken. */
static bool key_may_sign(X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);

    return key && (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "EC"));
}

static bool key_is_strong(X509 *certificate)
{
    return EVP_PKEY_get_security_bits(X509_get0_pubkey(certificate)) >= SECURITY_BITS_MIN;
}

/* RFC 5280 4.2: it may say what the anchor is not for. */
static bool criticals_are_known(X509 *certificate)
{
    return !(X509_get_extension_flags(certificate) & EXFLAG_CRITICAL);
}

/* 1 is a v3 certificate with cA TRUE, and with keyCertSign if it has a keyUsage. The other values
 * that mean "may be a CA" are of times before RFC 5280. */
static bool is_ca(X509 *certificate)
{
    return X509_check_ca(certificate) == 1;
}

static const ProfileCheck end_entity_checks[] = {
    {extensions_parse, "has extensions that do not parse"},
    {is_no_ca, "is a CA's (basicConstraints cA); it must be an end entity's (TS 33.310 6.1.3)"},
    {has_key_usage, "has no keyUsage; it needs digitalSignature (TS 33.310 6.1.3)"},
    {may_sign, "is not for signing: its keyUsage lacks digitalSignature (TS 33.310 6.1.3)"},
    {key_is_in_profile, "has a key outside the profile; it must be ECDSA P-256 or P-384, or RSA of "
                        "2048 bits or more (TS 33.310 6.1.1)"},
};

static const ProfileCheck anchor_checks[] = {
    {is_ca, "is not a CA's (basicConstraints cA, keyUsage keyCertSign)"},
    {extensions_parse, "has extensions that do not parse"},
    {key_may_sign, "has a key that is neither RSA nor ECDSA"},
    {key_is_strong, "has a key that is too short (RSA needs 2048 bits)"},
    {criticals_are_known, "has a critical extension that is unknown"},
};

static const char *first_flaw(X509 *certificate, const ProfileCheck *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!checks[i].is_fit(certificate))
            return checks[i].flaw;
    }
    return NULL;
}

const char *profile_end_entity_flaw(X509 *certificate)
{
    return first_flaw(certificate, end_entity_checks, ELEMENTS(end_entity_checks));
}

const char *profile_anchor_flaw(X509 *certificate)
{
    return first_flaw(certificate, anchor_checks, ELEMENTS(anchor_checks));
}

const char *profile_signature_flaw(X509 *certificate)
{
    const X509_ALGOR *algorithm = NULL;
    int digest = NID_undef;

    (void)X509_get_signature_info(certificate, &digest, NULL, NULL, NULL);
    if (digest != NID_sha256 && digest != NID_sha384 && digest != NID_sha512) {
        return "is signed with a hash outside the profile; it must be SHA-256, SHA-384 or SHA-512 "
               "(TS 33.310 6.1.1)";
    }
    X509_get0_signature(NULL, &algorithm, certificate);
    if (!profile_signature_is_fit(algorithm)) {
        return "is signed with an algorithm outside the profile; it must be ECDSA or RSA, with PSS "
               "its MGF1 of the same hash and its salt as long as that (TS 33.310 6.1.1)";
    }
    return NULL;
}

bool profile_signature_is_fit(const X509_ALGOR *algorithm)
{
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const int size = i2d_X509_ALGOR(algorithm, &der);
    AuthAlgorithm ignored;

    return size > 0 && auth_algorithm_decode((Bytes){der, (size_t)size}, &ignored) == 0;
}

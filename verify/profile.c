/* What makes a certificate unfit for its place: tables of checks, one line for each clause; and the
 * profile files of an operator, over the built-in profile of TS 33.310. */
#include "verify/profile.h"

#include "base/cleanup.h"
#include "crypto/auth_algorithm.h"
#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
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
               "its MGF1 of the same hash and its salt at least as long as that (TS 33.310 6.1.1)";
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

enum {
    RSA_BITS_LEAST = 2048, /* TS 33.310 6.1.1; no file may ask for less */
    RSA_BITS_MOST = 8192,  /* bounds what one signature can cost */
    HOURS_MOST = 24 * 366,
    HOURS_OF_A_WEEK = 7 * 24,
    SKEW_MOST = 24 * 3600,
};

/* In the order of the bits. */
static const char *const hashes[] = {"sha256", "sha384", "sha512", NULL};
static const char *const keys[] = {"rsa", "p256", "p384", "p521", NULL};
static const char *const extended_usages[] = {"absent-or-ike", "ike", "any", NULL};

static void names_print(unsigned set, const char *const *names, char *ret, size_t size)
{
    ret[0] = '\0';
    for (unsigned i = 0; names[i]; i++) {
        const size_t length = strlen(ret);

        if (set & 1U << i)
            (void)snprintf(ret + length, size - length, "%s%s", length > 0 ? ", " : "", names[i]);
    }
}

void peer_profile_print_hashes(unsigned set, char *ret, size_t size)
{
    names_print(set, hashes, ret, size);
}

void peer_profile_print_keys(unsigned set, char *ret, size_t size)
{
    names_print(set, keys, ret, size);
}

/* The bit of the word at the front of `value`, which is `size` octets long; 0 if there is none. */
static unsigned word_bit(const char *const *names, const char *value, size_t size)
{
    for (unsigned i = 0; names[i]; i++) {
        if (strlen(names[i]) == size && strncmp(names[i], value, size) == 0)
            return 1U << i;
    }
    return 0;
}

/* Words of item->choices with commas or blanks between. Target: unsigned, a set of bits. */
static int parse_set(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    static const char separators[] = ", \t";
    unsigned set = 0;

    value += strspn(value, separators);
    while (*value) {
        const size_t size = strcspn(value, separators);
        const unsigned bit = word_bit(item->choices, value, size);

        if (bit == 0) {
            set = 0;
            break;
        }
        set |= bit;
        value += size;
        value += strspn(value, separators);
    }
    if (set == 0) {
        char names[REASON_SIZE / 2];

        names_print(~0U, item->choices, names, sizeof(names));
        return reason_set(allowed, -EINVAL, "one or more of: %s", names);
    }
    *(unsigned *)target = set;
    return 0;
}

static const ConfigItem items[] = {
    {"end-entity", "hashes", parse_set, offsetof(PeerProfile, end_entity.hashes),
     .choices = hashes},
    {"end-entity", "keys", parse_set, offsetof(PeerProfile, end_entity.keys), .choices = keys},
    {"end-entity", "rsa-bits-min", config_parse_number,
     offsetof(PeerProfile, end_entity.rsa_bits_min), .minimum = RSA_BITS_LEAST,
     .maximum = RSA_BITS_MOST},
    {"end-entity", "rsa-bits-max", config_parse_number,
     offsetof(PeerProfile, end_entity.rsa_bits_max), .minimum = RSA_BITS_LEAST,
     .maximum = RSA_BITS_MOST},
    {"end-entity", "key-usage-required", config_parse_boolean,
     offsetof(PeerProfile, key_usage_required)},
    {"end-entity", "subject-alt-name-required", config_parse_boolean,
     offsetof(PeerProfile, subject_alt_name_required)},
    {"end-entity", "crl-distribution-point-required", config_parse_boolean,
     offsetof(PeerProfile, crl_distribution_point_required)},
    {"end-entity", "extended-key-usage", config_parse_choice, offsetof(PeerProfile, extended_usage),
     .choices = extended_usages},
    {"issuers", "hashes", parse_set, offsetof(PeerProfile, issuers.hashes), .choices = hashes},
    {"issuers", "keys", parse_set, offsetof(PeerProfile, issuers.keys), .choices = keys},
    {"issuers", "rsa-bits-min", config_parse_number, offsetof(PeerProfile, issuers.rsa_bits_min),
     .minimum = RSA_BITS_LEAST, .maximum = RSA_BITS_MOST},
    {"issuers", "rsa-bits-max", config_parse_number, offsetof(PeerProfile, issuers.rsa_bits_max),
     .minimum = RSA_BITS_LEAST, .maximum = RSA_BITS_MOST},
    {"path", "intermediates-max", config_parse_number, offsetof(PeerProfile, intermediates_max),
     .maximum = 7},
    {"path", "serial-octets-max", config_parse_number, offsetof(PeerProfile, serial_octets_max),
     .minimum = 1, .maximum = 20},
    {"path", "conforming", config_parse_boolean, offsetof(PeerProfile, conforming)},
    {"path", "cross-certificates", config_parse_boolean, offsetof(PeerProfile, cross_certificates)},
    {"auth", "rsa-pkcs1", config_parse_boolean, offsetof(PeerProfile, rsa_pkcs1)},
    {"revocation", "crl-hours-max", config_parse_number, offsetof(PeerProfile, crl_hours_max),
     .maximum = HOURS_MOST},
    {"revocation", "crl-grace-hours", config_parse_number, offsetof(PeerProfile, crl_grace_hours),
     .maximum = HOURS_MOST},
    {"revocation", "ocsp-hours-max", config_parse_number, offsetof(PeerProfile, ocsp_hours_max),
     .minimum = 1, .maximum = HOURS_MOST},
    {"revocation", "clock-skew-seconds", config_parse_number, offsetof(PeerProfile, skew_seconds),
     .maximum = SKEW_MOST},
};

PeerProfile peer_profile_3gpp(void)
{
    /* TS 33.310 6.1.1: SHA-256 shall, SHA-384 should; RSA of at least 2048 bits; P-256 shall, P-384
     * should. SHA-512 is stronger than what is asked for. */
    const ProfileRule rule = {
        .hashes = PROFILE_SHA256 | PROFILE_SHA384 | PROFILE_SHA512,
        .keys = PROFILE_RSA | PROFILE_P256 | PROFILE_P384,
        .rsa_bits_min = RSA_BITS_LEAST,
        .rsa_bits_max = 4096,
    };

    return (PeerProfile){
        .end_entity = rule,
        .key_usage_required = true,
        .subject_alt_name_required = true,
        .extended_usage = EXTENDED_USAGE_ABSENT_OR_IKE,
        .issuers = rule,
        .intermediates_max = 7,
        .serial_octets_max = 20,
        .conforming = true,
        .rsa_pkcs1 = true,
        .ocsp_hours_max = HOURS_OF_A_WEEK,
        .skew_seconds = 300,
    };
}

/* What no single line can tell. */
static int profile_finish(const char *name, const PeerProfile *profile, PeerProfile *ret,
                          Reason *reason)
{
    const ProfileRule *rules[] = {&profile->end_entity, &profile->issuers};

    for (size_t i = 0; i < ELEMENTS(rules); i++) {
        if (rules[i]->rsa_bits_min <= rules[i]->rsa_bits_max)
            continue;
        return reason_set(reason, -EINVAL,
                          "%s: in [%s], rsa-bits-min is above rsa-bits-max; no RSA key would fit. "
                          "Correct one of them, or take rsa out of keys",
                          name, i == 0 ? "end-entity" : "issuers");
    }
    *ret = *profile;
    return 0;
}

int peer_profile_parse(const char *name, Bytes text, PeerProfile *ret, Reason *reason)
{
    PeerProfile profile = peer_profile_3gpp();
    const int r = config_parse(name, text, items, ELEMENTS(items), &profile, reason);

    return r < 0 ? r : profile_finish(name, &profile, ret, reason);
}

int peer_profile_read(const char *path, PeerProfile *ret, Reason *reason)
{
    PeerProfile profile = peer_profile_3gpp();
    const int r = config_read(path, items, ELEMENTS(items), &profile, reason);

    return r < 0 ? r : profile_finish(path, &profile, ret, reason);
}

/* The profile of a manufacturing line (tre-provision-profile(5)): what every device of it gets. */
#pragma once

#include "base/config.h"
#include "base/reason.h"
#include "policy/keypolicy.h"

#include <stdbool.h>

/* A key of any algorithm that is there is kept; a new one is an ECDSA P-256. */
enum { PROFILE_KEY_ANY = 0 };

typedef enum OwnerAuth { OWNER_AUTH_KEEP, OWNER_AUTH_DISCARD } OwnerAuth;

/* Texts are NULL where the file says nothing. */
typedef struct ProvisionProfile {
    char *tcti;
    char *fqdn;      /* may hold PROFILE_SERIAL */
    char *state_dir; /* likewise */
    char *owner;
    unsigned key_algorithm; /* PROFILE_KEY_ANY, or a TpmKeyAlgorithm and 1 */
    unsigned key_policy;    /* a KeyPolicyKind */
    char *policy_key;       /* the vendor's, of KEY_POLICY_SIGNED */
    char *pcr_signature;    /* the states approved of */
    char *anchors;
    char *operator_key;            /* whose approval the TPM asks for when anchors change */
    char *ca_certificate, *ca_key; /* of the station's authority; both or neither */
    char *ek_anchors;              /* roots of TPM vendors; with those */
    uint64_t days;                 /* that the device's certificate is valid */
    unsigned owner_auth;           /* an OwnerAuth */
} ProvisionProfile;

/* What stands for the device's serial number in `fqdn` and `state_dir`. */
#define PROFILE_SERIAL "{serial}"

/* Reads `path` into `ret`, which is the caller's to profile_deinit() in any case. Returns 0, or
 * -errno with `reason` naming file, line, and what is allowed. */
int provision_profile_read(const char *path, ProvisionProfile *ret, Reason *reason);
void provision_profile_deinit(ProvisionProfile *profile);

/* True if `text` (or NULL) asks for the serial number. */
bool provision_profile_has_serial(const char *text);

/* `text` with the serial number in place of each PROFILE_SERIAL; *ret is the caller's to free().
 * 0 or -ENOMEM. */
int provision_profile_expand(const char *text, const char *serial, char **ret);

/* A serial number names a folder and may go into a domain name: 1 to 63 letters, digits, '.', '-'
 * and '_', a letter or digit first. */
bool serial_is_valid(const char *serial);

/* What a SeGW's certificates are held against, as configured: the profile, and the CRLs that an
 * operator's tool lays down. tred fetches nothing from the network. */
#pragma once

#include "tred/config.h"
#include "verify/crls.h"
#include "verify/peer.h"
#include "verify/peer_profile.h"

#include <time.h>

#define SEGW_PROFILE_3GPP "3gpp" /* the built-in profile's name */

typedef struct SegwPolicy {
    PeerProfile profile;
    RevocationMode revocation;
    const char *crl_directory; /* the configuration's */
    CrlStore crls;
    struct timespec crls_changed; /* the directory's, when they were read */
} SegwPolicy;

/* The profile "3gpp" or of the file of that path. 0, -ENOMEM, or -errno with `error`
 * (CONFIG_ERROR_SIZE octets). */
int segw_profile_load(const char *name, PeerProfile *ret, char *error);

/* Loads what `config` (which must outlive it) names; *ret is for segw_policy_deinit(). A missing
 * directory of CRLs is an empty one. Errors as above. */
int segw_policy_read(const TredConfig *config, SegwPolicy *ret, char *error);
void segw_policy_deinit(SegwPolicy *policy);

/* Reads the CRLs again if a file has come to the directory or gone since. What can't be read is
 * logged and left out. */
void segw_policy_refresh(SegwPolicy *policy);

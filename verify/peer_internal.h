/* What the checks of a peer share; for peer*.c and nobody else. */
#pragma once

#include "verify/peer.h"

#include <openssl/x509.h>

/* What OpenSSL's path validation finds, sorted by the check that it belongs to. */
typedef enum PathRule {
    PATH_BUILDS, /* signatures and issuers, up to an anchor */
    PATH_ISSUERS_ARE_CAS,
    PATH_LENGTH,
    PATH_CRITICAL_EXTENSIONS,
    PATH_NAME_CONSTRAINTS,
    PATH_POLICIES,
    PATH_CONFORMING,
    PATH_HASH,
    PATH_KEY_SIZE,
    PATH_RULES
} PathRule;

typedef struct PathFinding {
    int verdict;   /* X509_V_…; X509_V_OK: nothing wrong */
    X509 *culprit; /* borrowed from the case */
} PathFinding;

typedef struct PeerCase {
    const PeerPolicy *policy;
    const PeerEvidence *evidence;
    STACK_OF(X509) *sent;        /* as they came; the first is the end entity's */
    const STACK_OF(X509) *given; /* the path that is to be judged; NULL: OpenSSL looks for one */
    STACK_OF(X509) *chain;       /* end entity to anchor, once a path is found */
    PathFinding path[PATH_RULES];
    time_t expires, vouched;
} PeerCase;

/* A date that a verified signature tells of as past. */
void peer_vouch(PeerCase *peer, const ASN1_TIME *date);

/* A check's function: 0 passed, PEER_E_… by way of peer_check_fail(), PEER_SKIP, or -errno. */
enum { PEER_SKIP = 1000 };
typedef int (*PeerCheckFunction)(PeerCase *peer, PeerCheck *check);

/* Fills in what was found in `field` of `certificate` (NULL: of none) and yields `error`. */
int peer_check_fail(PeerCheck *check, int error, const X509 *certificate, const char *field,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds to what a check that passes rests on; pieces are parted by "; ". */
void peer_check_note(PeerCheck *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what would have been good; a check calls it before it fails. */
void peer_check_expect(PeerCheck *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what to do in place of what the table of checks says. */
void peer_check_remedy(PeerCheck *check, const char *remedy);

/* Says so where the fault is not the SeGW's own certificate's, but a CA's or an anchor's. */
void peer_check_blame(const PeerCase *peer, PeerCheck *check, const X509 *culprit);

/* Dates for people; `ret` has PEER_DATE_SIZE octets. */
enum { PEER_DATE_SIZE = 32 };
void peer_date_print(const ASN1_TIME *date, char *ret);
void peer_time_print(time_t time, char *ret);

/* How many certificates stand below the anchor; only once there is a chain. */
static inline int peer_chain_below_anchor(const PeerCase *peer)
{
    return sk_X509_num(peer->chain) - 1;
}

/* peer_evidence.c: is it small and sound enough to be looked at? */
int peer_check_count(PeerCase *peer, PeerCheck *check);
int peer_check_size(PeerCase *peer, PeerCheck *check);
int peer_check_encoding(PeerCase *peer, PeerCheck *check);
int peer_check_extensions(PeerCase *peer, PeerCheck *check);
int peer_check_key_cost(PeerCase *peer, PeerCheck *check);
/* The same for one certificate. */
int peer_key_cost(const X509 *certificate, const PeerProfile *profile, PeerCheck *check);
int peer_check_name_cost(PeerCase *peer, PeerCheck *check);
/* Is it the one that we were told to talk to? */
int peer_check_subject_alt_name(PeerCase *peer, PeerCheck *check);
int peer_check_idr(PeerCase *peer, PeerCheck *check);
int peer_check_name(PeerCase *peer, PeerCheck *check);

/* peer_path.c: does a path lead to an anchor, and does it obey RFC 5280? */
int peer_check_chain(PeerCase *peer, PeerCheck *check);
int peer_check_validity(PeerCase *peer, PeerCheck *check);
int peer_check_issuers(PeerCase *peer, PeerCheck *check);
int peer_check_path_length(PeerCase *peer, PeerCheck *check);
int peer_check_critical(PeerCase *peer, PeerCheck *check);
int peer_check_name_constraints(PeerCase *peer, PeerCheck *check);
int peer_check_policies(PeerCase *peer, PeerCheck *check);
/* Of peer_check_conforming() what OpenSSL looks at. */
int peer_path_conforming(PeerCase *peer, PeerCheck *check);
int peer_check_cross(PeerCase *peer, PeerCheck *check);
/* Whether one of these checks has judged what X509_V_… says, so that it is no news. */
bool peer_path_is_judged(int verdict);
/* What stands after a certificate on a path; NULL: nothing, or it is not on it. */
X509 *peer_path_next(const STACK_OF(X509) *path, const X509 *certificate);

enum { PEER_PATHS_MAX = 16 };

/* From the end entity to an anchor; the certificates are borrowed. */
typedef struct PeerPaths {
    size_t count;
    STACK_OF(X509) *paths[PEER_PATHS_MAX];
} PeerPaths;

/* peer_paths.c: which other paths are there, whose signatures verify? 0 or -ENOMEM; *ret is for
 * peer_paths_deinit() either way. What is beyond the limits is not found. */
int peer_paths_find(const PeerCase *peer, PeerPaths *ret);
void peer_paths_deinit(PeerPaths *paths);

/* What a path is called; NULL: none. 0, -ENOMEM or -EIO. */
int peer_path_name(const STACK_OF(X509) *path, VerifyPath *ret);

/* peer_rules.c: does each certificate of the path fit the profile? */
int peer_check_signature_hash(PeerCase *peer, PeerCheck *check);
int peer_check_key(PeerCase *peer, PeerCheck *check);
int peer_check_serial(PeerCase *peer, PeerCheck *check);
int peer_check_end_entity(PeerCase *peer, PeerCheck *check);
int peer_check_key_usage(PeerCase *peer, PeerCheck *check);
int peer_check_extended_usage(PeerCase *peer, PeerCheck *check);
int peer_check_distribution_point(PeerCase *peer, PeerCheck *check);

/* Is each as a CA should issue it? */
int peer_check_conforming(PeerCase *peer, PeerCheck *check);

/* peer_revocation.c: has an issuer taken its word back? */
int peer_check_revocation(PeerCase *peer, PeerCheck *check);

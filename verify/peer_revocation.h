/* What is known of the revocation of each certificate of a path; for peer_revocation.c and
 * peer_crls.c. */
#pragma once

#include "base/reason.h"
#include "verify/ocsp.h"
#include "verify/peer_internal.h"

typedef enum Word { WORD_NONE, WORD_GOOD, WORD_REVOKED } Word;

/* What is known of the certificate at one depth. */
typedef struct DepthStatus {
    Word word;
    Reason detail; /* why nothing is known, or since when it is revoked */
} DepthStatus;

enum { DEPTHS_MAX = PEER_CERTIFICATES_MAX + 1 };

typedef struct PathStatus {
    int n_depths; /* those below the anchor */
    DepthStatus depths[DEPTHS_MAX];
} PathStatus;

/* Adds what the operator's CRLs say. 0, -ENOMEM or -EIO. */
int peer_crls_ask(const PeerCase *peer, PathStatus *status);

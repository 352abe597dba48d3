/* This device's identity: its key in the TPM, its certificates, and the anchors that it trusts;
 * loaded together, as one without the others can't authenticate anything. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "policy/anchorguard.h"
#include "policy/signingkey.h"
#include "tred/config.h"
#include "tred/verifier.h"

/* The TPM's own types stay behind these names. */
typedef struct KeyPolicy KeyPolicy;
typedef struct PcrMismatch PcrMismatch;
typedef struct Tpm Tpm;
typedef struct TpmLoop TpmLoop;
typedef struct Tss2Key Tss2Key;

typedef enum IdentityState {
    IDENTITY_LOADING, /* for the first time: what comes meanwhile waits for its end */
    IDENTITY_READY,
    IDENTITY_DEVELOPMENT, /* ready, and root can sign, or exchange the anchors */
    IDENTITY_UNPROVISIONED,
    IDENTITY_INTEGRITY_FAILED,
    IDENTITY_TPM_UNAVAILABLE,
    IDENTITY_STATES
} IdentityState;

/* "ready", … as on the bus. */
const char *identity_state_name(IdentityState state);

/* True for the states in which exchanges can be begun. */
bool identity_state_serves(IdentityState state);

typedef struct DerCertificate {
    uint8_t *data;
    size_t size;
} DerCertificate;

/* What an identity is made of, in the order of loading. Files come before the TPM, so that what is
 * missing can be said without one. */
typedef enum IdentityPart {
    IDENTITY_KEY_FILE,
    IDENTITY_KEY_POLICY,
    IDENTITY_CERTIFICATES,
    IDENTITY_ANCHORS,
    IDENTITY_TPM,
    IDENTITY_KEY,
    IDENTITY_ANCHOR_GUARD,
    IDENTITY_LAST_KNOWN_TIME,
    IDENTITY_PARTS
} IdentityPart;

typedef struct Identity {
    Tss2Key *key_file;
    EVP_PKEY *public_key; /* of key_file */
    KeyPolicy *policy;    /* of key_file; the key's own once that is loaded */
    TpmLoop *loop;        /* NULL: the TPM is waited for */
    Tpm *tpm;             /* a reference; may be there before the part IDENTITY_TPM is loaded */
    SigningKey *key;
    char fqdn[FQDN_SIZE_MAX];     /* of the device certificate's subjectAltName */
    Reason validity_problem;      /* of the device certificate now; empty: none */
    time_t not_before, not_after; /* of the device certificate */
    time_t expires;               /* when the first of its chain does */
    size_t n_certificates;
    DerCertificate certificates[FRAME_CHAIN_MAX]; /* the device's, then its issuers' */
    Verifier *verifier;                           /* holds the anchors, once they are loaded */
    bool has_anchors;
    uint8_t anchors_digest[ANCHOR_DIGEST_SIZE]; /* SHA-256 of the bundle, as the TPM guards it */
    bool anchors_guarded;                       /* the TPM vouches for them */
    uint64_t anchors_version;                   /* where it does */
    bool guard_locked;        /* and nobody can take that guard away by the owner's right */
    time_t last_known;        /* the TPM's last-known time, corrected; 0: it keeps none */
    unsigned correction_days; /* by which the operator has the TPM's last-known time corrected */
} Identity;

/* Why an identity that serves is one for development, and what to do; NULL where it is not. */
const char *identity_development(const Identity *identity);

/* "device key file", …: what a person calls it. */
const char *identity_part_name(IdentityPart part);

/* Loads one part into `identity` (zeroed before the first; to identity_free()), and checks that it
 * fits the parts loaded before. Returns 0; IDENTITY_UNPROVISIONED, IDENTITY_INTEGRITY_FAILED or
 * IDENTITY_TPM_UNAVAILABLE with `reason` naming what is wrong and what to do; or -ENOMEM, -EIO. */
int identity_load_part(const TredConfig *config, IdentityPart part, Identity *identity,
                       Reason *reason);

/* How SeGWs are judged, as `config` (borrowed) has it. */
VerifierOptions identity_verifier_options(const TredConfig *config);

/* Loads every part that `config` names into `identity` (zeroed but for loop, tpm and verifier);
 * returns as above for the first that fails. */
int identity_load(const TredConfig *config, Identity *identity, Reason *reason);
void identity_free(Identity *identity);
DEFINE_POINTER_CLEANUP(Identity, identity_free);

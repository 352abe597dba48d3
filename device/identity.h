/* What the TPM and the files hold of this device's identity: its key, the octets of its
 * certificates and anchors, and what the TPM guards. Certificates are octets here: who judges them
 * is elsewhere. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/signingkey.h"
#include "device/frames.h"
#include "policy/anchorguard.h"

/* The TPM's own types stay behind these names. */
typedef struct KeyPolicy KeyPolicy;
typedef struct Tpm Tpm;
typedef struct TpmLoop TpmLoop;
typedef struct Tss2Key Tss2Key;

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

typedef struct FileOctets {
    uint8_t *data; /* NULL: it was not read */
    size_t size;
} FileOctets;

typedef struct DeviceIdentity {
    Tss2Key *key_file;
    EVP_PKEY *public_key; /* of key_file */
    KeyPolicy *policy;    /* of key_file; the key's own once that is loaded */
    TpmLoop *loop;        /* NULL: the TPM is waited for */
    Tpm *tpm;             /* a reference; may be there before the part IDENTITY_TPM is loaded */
    SigningKey *key;
    FileOctets certificates, anchors;
    uint8_t anchors_digest[ANCHOR_DIGEST_SIZE]; /* SHA-256 of the bundle, as the TPM guards it */
    bool anchors_guarded;                       /* the TPM vouches for them */
    uint64_t anchors_version;                   /* where it does */
    bool guard_locked; /* and nobody can take that guard away by the owner's right */
    time_t last_known; /* the TPM's last-known time; 0: it keeps none */
} DeviceIdentity;

/* Why an identity that serves is one for development, and what to do; NULL where it is not. */
const char *device_identity_development(const DeviceIdentity *identity);

/* "device key file", …: what a person calls it. */
const char *identity_part_name(IdentityPart part);

/* Loads one part into `identity` (zeroed before the first; to device_identity_free()), and checks
 * that it fits the parts loaded before. Returns 0; IDENTITY_UNPROVISIONED,
 * IDENTITY_INTEGRITY_FAILED or IDENTITY_TPM_UNAVAILABLE with `reason` naming what is wrong and what
 * to do; or -ENOMEM, -EIO. */
int device_identity_load_part(const DeviceFiles *files, IdentityPart part, DeviceIdentity *identity,
                              Reason *reason);

/* Loads every part that `files` names into `identity` (zeroed but for loop and tpm); returns as
 * above for the first that fails. */
int device_identity_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);
void device_identity_free(DeviceIdentity *identity);
DEFINE_POINTER_CLEANUP(DeviceIdentity, device_identity_free);

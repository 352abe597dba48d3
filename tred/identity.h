/* This device's identity as tred has it: its key, behind whoever has the TPM, its certificates, and
 * the verifier that holds the anchors; read together, as one without the others can't authenticate
 * anything. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/signingkey.h"
#include "device/frames.h"
#include "tred/config.h"
#include "tred/verifier.h"

typedef struct DerCertificate {
    uint8_t *data;
    size_t size;
} DerCertificate;

typedef struct Identity {
    SigningKey *key;              /* NULL: it is none of ours to sign with (trectl) */
    DeviceFacts facts;            /* as far as they are known */
    char fqdn[FQDN_SIZE_MAX];     /* of the device certificate's subjectAltName */
    Reason validity_problem;      /* of the device certificate now; empty: none */
    time_t not_before, not_after; /* of the device certificate */
    time_t expires;               /* when the first of its chain does */
    size_t n_certificates;
    DerCertificate certificates[FRAME_CHAIN_MAX]; /* the device's, then its issuers' */
    Verifier *verifier;                           /* holds the anchors, once they were read */
    time_t last_known;        /* the TPM's last-known time, corrected; 0: it keeps none */
    unsigned correction_days; /* by which the operator has the TPM's last-known time corrected */
} Identity;

/* Where everything is. 0, or -ENAMETOOLONG with `reason`. */
int identity_files(const TredConfig *config, DeviceFiles *ret, Reason *reason);

/* How SeGWs are judged, as `config` (borrowed) has it. */
VerifierOptions identity_verifier_options(const TredConfig *config);

/* What tred-verify reads of an identity, in this order. */
typedef enum IdentityReading {
    IDENTITY_READS_PROFILE, /* and is started before: identity->verifier */
    IDENTITY_READS_CHAIN,   /* of the key in identity->facts */
    IDENTITY_READS_ANCHORS, /* and the operator's correction for this device */
    IDENTITY_READINGS,
} IdentityReading;

/* Has it read one of them: the octets of config->certificates or config->anchors, of the profile
 * none. Its answer is due then (verifier_when_ready()), and taken by the second. 0;
 * IDENTITY_UNPROVISIONED with `reason` naming what is wrong and what to do; or -ENOMEM. */
int identity_read_begin(const TredConfig *config, Identity *identity, IdentityReading what,
                        Bytes octets, Reason *reason);
int identity_read_end(const TredConfig *config, Identity *identity, IdentityReading what,
                      Bytes octets, Reason *reason);

/* Once the facts are there, and in each part that is read after: the last-known time, corrected,
 * and whether the device certificate is valid by the later of that and this machine's clock. */
void identity_time_take(const TredConfig *config, Identity *identity);

void identity_free(Identity *identity);
DEFINE_POINTER_CLEANUP(Identity, identity_free);

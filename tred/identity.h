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

/* Where everything is, borrowed from `config`. */
DeviceFiles identity_files(const TredConfig *config);

/* How SeGWs are judged, as `config` (borrowed) has it. */
VerifierOptions identity_verifier_options(const TredConfig *config);

/* Takes the chain of the key in identity->facts from the octets of config->certificates. 0;
 * IDENTITY_UNPROVISIONED with `reason` naming what is wrong and what to do; or -ENOMEM. */
int identity_chain_read(const TredConfig *config, Identity *identity, Bytes file, Reason *reason);

/* Has identity->verifier hold the anchors in the octets of config->anchors, and takes the
 * operator's correction for this device from them. Returns as above. */
int identity_anchors_read(const TredConfig *config, Identity *identity, Bytes bundle,
                          Reason *reason);

/* Once the facts are there, and in each part that is read after: the last-known time, corrected,
 * and whether the device certificate is valid by the later of that and this machine's clock. */
void identity_time_take(const TredConfig *config, Identity *identity);

void identity_free(Identity *identity);
DEFINE_POINTER_CLEANUP(Identity, identity_free);

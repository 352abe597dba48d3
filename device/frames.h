/* What tred and tred-tpm say to each other over tred-tpm's socket.
 *
 * tred asks one thing at a time that takes long (DEVICE_LOAD, DEVICE_INSTALL, DEVICE_ADVANCE), and
 * has it sign, prepare and rest meanwhile; a signature goes ahead. Each of these and each signature
 * is answered once, under its number; the rest is not. Nothing of the TPM's own crosses here: keys
 * are SubjectPublicKeyInfo, what a person is to read is text, and files are octets in sealed
 * memory, whose descriptor goes along.
 *
 * On the wire: u8 type, then the type's fields in the order of one table (frames.c), integers in
 * network order; octets and texts after their size (u16). A text is of printable octets. A frame
 * that has more or less than that is refused whole. */
#pragma once

#include "base/bytes.h"
#include "base/fqdn.h"
#include "base/reason.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
    DEVICE_FRAME_SIZE_MAX = 16 * 1024,
    DEVICE_PATH_SIZE = 1024,
    DEVICE_SIGNATURE_SIZE_MAX = 512,
    DEVICE_CERTIFICATES_SIZE_MAX = 1024 * 1024, /* of the file */
    DEVICE_ANCHORS_SIZE_MAX = 1024 * 1024,
    DEVICE_APPROVAL_SIZE_MAX = 16 * 1024,
    DEVICE_KEY_SIZE_MAX = 512, /* SubjectPublicKeyInfo; RSA-2048 has 294 */
    DEVICE_DIGEST_SIZE_MAX = 64,
    DEVICE_WORD_SIZE = 32,
    DEVICE_PCRS_MAX = 24,
    DEVICE_PCR_TEXT_SIZE = 2 * 48 + 1, /* SHA-384 in hexadecimal */
};

/* Whether the device is fit to authenticate itself. */
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

/* Where everything is, as tred.conf(5) has it. */
typedef struct DeviceFiles {
    char tcti[DEVICE_PATH_SIZE];
    char srk_name[DEVICE_PATH_SIZE]; /* file; none there: any storage root key is trusted */
    char key[DEVICE_PATH_SIZE];
    char policy_key[DEVICE_PATH_SIZE];     /* the vendor's */
    char pcr_signatures[DEVICE_PATH_SIZE]; /* the platform states approved of */
    char certificates[DEVICE_PATH_SIZE];
    char anchors[DEVICE_PATH_SIZE];
} DeviceFiles;

typedef enum DeviceRequestType {
    DEVICE_LOAD = 1,  /* key, policy, files, guard and last-known time, anew */
    DEVICE_INSTALL,   /* anchors that the operator approved of; the descriptor has both */
    DEVICE_ADVANCE,   /* the last-known time, by a few days at the most */
    DEVICE_GIVE_UP,   /* nobody waits for the DEVICE_LOAD that is under way; it is answered still */
    DEVICE_SIGN,      /* a digest, by the key that was loaded last */
    DEVICE_CANCEL,    /* takes a DEVICE_SIGN back, which is not answered then */
    DEVICE_PREPARE,   /* gets ready to sign once, if it is not yet */
    DEVICE_REST,      /* gives back what being ready takes of the TPM */
    DEVICE_FORGET,    /* lets go of the key */
    DEVICE_CONFIGURE, /* the first, and the only one of its kind: where everything is */
    DEVICE_PING,      /* answered at once, whatever the TPM does: tred-tpm does not hang */
    DEVICE_REQUEST_TYPES
} DeviceRequestType;

/* Views are borrowed from whoever fills it in, or from the frame that it was decoded from. */
typedef struct DeviceRequest {
    DeviceRequestType type;
    uint32_t number;          /* DEVICE_CANCEL: of the request that is meant */
    uint32_t pause_ms;        /* DEVICE_LOAD: before it begins */
    uint32_t bundle_size;     /* DEVICE_INSTALL: where the approval begins in the descriptor */
    time_t reached;           /* DEVICE_ADVANCE: a time that was reached for certain; 0: none */
    uint32_t correction_days; /* which the operator takes from what the TPM keeps */
    char digest_name[DEVICE_WORD_SIZE]; /* DEVICE_SIGN: "SHA256", "SHA384" */
    bool pss;
    Bytes digest;
    DeviceFiles files; /* DEVICE_CONFIGURE */
} DeviceRequest;

typedef enum DeviceAnswerType {
    DEVICE_CERTIFICATES = 1, /* with a descriptor: the file's octets; before DEVICE_LOADED */
    DEVICE_ANCHORS,          /* likewise */
    DEVICE_LOADED,
    DEVICE_INSTALLED,
    DEVICE_ADVANCED,
    DEVICE_SIGNED,
    DEVICE_FAILED, /* of its own accord: getting ready to sign */
    DEVICE_ALIVE,  /* to a DEVICE_PING */
    DEVICE_ANSWER_TYPES
} DeviceAnswerType;

/* PCRs whose values are not those that were approved of. */
typedef struct DevicePcr {
    uint8_t number;
    char expected[DEVICE_PCR_TEXT_SIZE], found[DEVICE_PCR_TEXT_SIZE];
} DevicePcr;

typedef struct DeviceMismatch {
    char bank[DEVICE_WORD_SIZE];
    size_t count;
    DevicePcr pcrs[DEVICE_PCRS_MAX];
} DeviceMismatch;

/* What there is to know of a key and what the TPM guards. */
typedef struct DeviceFacts {
    size_t key_size; /* 0: it was not read */
    uint8_t key[DEVICE_KEY_SIZE_MAX];
    char algorithm[DEVICE_WORD_SIZE]; /* "ecdsa-p256", … */
    char policy[DEVICE_WORD_SIZE];    /* "none", "pcr", "signed" */
    uint32_t pss_salt;                /* octets; 0 for ECDSA */
    uint32_t ready_seconds;           /* what was prepared is to be renewed so soon; 0: it keeps */
    Reason development;       /* why it is not for the field, and what to do; empty: it is */
    bool anchors_guarded;     /* the TPM vouches for the anchors that were handed over */
    uint64_t anchors_version; /* where it does */
    time_t last_known;        /* the TPM's last-known time; 0: it keeps none */
} DeviceFacts;

typedef struct DeviceAnswer {
    DeviceAnswerType type;
    uint32_t number; /* the request's */
    int result;      /* 0 or -errno; DEVICE_LOADED: or an IdentityState; DEVICE_INSTALLED: or a
                        DeviceInstallError */
    Reason reason;   /* why not, for people; may be empty */
    bool broken;     /* the connection to the TPM is gone, and only DEVICE_LOAD makes it anew */
    DeviceMismatch mismatch; /* where the platform is in no state that was approved of */

    DeviceFacts facts; /* DEVICE_LOADED: as far as it came */
    bool told;         /* DEVICE_INSTALLED: the TPM may have taken them, whatever came after */
    uint64_t version;  /* what is in force then */
    bool moved;        /* DEVICE_ADVANCED */
    time_t last_known; /* where it did */
    Bytes signature;   /* DEVICE_SIGNED; valid during the call only */
} DeviceAnswer;

typedef enum DeviceInstallError {
    DEVICE_E_REFUSED = 1, /* not what the operator of this device approved of, or no guard */
    DEVICE_E_OUTDATED,    /* the TPM holds a newer version */
} DeviceInstallError;

void device_request_encode(Writer *writer, const DeviceRequest *request);
void device_answer_encode(Writer *writer, const DeviceAnswer *answer);

/* 0, or -EBADMSG for anything that the encoder would not write. */
int device_request_decode(Bytes frame, DeviceRequest *ret);
int device_answer_decode(Bytes frame, DeviceAnswer *ret);

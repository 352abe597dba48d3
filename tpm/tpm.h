/* A connection to the TPM: what it holds, its end, and TPM errors in words. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "tpm/crypto.h"
#include "tpm/task.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tpm2_types.h>

enum { TPM_HELD_MAX = 8 };

/* The answer's HMAC or attributes were wrong: somebody between has changed it. */
#define TPM_RC_ANSWER_REFUSED ((TSS2_RC)(TSS2_SYS_RC_LAYER | TSS2_BASE_RC_RSP_AUTH_FAILED))

/* Our own machine failed: no memory, or OpenSSL. */
#define TPM_RC_NO_MEMORY ((TSS2_RC)(TSS2_SYS_RC_LAYER | TSS2_BASE_RC_MEMORY))
#define TPM_RC_NO_CRYPTO ((TSS2_RC)(TSS2_SYS_RC_LAYER | TSS2_BASE_RC_GENERAL_FAILURE))

/* No object or session has this handle: it is PCR 0's. */
#define TPM_NO_HANDLE ((TPM2_HANDLE)0)

/* What a command's handle stands for. */
typedef struct TpmObject {
    TPM2_HANDLE handle; /* TPM_NO_HANDLE: none */
    TPM2B_NAME name;    /* as computed from its public area (TPM 2.0 Part 1, 16) */
} TpmObject;

typedef struct Tpm {
    unsigned n_references;
    TSS2_TCTI_CONTEXT *tcti;
    TpmLoop *loop; /* NULL: commands are waited for where they are given */
    TpmCrypto *crypto;
    struct TpmMeter *meter; /* NULL: none */
    bool exclusive; /* no resource manager between: what is in its slots and not ours is nobody's */
    bool lockout_said;   /* that the TPM is in lockout, and for how long */
    bool broken;         /* the TCTI could not move octets: nothing that is said here is heard */
    TpmObject salt_key;  /* the storage root key, once it was needed and is there */
    EVP_PKEY *salt_pkey; /* its public part */
    TPM2B_NAME srk_name; /* the only storage root key that is trusted with a salt; empty: any */
    TPM2_HANDLE held[TPM_HELD_MAX]; /* objects and sessions in use, which tpm_reclaim() leaves
                                       alone; TPM_NO_HANDLE where there is none */
} Tpm;

typedef enum TpmKeyAlgorithm {
    TPM_KEY_ECDSA_P256,
    TPM_KEY_ECDSA_P384,
    TPM_KEY_RSA_2048,
    TPM_KEY_ALGORITHMS
} TpmKeyAlgorithm;

/* "ecdsa-p256", "ecdsa-p384", "rsa-2048": the names in configuration and on the bus. */
const char *tpm_key_algorithm_name(TpmKeyAlgorithm algorithm);

/* The algorithm of that name; -EINVAL for another. */
int tpm_key_algorithm_from_name(const char *name, TpmKeyAlgorithm *ret);

/* Another reference, for tpm_close(). */
Tpm *tpm_ref(Tpm *tpm);

/* Ends a connection that broke, whoever else has a reference: it may be in the way of a new one. */
void tpm_disconnect(Tpm *tpm);

/* Gives a reference back; the last one closes the connection. NULL is fine. */
void tpm_close(Tpm *tpm);
DEFINE_POINTER_CLEANUP(Tpm, tpm_close);

/* Notes that an object or session is in use, and that it no longer is. */
void tpm_hold(Tpm *tpm, TPM2_HANDLE handle);
void tpm_unhold(Tpm *tpm, TPM2_HANDLE handle);

/* An error code without the number of the handle, session or parameter that it is about, and
 * without the layer that a resource manager puts before the TPM's own (TPM 2.0 Part 2, 6.6.2). */
TSS2_RC tpm_rc_base(TSS2_RC rc);

/* "TPM2_Sign: tpm:handle(1):…": the command and tss2-rc's words, with a remedy where one is known.
 */
void tpm_error(Reason *reason, const char *command, TSS2_RC rc);

/* Credentials of TPM 2.0: a secret that only one TPM can read, and only while it has one certain
 * key loaded (TPM 2.0 Part 1, 24). Making one needs no TPM. */
#pragma once

#include "base/reason.h"
#include "crypto/secret.h"
#include "provisioning/endorsement.h"

enum { CREDENTIAL_SECRET_SIZE = 32 }; /* as much as an EK with nameAlg SHA-256 takes */

/* The two outputs of TPM2_MakeCredential, inputs of TPM2_ActivateCredential. */
typedef struct Credential {
    TPM2B_ID_OBJECT blob;          /* credentialBlob */
    TPM2B_ENCRYPTED_SECRET secret; /* the seed, encrypted to the EK */
} Credential;

/* TPM2_MakeCredential in software: `secret` (CREDENTIAL_SECRET_SIZE octets) for the TPM of `ek` and
 * the key of `name`. `ek` must be of a template of provisioning/endorsement.h. 0, -EINVAL (another
 * EK or size), -ENOMEM or -EIO. */
int credential_make(const TPM2B_PUBLIC *ek, const TPM2B_NAME *name, const Secret *secret,
                    Credential *ret);

/* TPM2_ActivateCredential: the secret in `credential`, for `key`, an object loaded with an empty
 * auth and adminWithPolicy CLEAR. It comes from the TPM encrypted, in a session of
 * tpm/session.h. Besides the EK's and the key's it takes a transient slot for a moment, and two
 * sessions. secrets_init() must have been called. *ret is the caller's to secret_free(). 0,
 * -EKEYREJECTED if the credential is for another TPM or another key, -ENOMEM, or -EIO (`reason`
 * filled). */
int credential_activate(const Endorsement *ek, const TpmObject *key, const Credential *credential,
                        Secret **ret, Reason *reason);

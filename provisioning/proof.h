/* The proof that a device key is in the TPM that an EK certificate is for, before the key is
 * certified. Four steps, each without files or console: the device asks, the authority challenges,
 * the device answers, the authority issues. provisioning/proofjson.h puts what passes between them
 * into JSON. */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "policy/policykey.h"
#include "policy/tss2key.h"
#include "provisioning/authority.h"
#include "provisioning/credential.h"
#include "verify/certificates.h"

#include <openssl/x509.h>

enum {
    PROOF_DIGEST_SIZE = 32,      /* SHA-256 */
    PROOF_DEVICE_SERIAL_MAX = 64 /* RFC 5280, A.1: ub-serial-number */
};

/* What the device says of itself. Nothing of it is believed before it is judged. */
typedef struct ProofRequest {
    char fqdn[FQDN_SIZE_MAX];
    char serial[PROOF_DEVICE_SERIAL_MAX + 1]; /* the device's, printable ASCII; may be empty */
    X509 *ek_certificate;
    TPM2B_PUBLIC ek_public;
    TPM2B_PUBLIC device_public;
    X509_REQ *csr;
} ProofRequest;

void proof_request_free(ProofRequest *request);
DEFINE_POINTER_CLEANUP(ProofRequest, proof_request_free);

/* What a challenge and its answer belong to: the SHA-256 of all of a request. */
typedef struct ProofDigest {
    uint8_t octets[PROOF_DIGEST_SIZE];
} ProofDigest;

int proof_request_digest(const ProofRequest *request, ProofDigest *ret); /* 0, -ENOMEM or -EIO */

/* A device's serial number: at most PROOF_DEVICE_SERIAL_MAX letters, digits and "_ '()+,-./:=?":
 * what X.520's serialNumber takes, and the underscore. */
bool proof_serial_is_valid(const char *serial);

typedef struct ProofChallenge {
    ProofDigest request;
    Credential credential;
} ProofChallenge;

/* The authority's memory of a challenge. It holds no secret: who reads it can't answer. */
typedef struct ProofPending {
    ProofDigest request;
    ProofDigest secret; /* SHA-256 of the secret in the credential */
} ProofPending;

/* Whoever carries it may read the secret, which is of no use without the request: what is issued
 * upon it is that request's key and name. */
typedef struct ProofResponse {
    ProofDigest request;
    Secret *secret;
} ProofResponse;

void proof_response_deinit(ProofResponse *response);

/* What the authority asks of a device. */
typedef struct ProofRules {
    const STACK_OF(X509) *ek_anchors; /* roots of TPM vendors, and issuers on the way to them */
    const PolicyDigest *policy;       /* the device key's authPolicy, or NULL to ask for none */
} ProofRules;

/* Step 1, the device: reads the EK certificate, makes the EK, and puts the request together. `csr`
 * is PEM text, as csr_new() makes it; `fqdn` may be NULL for the CSR's, `serial` "". *ret is for
 * proof_request_free(). 0, -EINVAL, -ENOENT (no EK certificate), -EKEYREJECTED, -ENOMEM or -EIO,
 * with `reason` filled. */
int proof_request_new(Tpm *tpm, const Tss2Key *key, const char *csr, const char *fqdn,
                      const char *serial, ProofRequest **ret, Reason *reason);

/* The same for who holds the EK open already: making it costs as much as all else together. */
int proof_request_for_ek(const Endorsement *ek, const Tss2Key *key, const char *csr,
                         const char *fqdn, const char *serial, ProofRequest **ret, Reason *reason);

/* Step 2, the authority: judges all that can be judged without the device (EK certificate and
 * chain, EK, device key's public area, CSR), and makes a credential that the TPM of that EK alone
 * can open, and only if it holds that device key. secrets_init() must have been called. 0,
 * -EKEYREJECTED with `reason` saying why the request is refused, -ENOMEM or
 * -EIO. */
int proof_challenge(const ProofRequest *request, const ProofRules *rules, ProofChallenge *ret,
                    ProofPending *ret_pending, Reason *reason);

/* Step 3, the device: loads the key and has the TPM open the credential. Takes two sessions and
 * three transient slots, which is all that a TPM without resource manager has: no DeviceKey may be
 * loaded there meanwhile. secrets_init() must have been called. *ret is for
 * proof_response_deinit(). 0, -EKEYREJECTED if the challenge is for another TPM or key, -ENOENT,
 * -EINVAL, -ENOMEM or -EIO (`reason` filled). */
int proof_activate(Tpm *tpm, const Tss2Key *key, const ProofChallenge *challenge,
                   ProofResponse *ret, Reason *reason);

/* The same for who holds the EK open already. */
int proof_activate_for_ek(const Endorsement *ek, const Tss2Key *key,
                          const ProofChallenge *challenge, ProofResponse *ret, Reason *reason);

/* Step 4, the authority: the answer must belong to the request that was judged and hold the secret;
 * then the key is certified for request->fqdn. *ret is the device's certificate and its issuers
 * without the self-signed root, the caller's to sk_X509_pop_free(). 0, -EKEYREJECTED with `reason`
 * saying why, -ENOMEM or -EIO. */
int proof_issue(const ProofRequest *request, const ProofPending *pending,
                const ProofResponse *response, const Authority *authority, unsigned days,
                STACK_OF(X509) **ret, Reason *reason);

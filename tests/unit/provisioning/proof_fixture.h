/* A device with a certified TPM and a device key under a policy, and an authority that may certify
 * it. */
#pragma once

#include "endorsement_fixture.h"
#include "provisioning/proof.h"
#include "swtpm_fixture.h"

#define PROOF_FQDN "henb-7.example"
#define PROOF_SERIAL "SN-7"

typedef struct ProofDevice {
    Swtpm swtpm;
    Tpm *tpm;
    Tss2Key key;
    PolicyDigest policy; /* the key's: the PCRs as they were at power-on */
} ProofDevice;

/* A TPM started up, an EK certificate of `vendor` in it, a storage root key and a device key. */
void device_init(ProofDevice *device, const TpmVendor *vendor);
void device_deinit(ProofDevice *device);

/* Makes the device another key, without a policy. */
void device_rekey(ProofDevice *device, TpmKeyAlgorithm algorithm);

/* The request of this device, for proof_request_free(). */
ProofRequest *device_request(ProofDevice *device);

/* An authority below a root, for authority_free(); *ret_root is its root, for pki_deinit(). */
Authority *authority_make(Pki *ret_root);

/* A CSR for `key`, in software. */
X509_REQ *csr_in_software(EVP_PKEY *key, const char *fqdn);

/* The public area of a key in software that claims to be a device key under `policy`. */
TPM2B_PUBLIC public_in_software(EVP_PKEY *key, const PolicyDigest *policy);

/* A TPM vendor of a test's own, who certifies EKs and puts the certificates into TPMs. */
#pragma once

#include "pki_fixture.h"
#include "provisioning/endorsement.h"

typedef struct TpmVendor {
    Pki root;
    Pki issuer;
    STACK_OF(X509) *anchors; /* both */
} TpmVendor;

TpmVendor vendor_new(const char *name);
void vendor_deinit(TpmVendor *vendor);

/* An EK certificate as the TCG wants it, for the key of `public`; the test may spoil it first. */
PkiSpec vendor_ek_spec(const TPM2B_PUBLIC *public);
X509 *vendor_issue(const TpmVendor *vendor, const PkiSpec *spec);

/* Writes `octets` to the NV index of the template's EK certificate, as a vendor does. */
void vendor_nv_write(Tpm *tpm, EndorsementTemplate template, const unsigned char *octets,
                     size_t size);

/* Takes an NV index away by the platform's right; one that is not there is fine. */
void vendor_nv_remove(Tpm *tpm, TPM2_HANDLE index);

/* Makes the EK of the template and puts a good certificate for it into the TPM. */
void vendor_certify(const TpmVendor *vendor, Tpm *tpm, EndorsementTemplate template);

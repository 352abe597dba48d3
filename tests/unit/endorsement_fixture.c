/* How does a test get a TPM with the EK certificate that it is about? */
#include "endorsement_fixture.h"

#include "policy/publickey.h"
#include "policy/storagekey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NV_CHUNK = 512 };

static void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "endorsement fixture: %s failed\n", what);
    abort();
}

TpmVendor vendor_new(const char *name)
{
    TpmVendor vendor = {.root = pki_root(name)};

    vendor.issuer = pki_intermediate("Issuer of EK certificates", &vendor.root);
    vendor.anchors = sk_X509_new_null();
    must(vendor.anchors && sk_X509_push(vendor.anchors, vendor.root.certificate) > 0 &&
             sk_X509_push(vendor.anchors, vendor.issuer.certificate) > 0,
         "anchors");
    return vendor;
}

void vendor_deinit(TpmVendor *vendor)
{
    sk_X509_free(vendor->anchors);
    pki_deinit(&vendor->issuer);
    pki_deinit(&vendor->root);
}

PkiSpec vendor_ek_spec(const TPM2B_PUBLIC *public)
{
    PkiSpec spec = {
        .common_name = "TPM",
        .subject_alt_name = "critical,dirName:tpm",
        .sections = "[tpm]\n"
                    "a.2.23.133.2.1 = id:54455354\n"
                    "b.2.23.133.2.2 = Model\n"
                    "c.2.23.133.2.3 = id:00010002\n",
        .basic_constraints = "critical,CA:FALSE",
        .key_usage = public->publicArea.type == TPM2_ALG_RSA ? "critical,keyEncipherment"
                                                             : "critical,keyAgreement",
        .extended_usage = "2.23.133.8.1",
    };

    must(tpm_public_to_pkey(public, &spec.public_key) == 0, "EK");
    return spec;
}

X509 *vendor_issue(const TpmVendor *vendor, const PkiSpec *spec)
{
    Pki pki = pki_issue(spec, &vendor->issuer);
    X509 *certificate = pki.certificate;

    pki.certificate = NULL;
    pki_deinit(&pki);
    EVP_PKEY_free(spec->public_key);
    return certificate;
}

void vendor_nv_write(Tpm *tpm, EndorsementTemplate template, const unsigned char *octets,
                     size_t size)
{
    const TPM2B_NV_PUBLIC public = {
        .nvPublic =
            {
                .nvIndex = template == ENDORSEMENT_RSA_2048 ? 0x01c00002 : 0x01c0000a,
                .nameAlg = TPM2_ALG_SHA256,
                .attributes = TPMA_NV_PPWRITE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD |
                              TPMA_NV_AUTHREAD | TPMA_NV_NO_DA | TPMA_NV_PLATFORMCREATE,
                .dataSize = (UINT16)size,
            },
    };
    static const TPM2B_AUTH no_auth = {0};
    ESYS_TR index = ESYS_TR_NONE;

    if (Esys_TR_FromTPMPublic(tpm->esys, public.nvPublic.nvIndex, ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, &index) == TSS2_RC_SUCCESS) {
        must(Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_PLATFORM, index, ESYS_TR_PASSWORD,
                                   ESYS_TR_NONE, ESYS_TR_NONE) == TSS2_RC_SUCCESS,
             "TPM2_NV_UndefineSpace");
    }
    must(Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                             ESYS_TR_NONE, &no_auth, &public, &index) == TSS2_RC_SUCCESS,
         "TPM2_NV_DefineSpace");
    for (size_t done = 0; done < size;) {
        TPM2B_MAX_NV_BUFFER chunk = {
            .size = (UINT16)(size - done < NV_CHUNK ? size - done : NV_CHUNK),
        };

        memcpy(chunk.buffer, octets + done, chunk.size);
        must(Esys_NV_Write(tpm->esys, ESYS_TR_RH_PLATFORM, index, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                           ESYS_TR_NONE, &chunk, (UINT16)done) == TSS2_RC_SUCCESS,
             "TPM2_NV_Write");
        done += chunk.size;
    }
    must(Esys_TR_Close(tpm->esys, &index) == TSS2_RC_SUCCESS, "Esys_TR_Close");
}

void vendor_certify(const TpmVendor *vendor, Tpm *tpm, EndorsementTemplate template)
{
    char error[TPM_ERROR_SIZE] = "";
    unsigned char *der = NULL;
    TPM2B_PUBLIC public;
    X509 *certificate;
    ESYS_TR ek;
    PkiSpec spec;
    int size;

    must(endorsement_key_make(tpm, template, &ek, &public, error) == 0, error);
    tpm_object_release(tpm, ek);
    spec = vendor_ek_spec(&public);
    certificate = vendor_issue(vendor, &spec);
    size = i2d_X509(certificate, &der);
    must(size > 0, "DER");
    vendor_nv_write(tpm, template, der, (size_t)size);
    OPENSSL_free(der);
    X509_free(certificate);
}

/* A TPM vendor of a test's own. */
#include "endorsement_fixture.h"

#include "base/reason.h"
#include "tpm/publickey.h"
#include "tpm/storagekey.h"
#include "tpm_commands.h"

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

void vendor_nv_remove(Tpm *tpm, TPM2_HANDLE index)
{
    const TSS2_RC rc = tpm2_nv_undefine_space_as(tpm, TPM2_RH_PLATFORM, index);

    must(rc == TSS2_RC_SUCCESS || tpm_rc_base(rc) == TPM2_RC_HANDLE, "TPM2_NV_UndefineSpace");
}

void vendor_nv_write(Tpm *tpm, EndorsementTemplate template, const unsigned char *octets,
                     size_t size)
{
    const TPMS_NV_PUBLIC public = {
        .nvIndex = template == ENDORSEMENT_RSA_2048 ? 0x01c00002 : 0x01c0000a,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_PPWRITE | TPMA_NV_PPREAD | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD |
                      TPMA_NV_NO_DA | TPMA_NV_PLATFORMCREATE,
        .dataSize = (UINT16)size,
    };

    vendor_nv_remove(tpm, public.nvIndex);
    must(tpm2_nv_define_space_as(tpm, TPM2_RH_PLATFORM, &public) == TSS2_RC_SUCCESS,
         "TPM2_NV_DefineSpace");
    for (size_t done = 0; done < size;) {
        TPM2B_MAX_NV_BUFFER chunk = {
            .size = (UINT16)(size - done < NV_CHUNK ? size - done : NV_CHUNK),
        };

        memcpy(chunk.buffer, octets + done, chunk.size);
        must(tpm2_nv_write_as(tpm, TPM2_RH_PLATFORM, public.nvIndex, &chunk, (uint16_t)done) ==
                 TSS2_RC_SUCCESS,
             "TPM2_NV_Write");
        done += chunk.size;
    }
}

void vendor_certify(const TpmVendor *vendor, Tpm *tpm, EndorsementTemplate template)
{
    Reason reason = {0};
    unsigned char *der = NULL;
    TPM2B_PUBLIC public;
    X509 *certificate;
    TpmObject ek = {0};
    PkiSpec spec;
    int size;

    must(endorsement_key_make(tpm, template, &ek, &public, &reason) == 0, reason.text);
    tpm_object_release(tpm, &ek);
    spec = vendor_ek_spec(&public);
    certificate = vendor_issue(vendor, &spec);
    size = i2d_X509(certificate, &der);
    must(size > 0, "DER");
    vendor_nv_write(tpm, template, der, (size_t)size);
    OPENSSL_free(der);
    X509_free(certificate);
}

/* Names of TPM entities, computed from what they name. */
#include "tpm/name.h"

#include "base/bytes.h"

#include <errno.h>
#include <openssl/evp.h>
#include <tss2/tss2_mu.h>

enum { SHA256_SIZE = 32 };

static int name_of(Bytes public, TPM2_ALG_ID algorithm, TPM2B_NAME *ret)
{
    Writer writer;

    if (algorithm != TPM2_ALG_SHA256)
        return -EINVAL;
    writer_init(&writer, ret->name, sizeof(ret->name));
    writer_u16(&writer, algorithm);
    if (EVP_Digest(public.data, public.size, ret->name + writer.size, NULL, EVP_sha256(), NULL) !=
        1)
        return -EINVAL;
    ret->size = (UINT16)(writer.size + SHA256_SIZE);
    return 0;
}

int tpm_object_name(const TPM2B_PUBLIC *public, TPM2B_NAME *ret)
{
    uint8_t marshalled[sizeof(public->publicArea)];
    size_t size = 0;

    if (Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, marshalled, sizeof(marshalled), &size) !=
        TSS2_RC_SUCCESS)
        return -EINVAL;
    return name_of((Bytes){marshalled, size}, public->publicArea.nameAlg, ret);
}

int tpm_nv_name(const TPMS_NV_PUBLIC *public, TPM2B_NAME *ret)
{
    uint8_t marshalled[sizeof(*public)];
    size_t size = 0;

    if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(public, marshalled, sizeof(marshalled), &size) !=
        TSS2_RC_SUCCESS)
        return -EINVAL;
    return name_of((Bytes){marshalled, size}, public->nameAlg, ret);
}

void tpm_handle_name(TPM2_HANDLE handle, TPM2B_NAME *ret)
{
    Writer writer;

    writer_init(&writer, ret->name, sizeof(ret->name));
    writer_u32(&writer, handle);
    ret->size = (UINT16)writer.size;
}

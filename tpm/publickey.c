/* What the TPM makes public: its public areas as OpenSSL's keys, the Names that follow from them
 * (TPM 2.0 Part 1, 16), and its signatures. */
#include "tpm/publickey.h"

#include "base/bytes.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>
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

enum { EC_FIELD_MAX = 48, RSA_EXPONENT_DEFAULT = 65537 };

int tpm_integer_pad(Bytes integer, uint8_t *ret, size_t size)
{
    size_t zeros = 0;

    while (integer.size - zeros > size) {
        if (integer.data[zeros] != 0)
            return -ERANGE;
        zeros++;
    }
    integer = bytes_slice(integer, zeros, size);
    memset(ret, 0, size - integer.size);
    bytes_copy(ret + size - integer.size, integer);
    return 0;
}

static int ecc_to_pkey(const TPMT_PUBLIC *public, EVP_PKEY **ret)
{
    const TPMS_ECC_POINT *q = &public->unique.ecc;
    uint8_t point[1 + 2 * EC_FIELD_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    const char *group;
    size_t field;

    switch (public->parameters.eccDetail.curveID) {
    case TPM2_ECC_NIST_P256:
        group = "P-256";
        field = 32;
        break;
    case TPM2_ECC_NIST_P384:
        group = "P-384";
        field = 48;
        break;
    default:
        return -EOPNOTSUPP;
    }
    if (tpm_integer_pad((Bytes){q->x.buffer, q->x.size}, point + 1, field) < 0 ||
        tpm_integer_pad((Bytes){q->y.buffer, q->y.size}, point + 1 + field, field) < 0)
        return -EIO;

    return ec_key_new(group, (Bytes){point, 1 + 2 * field}, ret) < 0 ? -EIO : 0;
}

static int rsa_to_pkey(const TPMT_PUBLIC *public, EVP_PKEY **ret)
{
    const TPM2B_PUBLIC_KEY_RSA *modulus = &public->unique.rsa;
    const uint32_t given = public->parameters.rsaDetail.exponent;
    uint8_t exponent[sizeof(given)];
    Writer writer;

    writer_init(&writer, exponent, sizeof(exponent));
    writer_u32(&writer, given ? given : RSA_EXPONENT_DEFAULT);
    return rsa_key_new((Bytes){modulus->buffer, modulus->size}, BYTES_OF(exponent), ret) < 0 ? -EIO
                                                                                             : 0;
}

int tpm_public_to_pkey(const TPM2B_PUBLIC *public, EVP_PKEY **ret)
{
    switch (public->publicArea.type) {
    case TPM2_ALG_ECC:
        return ecc_to_pkey(&public->publicArea, ret);
    case TPM2_ALG_RSA:
        return rsa_to_pkey(&public->publicArea, ret);
    default:
        return -EOPNOTSUPP;
    }
}

/* ---- signatures, in the form that the TPM makes them ---- */

int signature_ecdsa_to_der(Bytes raw, unsigned char **ret)
{
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *ecdsa = ECDSA_SIG_new();
    const int half = (int)(raw.size / 2);
    BIGNUM *r = BN_bin2bn(raw.data, half, NULL);
    BIGNUM *s = BN_bin2bn(raw.data + half, half, NULL);

    *ret = NULL;
    if (!ecdsa || ECDSA_SIG_set0(ecdsa, r, s) != 1) { /* which takes neither without the other */
        BN_free(r);
        BN_free(s);
        return -ENOMEM;
    }
    return i2d_ECDSA_SIG(ecdsa, ret);
}

bool signature_is_good(EVP_PKEY *pkey, const char *digest_name, Bytes digest, Bytes signature,
                       int pss_salt)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    const bool rsa = EVP_PKEY_is_a(pkey, "RSA") == 1;
    const EVP_MD *md = EVP_get_digestbyname(digest_name);
    unsigned char *der = NULL;
    bool good = false;

    if (!rsa) {
        const int size = signature_ecdsa_to_der(signature, &der);
        if (size <= 0)
            return false;
        signature = (Bytes){der, (size_t)size};
    }
    good = ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
    if (good && rsa) {
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, pss_salt < 0 ? RSA_PKCS1_PADDING
                                                              : RSA_PKCS1_PSS_PADDING) == 1;
    }
    if (good && rsa && pss_salt >= 0)
        good = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, pss_salt) == 1;
    good =
        good && EVP_PKEY_verify(ctx, signature.data, signature.size, digest.data, digest.size) == 1;
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}

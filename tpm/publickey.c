/* Which public key does a TPM public area hold? */
#include "tpm/publickey.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

enum { EC_FIELD_MAX = 48, RSA_EXPONENT_DEFAULT = 65537 };

static int pkey_from_params(const char *type, OSSL_PARAM *params, EVP_PKEY **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    *ret = pkey;
    return 0;
}

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
    if (integer.size > 0)
        memcpy(ret + size - integer.size, integer.data, integer.size);
    return 0;
}

static int ecc_to_pkey(const TPMT_PUBLIC *public, EVP_PKEY **ret)
{
    const TPMS_ECC_POINT *q = &public->unique.ecc;
    uint8_t point[1 + 2 * EC_FIELD_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[] = "P-256";
    size_t field;

    switch (public->parameters.eccDetail.curveID) {
    case TPM2_ECC_NIST_P256:
        field = 32;
        break;
    case TPM2_ECC_NIST_P384:
        memcpy(group, "P-384", sizeof(group));
        field = 48;
        break;
    default:
        return -EOPNOTSUPP;
    }
    if (tpm_integer_pad((Bytes){q->x.buffer, q->x.size}, point + 1, field) < 0 ||
        tpm_integer_pad((Bytes){q->y.buffer, q->y.size}, point + 1 + field, field) < 0)
        return -EIO;

    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * field),
        OSSL_PARAM_construct_end(),
    };
    return pkey_from_params("EC", params, ret);
}

static int rsa_to_pkey(const TPMT_PUBLIC *public, EVP_PKEY **ret)
{
    const TPM2B_PUBLIC_KEY_RSA *modulus = &public->unique.rsa;
    const uint32_t exponent = public->parameters.rsaDetail.exponent;
    _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    _cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = NULL;
    _cleanup_(BN_freep) BIGNUM *n = NULL;

    n = BN_bin2bn(modulus->buffer, modulus->size, NULL);
    if (!builder || !n || OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_uint32(builder, OSSL_PKEY_PARAM_RSA_E,
                                   exponent ? exponent : RSA_EXPONENT_DEFAULT) != 1)
        return -EIO;
    params = OSSL_PARAM_BLD_to_param(builder);
    if (!params)
        return -EIO;
    return pkey_from_params("RSA", params, ret);
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

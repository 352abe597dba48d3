/* Checks signatures in the form that the TPM makes them, and writes them as certificates do. */
#include "policy/signature.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

int signature_ecdsa_to_der(Bytes raw, unsigned char **ret)
{
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *ecdsa = ECDSA_SIG_new();
    const int half = (int)(raw.size / 2);
    BIGNUM *r = BN_bin2bn(raw.data, half, NULL);
    BIGNUM *s = BN_bin2bn(raw.data + half, half, NULL);

    if (!ecdsa || !r || !s || ECDSA_SIG_set0(ecdsa, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return -ENOMEM;
    }
    *ret = NULL;
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

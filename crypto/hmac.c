/* HMAC, over OpenSSL. */
#include "crypto/hmac.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <stdio.h>

int hmac_new(const char *digest, Bytes key, EVP_MAC_CTX **ret)
{
    _cleanup_(EVP_MAC_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *context = NULL;
    char name[16]; /* OSSL_PARAM takes no const */
    OSSL_PARAM params[2] = {OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};

    if (!mac)
        return -EIO;
    context = EVP_MAC_CTX_new(mac);
    if (!context)
        return -ENOMEM;
    (void)snprintf(name, sizeof(name), "%s", digest);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
    if (!EVP_MAC_init(context, key.data, key.size, params))
        return -EIO;
    *ret = steal_pointer(context);
    return 0;
}

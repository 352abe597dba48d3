/* How does a test get an operator? */
#include "anchor_fixture.h"

#include "base/reason.h"
#include "crypto/openssl.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

PolicyKey operator_new(const char *type)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = strcmp(type, "RSA") == 0
                                                   ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", 2048UL)
                                                   : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    Reason reason = {0};
    char *pem = NULL;
    PolicyKey key;
    long size;

    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    size = BIO_get_mem_data(bio, &pem);
    if (policy_key_decode((Bytes){(const uint8_t *)pem, (size_t)size}, "operator", true, &key,
                          &reason) < 0)
        fail_msg("%s", reason.text);
    return key;
}

AnchorApproval approval_new(const PolicyKey *operator_key, const char *bundle, uint64_t version)
{
    AnchorApproval approval;

    assert_int_equal(anchor_approval_make(operator_key,
                                          (Bytes){(const uint8_t *)bundle, strlen(bundle)}, version,
                                          true, &approval),
                     0);
    return approval;
}

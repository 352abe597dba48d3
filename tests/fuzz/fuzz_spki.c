/* A SubjectPublicKeyInfo, as tred reads it from a verdict: what is taken is what OpenSSL's own
 * reader takes, and is written as it was read. */
#include "crypto/openssl.h"
#include "crypto/spki.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL, *theirs = NULL, *again = NULL;
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const unsigned char *cursor = data;

    if (spki_decode((Bytes){data, size}, &key) < 0)
        return 0;
    theirs = d2i_PUBKEY(NULL, &cursor, (long)size);
    check(theirs && EVP_PKEY_eq(key, theirs) == 1);
    const int written = spki_encode(key, &der);
    check(written > 0 && spki_decode((Bytes){der, (size_t)written}, &again) == 0);
    check(EVP_PKEY_eq(key, again) == 1);
    return 0;
}

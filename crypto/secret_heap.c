/* Where key material lives in a process that has OpenSSL: in its secure heap, locked, between guard
 * pages, out of core dumps. */
#include "crypto/secret.h"
#include "crypto/secret_memory.h"

#include <errno.h>
#include <openssl/crypto.h>

/* OpenSSL's configuration file is left alone from the start: it can have code loaded into whoever
 * reads it, and takes a tenth of a megabyte. So are the texts of its errors, which nobody reads. */
int secrets_init_sized(size_t size)
{
    const uint64_t left_alone = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS;

    if (OPENSSL_init_crypto(left_alone, NULL) != 1)
        return -ENOMEM;

    int rc = CRYPTO_secure_malloc_init(size, SECRET_BLOCK_MIN);

    if (rc == 1)
        return 0;
    if (rc == 0)
        return -ENOMEM;
    /* It exists, but could not be locked or guarded: not good enough for us. */
    CRYPTO_secure_malloc_done();
    return -EPERM;
}

int secrets_init(void)
{
    return secrets_init_sized(SECRETS_SIZE);
}

int secret_memory_take(size_t size, uint8_t **ret)
{
    /* Where the secure heap was never set up, OpenSSL would hand out ordinary memory. */
    if (!CRYPTO_secure_malloc_initialized())
        return -ENOMEM;
    *ret = OPENSSL_secure_zalloc(size);
    return *ret ? 0 : -ENOMEM;
}

void secret_memory_release(uint8_t *data, size_t size)
{
    OPENSSL_secure_clear_free(data, size);
}

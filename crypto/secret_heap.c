/* Where key material lives in a process that has OpenSSL: in its secure heap, locked, between guard
 * pages, out of core dumps. */
#include "crypto/secret.h"
#include "crypto/secret_memory.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>

/* What one exchange holds at its worst, in the heap's power-of-two blocks:
 *   SK_d, SK_pi, SK_pr, SK_ai, SK_ar, SK_ei, SK_er (64 octets each)                        448
 *   OpenSSL's own copies of SK_ai and SK_ar in the HMAC contexts                           128
 *   eight Child SAs, each two encryption keys and two integrity keys (64)                2,048
 *   while keys are agreed: DH private key and g^ir of group 14 (256 each), SKEYSEED (64),
 *   the key stream that all keys are cut from (512)                                      1,088
 * Together 3,712. The heap's size is a power of two; what 1,088 exchanges leave of it, 152 KiB, is
 * for OpenSSL's random generators and what it needs in passing. Pages are locked as they are first
 * touched, so unused room costs no memory, and the whole fits the usual RLIMIT_MEMLOCK of 8 MiB. */
enum {
    EXCHANGES_MAX = 1088, /* tred/users.h */
    EXCHANGE_SECRETS_SIZE = 3712,
    OPENSSL_SECRETS_SIZE = 152 * 1024,
    HEAP_SIZE = 4 * 1024 * 1024,
    /* OpenSSL keeps four bits for each block that there could be, and touches them all. */
    HEAP_BLOCK_MIN = 64,
};

static_assert(EXCHANGES_MAX * EXCHANGE_SECRETS_SIZE + OPENSSL_SECRETS_SIZE <= HEAP_SIZE,
              "all exchanges at their worst fit the heap");

/* OpenSSL's configuration file is left alone from the start: it can have code loaded into whoever
 * reads it, and takes a tenth of a megabyte. So are the texts of its errors, which nobody reads. */
int secrets_init(void)
{
    const uint64_t left_alone = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS;

    if (OPENSSL_init_crypto(left_alone, NULL) != 1)
        return -ENOMEM;

    int rc = CRYPTO_secure_malloc_init(HEAP_SIZE, HEAP_BLOCK_MIN);

    if (rc == 1)
        return 0;
    if (rc == 0)
        return -ENOMEM;
    /* It exists, but could not be locked or guarded: not good enough for us. */
    CRYPTO_secure_malloc_done();
    return -EPERM;
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

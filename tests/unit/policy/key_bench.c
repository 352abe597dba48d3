/* Device keys made and used on the bench's TPM. */
#include "key_bench.h"

#include "policy/signature.h"

#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

DeviceKey *key_new(TpmKeyAlgorithm algorithm)
{
    char error[TPM_ERROR_SIZE] = "";
    DeviceKey *key = NULL;
    Tss2Key file;

    if (device_key_create(bench.tpm, algorithm, NULL, &file, error) < 0 ||
        device_key_load(bench.tpm, &file, NULL, &key, error) < 0)
        fail_msg("%s", error);
    assert_int_equal(device_key_algorithm(key), algorithm);
    return key;
}

void assert_signs(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss)
{
    uint8_t digest_data[64];
    const Bytes digest = {digest_data, digest_size};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    char error[TPM_ERROR_SIZE] = "";
    size_t size = 0;

    assert_int_equal(RAND_bytes(digest_data, (int)digest_size), 1);
    if (device_key_sign(key, digest_name, pss, digest, signature, &size, error) < 0)
        fail_msg("%s", error);
    assert_true(signature_is_good(device_key_public(key), digest_name, digest,
                                  (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
    digest_data[0] ^= 1;
    assert_false(signature_is_good(device_key_public(key), digest_name, digest,
                                   (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
}
